//! Which format and encoding a scraper asked for (RFC 9110, section 12.5).

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

// === impl Format ===

impl Format {
    /// The format that the values of `Accept` prefer; text where they leave it open, name neither or cannot be read:
    /// a scraper is better served with text than with an error.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut text, mut open_metrics) = (Best::default(), Best::default());
        for range in accept.into_iter().flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1000, None);
            for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = thousandths(value.trim()),
                    "version" => version = Some(value.trim().trim_matches('"')),
                    _ => {}
                }
            }
            match media_type.as_str() {
                "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                    open_metrics.offer(2, quality);
                }
                "application/*" => open_metrics.offer(1, quality),
                "text/plain" => text.offer(2, quality),
                "text/*" => text.offer(1, quality),
                "*/*" => {
                    text.offer(0, quality);
                    open_metrics.offer(0, quality);
                }
                _ => {}
            }
        }
        if open_metrics.quality > text.quality {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whether the values of `Accept-Encoding` allow gzip.
pub fn accepts_gzip<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> bool {
    let mut gzip = Best::default();
    for coding in accept_encoding
        .into_iter()
        .flat_map(|header| header.split(','))
    {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip.offer(1, quality);
        } else if name == "*" {
            gzip.offer(0, quality);
        }
    }
    gzip.quality > 0
}

/// The quality by the most specific range; among equally specific ones the highest.
#[derive(Default)]
struct Best {
    specificity: u8,
    quality: u32,
}

// === impl Best ===

impl Best {
    fn offer(&mut self, specificity: u8, quality: u32) {
        if specificity > self.specificity {
            *self = Self {
                specificity,
                quality,
            };
        } else if specificity == self.specificity {
            self.quality = self.quality.max(quality);
        }
    }
}

/// A quality value in thousandths; 0 if malformed.
fn thousandths(quality: &str) -> u32 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = fraction.bytes().chain(*b"000").take(3);
    let fraction = digits
        .map(|digit| digit.is_ascii_digit().then(|| u32::from(digit - b'0')))
        .try_fold(0, |sum, digit| Some(sum * 10 + digit?));
    match (whole, fraction) {
        ("0", Some(fraction)) => fraction,
        ("1", Some(0)) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS_2_42: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
        version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3_5: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_PROTOBUF_FIRST: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
        encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_TEXT_ONLY: &str = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2";

    #[test]
    fn formats_are_negotiated() {
        use Format::{OpenMetrics, Text};
        for (accept, expected) in [
            ("", Text),
            ("*/*", Text),
            (PROMETHEUS_2_42, OpenMetrics),
            (PROMETHEUS_3_5, OpenMetrics),
            (PROMETHEUS_PROTOBUF_FIRST, OpenMetrics),
            (PROMETHEUS_TEXT_ONLY, Text),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"",
                OpenMetrics,
            ),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0, */*", Text),
            ("application/openmetrics-text;q=0.1,text/plain;q=0.2", Text),
            (
                "application/openmetrics-text;q=0.2,text/plain;q=0.1",
                OpenMetrics,
            ),
            ("application/openmetrics-text,text/plain", Text),
            ("text/plain;q=0.3,*/*;q=0.9", OpenMetrics),
            ("application/*", OpenMetrics),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Text,
            ),
            ("application/json", Text),
            ("application/openmetrics-text;q=nonsense", Text),
            (";;,,==;q", Text),
        ] {
            assert_eq!(Format::negotiate([accept]), expected, "{accept}");
        }
        assert_eq!(
            Format::negotiate(["text/plain;q=0.1", "application/openmetrics-text"]),
            OpenMetrics,
            "several header fields are one list"
        );
    }

    #[test]
    fn gzip_is_negotiated() {
        for (accept, expected) in [
            ("", false),
            ("gzip", true),
            ("GZIP;q=0.5", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("br, zstd", false),
        ] {
            assert_eq!(accepts_gzip([accept]), expected, "{accept}");
        }
    }
}
