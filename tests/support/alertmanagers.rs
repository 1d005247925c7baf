//! Real Alertmanagers, which end with the test.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vod_callback_exporter::aliyun::transport;

use super::process::Process;
use super::scrape;

/// One that listens on a free port.
pub(crate) struct Alertmanager {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Alertmanager {
    /// Starts `program` on this config, with its data in `data` and with `more` flags.
    pub(crate) fn start(program: &Path, config: &Path, data: &Path, more: &[String]) -> Self {
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", data.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(more);
        let mut process = Process::start(command);
        let address = process.listening_on("Listening on");
        Self {
            address,
            _process: process,
        }
    }

    /// An answer of its API; null where it has none.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        let answer = scrape::ask(self.address, &format!("/api/v2/{path}")).await;
        answer
            .and_then(|(_, body)| serde_json::from_str(&body).ok())
            .unwrap_or(Value::Null)
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
