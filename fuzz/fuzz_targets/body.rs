//! Any text as a message body: the decoder never panics, and what it accepts is within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::vod::decode::{MAX_BODY_BYTES, MAX_STREAMS, decode};

fuzz_target!(|body: &str| {
    let enqueued = UnixMillis(1_769_932_805_000);
    let Ok(decoded) = decode(body, enqueued) else {
        return;
    };
    assert!(body.len() <= MAX_BODY_BYTES);
    assert!(decoded.event.streams.len() <= MAX_STREAMS);
    if body.len() < MAX_BODY_BYTES {
        let again = decode(&format!("{body}\n"), enqueued);
        assert_eq!(again, Ok(decoded), "blanks around a body change nothing");
    }
});
