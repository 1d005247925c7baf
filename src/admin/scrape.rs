//! `/metrics`.

use std::io::Write as _;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Admin, Answer, respond, text};
use crate::metrics::Format;
use crate::metrics::exposition::accepts_gzip;

/// The text of the last scrape, whose memory the next one uses again.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Arc<Mutex<String>>);

/// An exposition on its way out, whose memory returns to the buffer afterwards.
struct Lent {
    text: String,
    home: Buffer,
}

pub(super) async fn answer(admin: Arc<Admin>, headers: &HeaderMap) -> Answer {
    let format = Format::negotiate(values(headers, &ACCEPT));
    let gzip = accepts_gzip(values(headers, &ACCEPT_ENCODING));
    // Rendering and compressing many series takes milliseconds, and the process's metrics are read from files.
    let body = tokio::task::spawn_blocking(move || {
        let text = render(&admin, format);
        if gzip {
            compress(&text)
        } else {
            Ok(Bytes::from_owner(text))
        }
    })
    .await;
    let Ok(Ok(body)) = body else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The exposition could not be rendered.\n",
        );
    };
    let mut answer = respond(StatusCode::OK, format.content_type(), body);
    let vary = HeaderValue::from_static("Accept, Accept-Encoding");
    answer.headers_mut().insert(VARY, vary);
    if gzip {
        let encoding = HeaderValue::from_static("gzip");
        answer.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    answer
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

fn render(admin: &Admin, format: Format) -> Lent {
    let mut lent = admin.buffer.lend();
    let skew = admin.view.skew_millis();
    admin
        .metrics
        .render(&admin.view.snapshot(), skew, format, &mut lent.text);
    lent
}

/// Compresses at level 1: a higher one costs many times the rendering and saves little of such repetitive text.
fn compress(text: &Lent) -> std::io::Result<Bytes> {
    let text = text.as_ref();
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish().map(Bytes::from)
}

// === impl Buffer ===

impl Buffer {
    fn lend(&self) -> Lent {
        let mut text = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        text.clear();
        Lent {
            text,
            home: self.clone(),
        }
    }
}

// === impl Lent ===

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = mem::take(&mut self.text);
    }
}
