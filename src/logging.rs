//! Log lines: logfmt or JSON, to stderr, with the time of [`clock`].

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::clock;

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `ts=.. level=info target=.. msg=".." key=value`.
    Logfmt,
    /// An object a line, fields beside `timestamp`, `level`, `target`, `message`.
    Json,
}

/// Libraries that log each connection at the level at which we log each decision.
const NOISY: [&str; 4] = ["hyper", "hyper_util", "reqwest", "rustls"];

/// Makes `writer` the place of all log lines of the process. An error if it has one already.
pub fn init<W>(level: LevelFilter, format: Format, writer: W) -> Result<(), TryInitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::registry()
        .with(layer(format, writer).with_filter(filter(level)))
        .try_init()
}

fn layer<S, W>(format: Format, writer: W) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    match format {
        Format::Logfmt => layer.event_format(Logfmt).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_timer(Clock)
            .boxed(),
    }
}

fn filter(level: LevelFilter) -> Targets {
    let noisy = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(level)
        .with_targets(NOISY.map(|target| (target, noisy)))
}

struct Clock;

struct Logfmt;

/// Fields of an event as ` key=value`, and its message.
#[derive(Default)]
struct Fields {
    message: String,
    target: Option<String>,
    rest: String,
}

/// Writes `value` bare where it can be read back so, else in quotes with the escapes of JSON.
fn push_value(line: &mut String, value: &str) {
    let is_bare = |c: char| !(c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_unsafe(c));
    if !value.is_empty() && value.chars().all(is_bare) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // All of them are in the first plane, where one escape is one character.
            c if is_unsafe(c) => _ = write!(line, "\\u{:04x}", u32::from(c)),
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Characters that end a line, move the cursor or turn the direction of text.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// === impl Clock ===

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match clock::now().timestamp() {
            Some(now) => write!(writer, "{now:.3}"),
            None => writer.write_str("unknown"),
        }
    }
}

// === impl Logfmt ===

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        writer.write_str("ts=")?;
        Clock.format_time(&mut writer)?;
        let mut line = match *metadata.level() {
            tracing::Level::ERROR => " level=error target=",
            tracing::Level::WARN => " level=warn target=",
            tracing::Level::INFO => " level=info target=",
            tracing::Level::DEBUG => " level=debug target=",
            tracing::Level::TRACE => " level=trace target=",
        }
        .to_owned();
        push_value(
            &mut line,
            fields.target.as_deref().unwrap_or(metadata.target()),
        );
        line.push_str(" msg=");
        push_value(&mut line, &fields.message);
        line.push_str(&fields.rest);
        writeln!(writer, "{line}")
    }
}

// === impl Fields ===

impl Fields {
    fn push(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            // Lines of the `log` crate carry their origin as fields.
            "log.target" => self.target = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            name => {
                self.rest.push(' ');
                self.rest.push_str(name);
                self.rest.push('=');
                push_value(&mut self.rest, value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
