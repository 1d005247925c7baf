//! The exporter's endpoints as a client sees them, and its samples by name and labels.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::time::Duration;

use vod_callback_exporter::aliyun::transport;

/// Longer than any answer of ours takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The samples of one answer of `/metrics`.
pub(crate) struct Scrape {
    text: String,
}

/// Status and body of an endpoint; none if nobody answers.
pub(crate) async fn ask(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let client = transport::Options::default().client().unwrap();
    let url = format!("http://{address}{path}");
    let response = client.get(url).timeout(TIMEOUT).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.text().await.ok()?))
}

impl Scrape {
    /// Scrapes an exporter that must answer.
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let scrape = Self::try_of(address).await;
        scrape.expect("the exporter answers")
    }

    /// Scrapes an exporter that may have ended.
    pub(crate) async fn try_of(address: SocketAddr) -> Option<Self> {
        let (status, text) = ask(address, "/metrics").await?;
        assert_eq!(status, 200, "{text}");
        Some(Self { text })
    }

    /// The samples of an answer that was got in another way.
    pub(crate) fn from_text(text: String) -> Self {
        Self { text }
    }

    /// The values of all samples of this name that have these labels.
    fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        self.text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let (found, rest) = series.split_once('{').unwrap_or((series, ""));
                let has =
                    |label: &String| rest.trim_end_matches('}').split(',').any(|l| l == label);
                found == name && labels.iter().all(has)
            })
            .map(|(_, value)| value.parse().unwrap())
            .collect()
    }

    /// The one sample of this name that has these labels; none if it is absent.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.values(name, labels);
        assert!(
            values.len() < 2,
            "{name} {labels:?} names {} samples",
            values.len()
        );
        values.first().copied()
    }

    /// The one sample of this name and queue.
    pub(crate) fn of_queue(&self, name: &str, queue: &str) -> Option<f64> {
        self.get(name, &[("queue", queue)])
    }

    /// The sum over all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.values(name, labels).iter().sum()
    }

    /// Whether any series tells of this queue.
    pub(crate) fn knows(&self, queue: &str) -> bool {
        self.text.contains(&format!("queue=\"{queue}\""))
    }

    /// Every value of a label, in the order of the samples.
    pub(crate) fn label_values(&self, name: &str, label: &str) -> Vec<String> {
        let start = format!("{label}=\"");
        self.text
            .lines()
            .filter(|line| line.split_once('{').is_some_and(|(found, _)| found == name))
            .filter_map(|line| line.split_once(&start)?.1.split('"').next())
            .map(str::to_owned)
            .collect()
    }

    /// The exposition itself, for messages of failed tests.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
