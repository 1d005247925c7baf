//! The answer reader never panics, and reads what plain quick-xml reads.

#![no_main]

#[path = "../../tests/support/plain_xml.rs"]
mod plain_xml;

use libfuzzer_sys::fuzz_target;
use vod_callback_exporter::mns::xml::{self, Expected};

fuzz_target!(|data: &[u8]| {
    for expected in [
        Expected::Received,
        Expected::Peeked,
        Expected::Sent,
        Expected::NoMessages,
    ] {
        let fast = xml::parse(data.to_vec(), expected);
        if let Err(malformed) = &fast {
            assert!(malformed.position <= data.len(), "{malformed}");
        }
        let plain = std::str::from_utf8(data)
            .ok()
            .and_then(|text| plain_xml::read(text, expected));
        assert_eq!(
            fast.as_ref().ok().map(plain_xml::of),
            plain,
            "{expected:?}: {fast:?}"
        );
    }
});
