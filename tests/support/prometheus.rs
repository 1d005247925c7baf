//! A real Prometheus that scrapes one target.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;
use url::form_urlencoded;

use super::process::Process;
use super::referees::Referees;

/// A first scrape comes about 6 s after the start, whatever the interval.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Prometheus with a data folder of its own; both are gone on drop.
pub(crate) struct Prometheus {
    address: SocketAddr,
    // Dropped in this order: the server ends before its data goes.
    _process: Process,
    _data: TempDir,
}

/// One series of an instant query.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second as job `exporter`.
    pub(crate) fn scraping(referees: &Referees, target: SocketAddr) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let config = data.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: exporter\n  scrape_interval: 1s\n  \
             static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(&config, text).expect("the configuration can be written");

        let mut command = Command::new(referees.tool("bin/prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                data.path().join("tsdb").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0");
        let mut process = Process::start(command);
        let address = process.listening_on("Listening on");
        Self {
            address,
            _process: process,
            _data: data,
        }
    }

    /// Asks `query` until `accept` likes the answer, which is then returned; panics with the last
    /// answer when it takes too long.
    pub(crate) fn wait_for(&self, query: &str, accept: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answer = self.query(query);
            match answer {
                Ok(samples) if accept(&samples) => return samples,
                _ if Instant::now() > deadline => panic!("{query} stays at {answer:?}"),
                _ => thread::sleep(POLL_INTERVAL),
            }
        }
    }

    /// An instant query; an error while Prometheus is not ready, or when the query is wrong.
    fn query(&self, query: &str) -> Result<Vec<Sample>, String> {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let body = get(self.address, &format!("/api/v1/query?query={encoded}"))
            .map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
        answer["data"]["result"]
            .as_array()
            .map_or(Err(body), |samples| {
                Ok(samples.iter().map(Sample::of).collect())
            })
    }
}

impl Sample {
    fn of(series: &Value) -> Self {
        let labels = series["metric"].as_object().expect("a metric is an object");
        let text = |value: &Value| {
            value
                .as_str()
                .expect("labels and values are strings")
                .to_owned()
        };
        Self {
            labels: labels
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            value: text(&series["value"][1])
                .parse()
                .expect("a value is a number"),
        }
    }
}

/// The body of a GET. HTTP/1.0 keeps it to one plain answer per connection.
fn get(address: SocketAddr, target: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer
        .split_once("\r\n\r\n")
        .map_or_else(String::new, |(_, body)| body.to_owned()))
}
