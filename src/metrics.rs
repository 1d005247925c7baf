//! What the exporter shows of itself and of the ledger: one catalogue of names, one writer, one exposition.
//!
//! Counters and gauges about queues come from a [`Snapshot`] of the ledger at scrape, so that no series can outlive its
//! queue. The exporter's own and the process's metrics are kept by a private registry of the `prometheus` crate; every
//! type of that crate stays in this room.

pub mod catalogue;
pub mod exposition;

mod alerts;
mod credentials;
mod ledger;
mod registry;
mod reloads;
mod requests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::Collector as _;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

pub use alerts::Alerts;
pub use credentials::AccountCredentials;
pub use exposition::Format;
pub use requests::QueueRequests;

use self::catalogue::{
    BUILD_INFO, CALLBACK_CONFIG_OK, PROCESSING, REQUEST_DURATION, REQUESTS, VOD_REQUESTS,
    WEB_REFUSALS,
};
use self::exposition::Writer;
use crate::admin::{Refusal, TlsTrouble};
use crate::clock::UnixMillis;
use crate::ledger::Snapshot;
use crate::reconcile::callback::{CallbackConfig, Check};

/// The metrics that the process keeps itself, and the renderer of all.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    durations: HistogramVec,
    vod_requests: IntCounterVec,
    refusals: IntCounterVec,
    reloads: reloads::Reloads,
    alerts: Arc<Alerts>,
    callbacks: Arc<CallbackConfig>,
    credentials: credentials::Accounts,
    queues: RwLock<BTreeMap<Box<str>, QueueRequests>>,
}

// === impl Metrics ===

impl Metrics {
    /// A registry of its own with the process's metrics and the build's.
    ///
    /// Fails only if two metrics of the catalogue clash.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let build = IntGaugeVec::new(
            Opts::new(BUILD_INFO.name, BUILD_INFO.help),
            BUILD_INFO.labels,
        )?;
        build
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
            .set(1);
        registry.register(Box::new(build))?;
        let options = HistogramOpts::new(REQUEST_DURATION.name, REQUEST_DURATION.help).buckets(
            PROCESSING
                .millis
                .iter()
                .map(|millis| std::time::Duration::from_millis(*millis).as_secs_f64())
                .collect(),
        );
        let durations = HistogramVec::new(options, REQUEST_DURATION.labels)?;
        registry.register(Box::new(durations.clone()))?;
        let vod_requests = IntCounterVec::new(
            Opts::new(VOD_REQUESTS.name, VOD_REQUESTS.help),
            VOD_REQUESTS.labels,
        )?;
        registry.register(Box::new(vod_requests.clone()))?;
        let refusals = IntCounterVec::new(
            Opts::new(WEB_REFUSALS.name, WEB_REFUSALS.help),
            WEB_REFUSALS.labels,
        )?;
        for refusal in Refusal::ALL {
            refusals.get_metric_with_label_values(&[refusal.as_str()])?;
        }
        registry.register(Box::new(refusals.clone()))?;
        Ok(Self {
            registry,
            durations,
            vod_requests,
            refusals,
            reloads: reloads::Reloads::default(),
            alerts: Arc::default(),
            callbacks: Arc::default(),
            credentials: credentials::Accounts::default(),
            queues: RwLock::default(),
        })
    }

    /// A call of VOD's API with an account is over; `code` is `ok` or the kind of its error.
    pub fn vod_called(&self, account: &str, operation: &str, code: &str) {
        // There from the first call on, so that the first answer after refusals is an increase.
        self.vod_requests
            .with_label_values(&[account, operation, "ok"]);
        self.vod_requests
            .with_label_values(&[account, operation, code])
            .inc();
    }

    /// A client of the endpoints was refused.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals.with_label_values(&[refusal.as_str()]).inc();
    }

    /// What is shown of per-video alerts.
    pub fn alerts(&self) -> Arc<Alerts> {
        Arc::clone(&self.alerts)
    }

    /// The config of the start is in force since then.
    pub fn started(&self, at: UnixMillis) {
        self.reloads.started(at);
    }

    /// The config was read again: it is in force since then, or it was bad.
    pub fn reloaded(&self, at: Option<UnixMillis>) {
        self.reloads.reloaded(at);
    }

    /// How the certificates and keys of the web config fared.
    pub fn tls_trouble(&self, trouble: TlsTrouble) {
        self.reloads.tls_trouble(trouble);
    }

    /// What is shown of VOD's callback configuration.
    pub fn callbacks(&self) -> Arc<CallbackConfig> {
        Arc::clone(&self.callbacks)
    }

    /// What is shown of an account's credentials; the same each time it is asked for.
    pub fn credentials(&self, account: &str) -> Arc<AccountCredentials> {
        self.credentials.get(account)
    }

    /// Ends the series of the other accounts.
    pub fn retain_accounts(&self, is_used: impl Fn(&str) -> bool) {
        for family in self.vod_requests.collect() {
            for metric in family.get_metric() {
                let labels: HashMap<&str, &str> = metric
                    .get_label()
                    .iter()
                    .map(|label| (label.name(), label.value()))
                    .collect();
                if !labels
                    .get("account")
                    .is_some_and(|account| is_used(account))
                {
                    // It can only fail for a series that is gone already.
                    _ = self.vod_requests.remove(&labels);
                }
            }
        }
        self.credentials.retain(is_used);
    }

    /// The counters of one queue's calls; the same ones each time it is asked for.
    pub fn queue_requests(&self, queue: &str) -> QueueRequests {
        let known = self
            .queues
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(queue)
            .cloned();
        known.unwrap_or_else(|| {
            self.queues
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(queue.into())
                .or_insert_with(|| QueueRequests::new(self.durations.clone()))
                .clone()
        })
    }

    /// Ends the series of a queue's calls. Handles that are still held count into nothing.
    pub fn remove_queue(&self, queue: &str) {
        self.queues
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(queue);
    }

    /// Appends the exposition of `snapshot` and of the process to `out`. `skew_millis` is the local clock minus the
    /// server's, unknown before the first answer.
    pub fn render(
        &self,
        snapshot: &Snapshot,
        skew_millis: Option<i64>,
        format: Format,
        out: &mut String,
    ) {
        let mut writer = Writer::new(out, format);
        ledger::write(snapshot, skew_millis, &mut writer);
        self.write_callbacks(&mut writer);
        self.credentials.write(&mut writer);
        let mut family = writer.family(&REQUESTS);
        for (queue, requests) in &*self.queues.read().unwrap_or_else(PoisonError::into_inner) {
            requests.write(queue, &mut family);
        }
        self.reloads.write(&mut writer);
        self.alerts.write(&mut writer);
        registry::write(&self.registry.gather(), &mut writer);
        writer.finish();
    }

    fn write_callbacks(&self, writer: &mut Writer<'_>) {
        let mut family = writer.family(&CALLBACK_CONFIG_OK);
        for (queue, results) in self.callbacks.results() {
            for (check, ok) in Check::ALL.iter().zip(results) {
                if let Some(ok) = ok {
                    family.sample(&[("queue", &queue), ("check", check.as_str())], ok);
                }
            }
        }
    }
}
