use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `log` writes.
fn written(level: LevelFilter, format: Format, log: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::registry()
        .with(layer(format, move || writer.clone()).with_filter(filter(level)));
    tracing::subscriber::with_default(subscriber, log);
    String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
}

/// A strict reader of one logfmt line.
fn parse(line: &str) -> Vec<(String, String)> {
    let line = line.strip_suffix('\n').expect("a line ends");
    let mut chars = line.chars().peekable();
    let mut pairs = Vec::new();
    while chars.peek().is_some() {
        let key: String = chars.by_ref().take_while(|c| *c != '=').collect();
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next().expect("a quote closes") {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        'n' => value.push('\n'),
                        'r' => value.push('\r'),
                        't' => value.push('\t'),
                        'u' => {
                            let digits: String = chars.by_ref().take(4).collect();
                            let code = u32::from_str_radix(&digits, 16).unwrap();
                            value.push(char::from_u32(code).unwrap());
                        }
                        c => value.push(c),
                    },
                    c => value.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ' ') {
                assert!(!matches!(c, '"' | '='), "{line}");
                value.push(c);
            }
        }
        assert!(matches!(chars.next(), None | Some(' ')), "{line}");
        pairs.push((key, value));
    }
    pairs
}

#[test]
fn a_line_of_logfmt_has_time_level_target_message_and_fields() {
    let error = io::Error::other("it said \"no\"\nand hung up");
    let line = written(LevelFilter::INFO, Format::Logfmt, || {
        tracing::warn!(queue = "vod", attempt = 3, %error, "Failed to peek.");
    });
    let (ts, rest) = line.split_once(' ').unwrap();
    let time = ts.strip_prefix("ts=").unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(time.len(), "2026-11-24T05:00:00.000Z".len(), "{time}");
    assert_eq!(
        rest,
        "level=warn target=vod_callback_exporter::logging::tests msg=\"Failed to peek.\" queue=vod attempt=3 \
         error=\"it said \\\"no\\\"\\nand hung up\"\n"
    );
}

#[test]
fn a_line_of_json_is_flat() {
    let line = written(LevelFilter::INFO, Format::Json, || {
        tracing::info!(queue = "vod", "Peeked.");
    });
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["message"], "Peeked.");
    assert_eq!(object["level"], "INFO");
    assert_eq!(object["queue"], "vod");
    let time = object["timestamp"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn libraries_are_quiet_below_warn_and_the_level_holds_for_all() {
    let log = || {
        tracing::info!(target: "hyper::proto", "Noise.");
        tracing::warn!(target: "rustls::client", "Trouble.");
        tracing::info!("Ours.");
        tracing::debug!("Detail.");
    };
    let lines = |level| written(level, Format::Logfmt, log);
    let messages = |text: &str| {
        ["Noise.", "Trouble.", "Ours.", "Detail."].map(|message| text.contains(message))
    };
    assert_eq!(
        messages(&lines(LevelFilter::INFO)),
        [false, true, true, false]
    );
    assert_eq!(
        messages(&lines(LevelFilter::DEBUG)),
        [false, true, true, true]
    );
    assert_eq!(messages(&lines(LevelFilter::ERROR)), [false; 4]);
}

proptest! {
    #[test]
    fn what_is_logged_is_one_line_and_can_be_read_back(message in any::<String>(), value in any::<String>()) {
        let line = written(LevelFilter::INFO, Format::Logfmt, || {
            tracing::info!(key = value.as_str(), "{message}");
        });
        prop_assert_eq!(line.chars().filter(|c| is_unsafe(*c)).count(), 1);
        let pairs = parse(&line);
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        prop_assert_eq!(keys, ["ts", "level", "target", "msg", "key"]);
        prop_assert_eq!(&pairs[3].1, &message);
        prop_assert_eq!(&pairs[4].1, &value);
    }
}
