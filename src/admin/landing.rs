//! The page for people who open the port in a browser. One self-contained document: no script, no asset.

use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};

use super::{Answer, respond};
use crate::ledger::{QueueSnapshot, Snapshot};
use crate::metrics::catalogue::mode_label;

const PAGE: &str = include_str!("landing.html");

pub(super) fn answer(snapshot: &Snapshot, telemetry_path: &str) -> Answer {
    let rows: String = snapshot.queues.iter().map(row).collect();
    let queues = if rows.is_empty() {
        "<p>No queue is configured.</p>".to_owned()
    } else {
        format!(
            "<div class=\"scroll\"><table><thead><tr><th>Queue<th>State<th>Mode<th>MNS queue<th>Region\
             <th class=\"n\">Messages seen<th class=\"n\">Events<th>Last read</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    };
    let page = PAGE
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{metrics}", &escaped(telemetry_path))
        // Last, so that nothing in a queue's name is taken for a placeholder.
        .replace("{queues}", &queues);
    let mut answer = respond(StatusCode::OK, "text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

fn row(queue: &QueueSnapshot) -> String {
    let identity = &*queue.identity;
    let (class, state) = match queue.up {
        Some(true) => ("up", "up"),
        Some(false) => ("down", queue.last_error.unwrap_or("down")),
        None => ("unknown", "not read yet"),
    };
    let mode = mode_label(identity.mode);
    let last_tick = queue
        .last_tick
        .map_or_else(|| "–".to_owned(), |at| at.to_string());
    let events: u64 = queue.counts.events.iter().flatten().sum();
    format!(
        "<tr><td>{id}<td class=\"{class}\">{state}<td>{mode}<td>{mns_queue}<td>{region}\
         <td class=\"n\">{seen}<td class=\"n\">{events}<td>{last_tick}</tr>",
        id = escaped(&identity.id),
        mns_queue = escaped(&identity.mns_queue),
        region = escaped(&identity.region),
        seen = queue.counts.messages_seen,
    )
}

/// Text that is safe in an element and in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char => safe.push(char),
        }
    }
    safe
}
