//! Request signatures as pure functions: the date is part of the request, never asked for. Here are those of MNS; the
//! one that VOD takes is in [`acs3`].
//!
//! Version 2 (HMAC-SHA1) is what every official SDK sends by default; version 4 (HMAC-SHA256) is what the Java SDK 2.0
//! sends on request. Neither signs the `Host` header. Source: the vendor's page on request signatures and the official
//! SDKs; `tests/fixtures/signatures` holds vectors made with the vendor's own code.

pub mod acs3;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

/// Which signature the client puts on its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HMAC-SHA1 over the raw request target; accepted everywhere.
    #[default]
    V2,
    /// HMAC-SHA256 with a scope of date, region and product.
    V4,
}

/// The signed parts of a request, exactly as they go over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper-case method.
    pub method: &'a str,
    /// Path and query byte for byte as sent, percent escapes included; starts with `/`.
    pub target: &'a str,
    /// Header names in any case with their values; those that are not signed are ignored.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The `Authorization` value of signature version 2.
///
/// The `Date` line takes the value of `x-mns-date` where that header is sent.
pub fn v2(request: &Request<'_>, access_key_id: &str, access_key_secret: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(access_key_secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(v2_string_to_sign(request).as_bytes());
    format!(
        "MNS {access_key_id}:{}",
        STANDARD.encode(mac.finalize().into_bytes())
    )
}

/// What signature version 2 signs.
pub fn v2_string_to_sign(request: &Request<'_>) -> String {
    let date = request
        .header("x-mns-date")
        .or_else(|| request.header("date"));
    let mut text = String::with_capacity(256);
    for line in [
        request.method,
        request.header("content-md5").unwrap_or_default(),
        request.header("content-type").unwrap_or_default(),
        date.unwrap_or_default(),
    ] {
        text.push_str(line);
        text.push('\n');
    }
    push_headers(
        &mut text,
        request,
        |name| name.starts_with("x-mns-"),
        str::to_owned,
    );
    text.push_str(request.target);
    text
}

/// The `Authorization` value of signature version 4. `basic_date` is the instant of the `Date` header as
/// `yyyyMMddTHHmmssZ`.
pub fn v4(
    request: &Request<'_>,
    access_key_id: &str,
    access_key_secret: &str,
    region: &str,
    basic_date: &str,
) -> String {
    let day = basic_date.get(..8).unwrap_or(basic_date);
    let scope = format!("{day}/{region}/mns/aliyun_v4_request");
    let canonical = v4_canonical_request(request);
    let text = format!("MNS4-HMAC-SHA256\n{basic_date}\n{scope}\n{canonical}");
    let seed = format!("aliyun_v4{access_key_secret}");
    let key = [day, region, "mns", "aliyun_v4_request"]
        .iter()
        .fold(seed.into_bytes(), |key, part| {
            hmac_sha256(&key, part.as_bytes()).to_vec()
        });
    let signature = hex(&hmac_sha256(&key, text.as_bytes()));
    format!("MNS4-HMAC-SHA256 Credential={access_key_id}/{scope},Signature={signature}")
}

/// The canonical request of signature version 4, which is signed in clear rather than hashed.
pub fn v4_canonical_request(request: &Request<'_>) -> String {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((request.target, ""));
    let mut text = format!(
        "{}\n{}\n",
        request.method,
        percent_encode(&percent_decode(path), true)
    );
    text.push_str(&v4_canonical_query(query));
    text.push('\n');
    let signed =
        |name: &str| matches!(name, "content-type" | "content-md5") || name.starts_with("x-mns-");
    push_headers(&mut text, request, signed, |value| value.trim().to_owned());
    text.push('\n');
    text
}

/// Percent-encodes everything but RFC 3986's unreserved characters, in upper-case hex; `/` is kept on request.
pub fn percent_encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Decodes percent escapes and leaves `+` alone, since the official SDKs send receipt handles raw.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok()?;
            u8::from_str_radix(hex, 16)
                .ok()
                .filter(|_| byte == b'%' && !hex.starts_with('+'))
        });
        if let Some(value) = escaped {
            decoded.push(value);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        _ = write!(text, "{byte:02x}");
    }
    text
}

fn v4_canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name).trim().to_lowercase();
            (
                percent_encode(&name, false),
                percent_encode(&percent_decode(value), false),
            )
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| {
            if value.is_empty() {
                name
            } else {
                format!("{name}={value}")
            }
        })
        .collect();
    pairs.join("&")
}

fn push_headers(
    text: &mut String,
    request: &Request<'_>,
    signed: impl Fn(&str) -> bool,
    value_of: impl Fn(&str) -> String,
) {
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value_of(value)))
        .filter(|(name, _)| signed(name))
        .collect();
    headers.sort();
    for (name, value) in headers {
        text.push_str(&name);
        text.push(':');
        text.push_str(&value);
        text.push('\n');
    }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(data);
    mac.finalize().into_bytes().into()
}

// === impl Request ===

impl<'a> Request<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests;
