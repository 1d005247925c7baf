//! What values options take: one list for parsing, for error texts and for the documentation.

use std::fmt;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use super::node::Value;
use crate::ledger::counts::TRANSCODE_BOUNDS;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A mapping with the keys listed under its path.
    Table,
    /// A mapping from names to mappings.
    Tables,
    /// A list of mappings.
    List,
    /// Text for a label: 1 to 128 characters, none of them a control character.
    Label,
    /// A queue's name in MNS.
    QueueName,
    /// The beginning of names in MNS.
    QueuePrefix,
    /// A region's id.
    Region,
    /// An MNS endpoint.
    Endpoint,
    /// The URL of an HTTP proxy.
    Proxy,
    /// A path of a file.
    File,
    /// A name of an environment variable.
    Variable,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A time in whole seconds within these bounds, given in seconds.
    Seconds(u64, u64),
    /// A size in bytes within these bounds.
    Bytes(u64, u64),
    /// A number within these bounds, given in thousandths.
    Number(u32, u32),
    /// A bound of the histograms of transcode times.
    TranscodeBound,
    /// The URL of VOD's API.
    VodEndpoint,
    /// A URL such as this one.
    Url(&'static str),
    /// The beginning of URLs, such as this one.
    Base(&'static str),
    /// A list of URLs such as this one.
    Urls(&'static str),
    /// A list of texts for labels.
    Labels,
    /// A mapping from names of labels, none of which is one of these, to their values.
    LabelMap(&'static [&'static str]),
    /// PEM text, which may be a secret.
    Pem,
    /// A list of names of client certificates.
    Names,
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A mapping from names of users to hashes of their passwords.
    Users,
    /// The value of a header.
    Header,
    /// A time of any precision, or 0.
    Interval,
}

/// The most items of [`Kind::Labels`].
pub(super) const MAX_LABELS: usize = 100;

/// The most labels of [`Kind::LabelMap`].
pub(super) const MAX_LABEL_MAP: usize = 16;

/// What a label's name is.
pub(super) const LABEL_NAME: &str =
    "a name of 1 to 128 letters, digits and `_`, which begins with no digit and not with `__`";

/// The most items of [`Kind::Urls`].
pub(crate) const MAX_URLS: usize = 16;

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A time such as `90s`, `1m 30s`, `1h`; a day is 24 hours.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

/// Whether Prometheus takes this as the name of a label, and keeps it for no use of its own.
pub(super) fn is_label_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with("__")
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A size such as `4MiB`, `500 kB`, `4194304`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(factor)
}

/// The shortest exact form of a size.
fn bytes(size: u64) -> String {
    let (unit, factor) = UNITS
        .iter()
        .find(|(_, factor)| size.is_multiple_of(*factor))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", size / factor)
}

/// The shortest exact form of a time.
pub(super) fn seconds(secs: u64) -> String {
    match secs {
        secs if secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        secs if secs.is_multiple_of(60) && secs > 60 => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}

fn one_of(words: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, word) in words.iter().enumerate() {
        let before = match index {
            0 => "",
            last if last + 1 == words.len() => " or ",
            _ => ", ",
        };
        write!(f, "{before}`{word}`")?;
    }
    Ok(())
}

// === impl Kind ===

impl Kind {
    /// Whether text fits this kind, as far as its characters tell.
    pub(super) fn accepts(self, text: &str) -> bool {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match self {
            Self::Label => {
                (1..=128).contains(&text.chars().count())
                    && text.trim() == text
                    && !text.chars().any(char::is_control)
            }
            Self::QueueName | Self::Region => {
                (1..=256).contains(&text.len()) && text.bytes().all(is_name)
            }
            Self::QueuePrefix => text.len() <= 256 && text.bytes().all(is_name),
            Self::File => !text.is_empty() && !text.contains(char::is_control),
            Self::Variable => {
                text.len() <= 256
                    && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                    && text.bytes().all(|byte| is_name(byte) && byte != b'-')
            }
            Self::Choice(words) => words.contains(&text),
            Self::Header => http::HeaderValue::from_str(text).is_ok(),
            _ => true,
        }
    }

    /// Whether a value says nothing, where that is the same as no key.
    pub(super) fn is_no_value(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Text(text) => {
                text.is_empty() && matches!(self, Self::File | Self::Pem | Self::Choice(_))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Table => f.write_str("a mapping"),
            Self::Tables => f.write_str("a mapping from names to mappings"),
            Self::List => f.write_str("a list of mappings"),
            Self::Label => f.write_str(
                "text of 1 to 128 characters without control characters and outer spaces",
            ),
            Self::QueueName => {
                f.write_str("the name of a queue in MNS: letters, digits, `-` and `_`")
            }
            Self::QueuePrefix => {
                f.write_str("the beginning of names in MNS: letters, digits, `-` and `_`")
            }
            Self::Region => f.write_str("a region such as `cn-shanghai`"),
            Self::Endpoint => {
                f.write_str("a URL such as `https://1234.mns.cn-shanghai.aliyuncs.com`")
            }
            Self::Proxy => {
                f.write_str("a URL such as `http://proxy:3128`, without user name and password")
            }
            Self::File => f.write_str("the path of a file"),
            Self::Variable => f.write_str("the name of an environment variable"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::Choice(words) => one_of(words, f),
            Self::Choices(words) => {
                f.write_str("a list, each item one of ")?;
                one_of(words, f)
            }
            Self::Pem => f.write_str("PEM text"),
            Self::Names => f.write_str("a list of DNS names, addresses, e-mail addresses or URIs"),
            Self::Users => f.write_str("a mapping from names to bcrypt hashes"),
            Self::Header => f.write_str("text that a header may hold"),
            Self::Interval => f.write_str("a time such as `1s`, or `0`"),
            Self::Count(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Seconds(min, max) => {
                write!(
                    f,
                    "a time in whole seconds from `{}` to `{}`",
                    seconds(min),
                    seconds(max)
                )
            }
            Self::Number(min, max) => {
                let (min, max) = (f64::from(min) / 1000.0, f64::from(max) / 1000.0);
                write!(f, "a number from {min} to {max}")
            }
            Self::TranscodeBound => {
                f.write_str("one of the times ")?;
                for (index, millis) in TRANSCODE_BOUNDS.iter().enumerate() {
                    let before = if index == 0 { "" } else { ", " };
                    write!(f, "{before}`{}`", seconds(millis / 1000))?;
                }
                Ok(())
            }
            Self::VodEndpoint => {
                f.write_str("a URL such as `https://vod.cn-shanghai.aliyuncs.com`")
            }
            Self::Url(example) => write!(f, "a URL such as `{example}`"),
            Self::Base(example) => write!(
                f,
                "a URL such as `{example}`, without user name, password and anything behind `?` or `#`"
            ),
            Self::Urls(example) => write!(
                f,
                "a list of 1 to {MAX_URLS} URLs such as `{example}`, without user name and password"
            ),
            Self::Labels => write!(f, "a list of at most {MAX_LABELS} texts"),
            Self::LabelMap(_) => {
                write!(
                    f,
                    "a mapping of at most {MAX_LABEL_MAP} labels, such as `cluster: eu-1`"
                )
            }
            Self::Bytes(min, max) => {
                write!(f, "a size from `{}` to `{}`", bytes(min), bytes(max))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_days_have_24_hours() {
        for (text, secs) in [
            ("90s", 90),
            ("1m 30s", 90),
            ("1h", 3_600),
            ("1d", 86_400),
            ("PT1M", 60),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_secs(secs)),
                "{text}"
            );
        }
        for text in [
            "60",
            "",
            "-1s",
            "1 fortnight",
            "1mo",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_labels_are_those_that_users_may_give() {
        let long = "x".repeat(128);
        for name in ["cluster", "_", "_a", "a__b", "A1", &long] {
            assert!(is_label_name(name), "{name}");
        }
        for name in [
            "",
            "__name__",
            "__",
            "1a",
            "a-b",
            "a b",
            "\u{e9}",
            &(long + "x"),
        ] {
            assert!(!is_label_name(name), "{name}");
        }
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        for (text, size) in [("4MiB", 4 << 20), ("500 kB", 500_000), ("7", 7), ("7B", 7)] {
            assert_eq!(parse_bytes(text), Some(size), "{text}");
        }
        for text in ["MiB", "", "-1", "1.5MiB", "4mib", "99999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_shown_in_the_form_that_is_read() {
        for size in [1, 1_000, 1 << 16, 1 << 28, 3 << 30] {
            assert_eq!(parse_bytes(&bytes(size)), Some(size));
        }
        for secs in [1, 10, 60, 90, 3_600, 86_400] {
            assert_eq!(
                parse_duration(&seconds(secs)),
                Some(Duration::from_secs(secs))
            );
        }
    }
}
