//! Real Alertmanagers, which end with the test.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vod_callback_exporter::aliyun::transport;

use super::process::Process;
use super::scrape;

/// One that listens on a free port, and on the same one after a restart.
pub(crate) struct Alertmanager {
    pub(crate) address: SocketAddr,
    process: Process,
    program: PathBuf,
    config: PathBuf,
    data: PathBuf,
    more: Vec<String>,
}

/// Starts `program`, and returns where it listens.
fn start(
    program: &Path,
    config: &Path,
    data: &Path,
    address: &str,
    more: &[String],
) -> (Process, SocketAddr) {
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", data.display()))
        .arg(format!("--web.listen-address={address}"))
        .args(more);
    let mut process = Process::start(command);
    let address = process.listening_on("Listening on");
    (process, address)
}

impl Alertmanager {
    /// Starts `program` on this config, with its data in `data` and with `more` flags.
    pub(crate) fn start(program: &Path, config: &Path, data: &Path, more: &[String]) -> Self {
        let (process, address) = start(program, config, data, "127.0.0.1:0", more);
        Self {
            address,
            process,
            program: program.to_owned(),
            config: config.to_owned(),
            data: data.to_owned(),
            more: more.to_owned(),
        }
    }

    /// Ends it in order: what it keeps is in its directory then.
    pub(crate) fn stop(&mut self) {
        self.process.terminate();
        self.process.finish();
    }

    /// Kills it, and its directory is lost.
    pub(crate) fn lose(&mut self) {
        self.process.signal("KILL");
        self.process.finish();
        std::fs::remove_dir_all(&self.data).unwrap();
    }

    /// Starts it anew where it was, after it ended.
    pub(crate) fn start_again(&mut self) {
        let address = self.address.to_string();
        (self.process, _) = start(
            &self.program,
            &self.config,
            &self.data,
            &address,
            &self.more,
        );
    }

    /// An answer of its API; null where it has none.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        let answer = scrape::ask(self.address, &format!("/api/v2/{path}")).await;
        answer
            .and_then(|(_, body)| serde_json::from_str(&body).ok())
            .unwrap_or(Value::Null)
    }

    /// How many alerts of this status this process of it was told.
    pub(crate) async fn received(&self, status: &str) -> f64 {
        let name = "alertmanager_alerts_received_total";
        let scrape = scrape::Scrape::of(self.address).await;
        scrape.sum(name, &[("status", status)])
    }

    /// Tells it of alerts, all of which it must take.
    pub(crate) async fn post(&self, alerts: &[Value]) {
        let client = transport::Options::default().client().unwrap();
        let url = format!("http://{}/api/v2/alerts", self.address);
        let request = client
            .post(url)
            .header("Content-Type", "application/json")
            .body(serde_json::to_string(alerts).unwrap());
        let response = request.send().await.expect("Alertmanager answers");
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        assert!(status.is_success(), "{status}: {text}");
    }
}
