//! One writer for both exposition formats: text 0.0.4 and OpenMetrics 1.0.
//!
//! Writes straight into a `String` that the caller keeps between scrapes. The part of a sample that a run of samples
//! shares (name, and the label `queue`) is written once and copied from the output itself after that.

mod negotiation;

use std::ops::Range;

pub use negotiation::{Format, accepts_gzip};

use super::catalogue::{Bounds, Family, Kind};

/// Writes families into a `String`.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut String,
    format: Format,
}

/// Writes the samples of one family. Its head comes with its first sample, so that a family without samples is absent.
#[derive(Debug)]
pub struct FamilyWriter<'a> {
    out: &'a mut String,
    format: Format,
    family: &'a Family,
    headed: bool,
}

/// Writes samples that begin with the same name and labels.
#[derive(Debug)]
pub struct Run<'r, 'a> {
    family: &'r mut FamilyWriter<'a>,
    suffix: &'static str,
    labels: &'r [(&'r str, &'r str)],
    prefix: Option<Range<usize>>,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Integer(u64),
    /// Milliseconds, shown in seconds.
    Millis(i64),
    /// Anything else.
    Float(f64),
}

/// A classic histogram as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a> {
    /// Observations per bucket, not cumulated; the last one is above all bounds.
    pub buckets: &'a [u64],
    /// Sum of the observations.
    pub sum: Value,
}

/// The labels `,name="value"` of every combination of values, the last label varying fastest: what [`Run::sample`]
/// takes, made once for label sets that are fixed.
pub fn tails(labels: &[(&str, Vec<&str>)]) -> Vec<String> {
    let mut tails = vec![String::new()];
    for (name, values) in labels {
        let longer = |tail: &String| {
            let tail = tail.clone();
            values.iter().map(move |value| {
                let mut tail = tail.clone();
                tail.push(',');
                push_label(&mut tail, name, value);
                tail
            })
        };
        tails = tails.iter().flat_map(longer).collect();
    }
    tails
}

// === impl Writer ===

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub const fn new(out: &'a mut String, format: Format) -> Self {
        Self { out, format }
    }

    /// Begins a family. Each may be begun once.
    pub const fn family<'s>(&'s mut self, family: &'s Family) -> FamilyWriter<'s> {
        FamilyWriter {
            out: self.out,
            format: self.format,
            family,
            headed: false,
        }
    }

    /// Ends the exposition.
    pub fn finish(self) {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
    }
}

// === impl FamilyWriter ===

impl<'a> FamilyWriter<'a> {
    /// Writes one sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.run("", labels).sample("", value);
    }

    /// Writes one sample, unless its value is unknown.
    pub fn sample_known<V: Into<Value>>(&mut self, labels: &[(&str, &str)], value: Option<V>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// Begins a run of samples whose names end in `suffix` and whose labels begin with `labels`.
    pub const fn run<'r>(
        &'r mut self,
        suffix: &'static str,
        labels: &'r [(&'r str, &'r str)],
    ) -> Run<'r, 'a> {
        Run {
            family: self,
            suffix,
            labels,
            prefix: None,
        }
    }

    /// Writes one histogram. `labels` must not be empty.
    pub fn histogram(
        &mut self,
        bounds: Bounds,
        labels: &[(&str, &str)],
        observations: Observations<'_>,
    ) {
        let cumulated = observations.buckets.iter().scan(0, |count, observed| {
            *count += observed;
            Some(*count)
        });
        self.cumulated_histogram(bounds, labels, cumulated, observations.sum);
    }

    /// Writes one histogram whose buckets, the infinite one included, are cumulated already.
    pub fn cumulated_histogram(
        &mut self,
        bounds: Bounds,
        labels: &[(&str, &str)],
        cumulated: impl Iterator<Item = u64>,
        sum: Value,
    ) {
        let mut count = 0;
        let mut run = self.run("_bucket", labels);
        let les = bounds.le.iter().copied().chain([",le=\"+Inf\""]);
        for (le, cumulated) in les.zip(cumulated) {
            count = cumulated;
            run.sample(le, count);
        }
        self.run("_sum", labels).sample("", sum);
        self.run("_count", labels).sample("", count);
    }

    fn head(&mut self) {
        if self.headed {
            return;
        }
        self.headed = true;
        let open_metrics = self.format == Format::OpenMetrics;
        let (name, kind) = match self.family.kind {
            kind if open_metrics => (self.family.base_name(), kind),
            Kind::Info => (self.family.name, Kind::Gauge),
            kind => (self.family.name, kind),
        };
        self.comment("# HELP ", name);
        escape(self.out, self.family.help, open_metrics);
        self.out.push('\n');
        self.comment("# TYPE ", name);
        self.out.push_str(kind.as_str());
        self.out.push('\n');
        if open_metrics && let Some(unit) = self.family.unit() {
            self.comment("# UNIT ", name);
            self.out.push_str(unit);
            self.out.push('\n');
        }
    }

    fn comment(&mut self, keyword: &str, name: &str) {
        self.out.push_str(keyword);
        self.out.push_str(name);
        self.out.push(' ');
    }
}

// === impl Run ===

impl Run<'_, '_> {
    /// Writes one sample. `tail` holds further labels as `,name="value"`, already escaped.
    pub fn sample(&mut self, tail: &str, value: impl Into<Value>) {
        if let Some(prefix) = &self.prefix {
            self.family.out.extend_from_within(prefix.clone());
        } else {
            self.family.head();
            let start = self.family.out.len();
            self.write_prefix();
            self.prefix = Some(start..self.family.out.len());
        }
        let out = &mut *self.family.out;
        out.push_str(tail);
        out.push_str(if self.labels.is_empty() { " " } else { "} " });
        value.into().push_to(out);
        out.push('\n');
    }

    fn write_prefix(&mut self) {
        let out = &mut *self.family.out;
        out.push_str(self.family.family.name);
        out.push_str(self.suffix);
        let mut separator = '{';
        for (name, value) in self.labels {
            out.push(separator);
            push_label(out, name, value);
            separator = ',';
        }
    }
}

// === impl Value ===

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(u64::from(value))
    }
}

impl Value {
    fn push_to(self, out: &mut String) {
        match self {
            Self::Integer(value) => push_integer(out, value),
            Self::Millis(millis) => push_seconds(out, millis),
            Self::Float(value) => push_float(out, value),
        }
    }
}

fn push_integer(out: &mut String, value: u64) {
    out.push_str(itoa::Buffer::new().format(value));
}

fn push_seconds(out: &mut String, millis: i64) {
    if millis < 0 {
        out.push('-');
    }
    let millis = millis.unsigned_abs();
    push_integer(out, millis / 1000);
    let mut rest = millis % 1000;
    if rest == 0 {
        return;
    }
    out.push('.');
    let mut unit = 100;
    while rest > 0 {
        push_integer(out, rest / unit);
        rest %= unit;
        unit /= 10;
    }
}

fn push_float(out: &mut String, value: f64) {
    use std::fmt::Write as _;
    let written = if value.is_nan() {
        out.push_str("NaN");
        Ok(())
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        Ok(())
    } else if value == 0.0 || (1e-6..1e17).contains(&value.abs()) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

fn push_label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

/// Escapes a label value, or (`quotes` only in OpenMetrics) a HELP text.
fn escape(out: &mut String, text: &str, quotes: bool) {
    if !text.contains(['\\', '\n', '"']) {
        out.push_str(text);
        return;
    }
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            char => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests;
