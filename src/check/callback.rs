//! VOD: whether it may be asked, whether it pushes callbacks into the queue, and whether the regions go together.

use std::sync::Arc;

use super::actions::Use;
use super::{Area, Checker, Unobserved, in_time, split, vod_endpoint};
use crate::config::{QueueConfig, VodConfig};
use crate::ledger::snapshot::Role;
use crate::reconcile::callback::{self, Check};
use crate::vod::api::{self, MessageCallback, Operation};
use crate::vod::event::MediaKey;

/// An id that no video has.
const NO_VIDEO: &str = "00000000000000000000000000000000";

// === impl Checker ===

impl Checker {
    pub(super) async fn callback(&mut self, queue: &QueueConfig) {
        let subject = &*queue.identity.id;
        if queue.identity.role == Role::DeadLetter {
            return;
        }
        let Some(vod) = &queue.vod else {
            let reason =
                "VOD is not asked about this queue: whether its callbacks come here is not known";
            let remedy = "add the option `vod` to the queue, which also tells late transcodes from stalled ones";
            return self.report.unknown(Area::Callback, subject, reason, remedy);
        };
        let paired = self.region(queue, vod);
        let client = match self.vod(queue, vod) {
            Ok(client) => client,
            Err(reason) => return self.report.skip(Area::Callback, subject, reason),
        };
        if let Some(settings) = self.settings(queue, &client).await {
            self.compare(queue, vod, &settings, paired);
        }
        let media = MediaKey::of(NO_VIDEO);
        let asked = in_time(client.transcode_summaries(&[&media])).await;
        self.may(queue, Operation::GetTranscodeSummary, asked.map(forget));
        let asked = in_time(client.video_infos(&[&media])).await;
        self.may(queue, Operation::GetVideoInfos, asked.map(forget));
        let asked = in_time(client.transcoding(1)).await;
        self.may(queue, Operation::GetVideoList, asked.map(forget));
    }

    fn vod(&self, queue: &QueueConfig, vod: &VodConfig) -> Result<api::Client, String> {
        let endpoint = vod_endpoint(vod);
        let endpoint = endpoint.ok_or_else(|| format!("{:?} is no region of VOD", vod.region))?;
        let access = self.access(&queue.account, &endpoint)?;
        let config = api::ClientConfig {
            endpoint,
            app_id: vod.app_id.as_deref().map(str::to_owned),
            seed: self.options.seed,
        };
        Ok(api::Client::new(
            config,
            Arc::clone(&access.provider),
            access.http.clone(),
            Arc::new(Unobserved),
        ))
    }

    /// Whether the regions go together.
    fn region(&mut self, queue: &QueueConfig, vod: &VodConfig) -> bool {
        let (subject, region) = (&*queue.identity.id, &*queue.identity.region);
        let expected = callback::paired_region(&vod.region);
        if region.is_empty() {
            let reason = format!(
                "the queue's region is not known; VOD in {} goes with a queue in {expected}",
                vod.region
            );
            self.report.skip(Area::Region, subject, reason);
            return true;
        }
        if region == expected {
            let found = format!("a queue in {region} goes with VOD in {}", vod.region);
            self.report.ok(Area::Region, subject, found);
            return true;
        }
        let found = format!("the queue is in {region}, and VOD in {}", vod.region);
        let remedy = format!(
            "use a queue in {expected}, which the vendor pairs with VOD in {}: callbacks across regions come late or not at all",
            vod.region
        );
        self.report.warn(Area::Region, subject, found, remedy);
        false
    }

    async fn settings(
        &mut self,
        queue: &QueueConfig,
        client: &api::Client,
    ) -> Option<MessageCallback> {
        let asked = in_time(client.message_callback()).await;
        match asked {
            Ok(Ok(settings)) => {
                self.may(queue, Operation::GetMessageCallback, Ok(Ok(())));
                Some(settings)
            }
            other => {
                self.may(queue, Operation::GetMessageCallback, other.map(forget));
                let reason = "VOD's callback configuration cannot be read";
                self.report.skip(Area::Callback, &queue.identity.id, reason);
                None
            }
        }
    }

    fn compare(
        &mut self,
        queue: &QueueConfig,
        vod: &VodConfig,
        settings: &MessageCallback,
        paired: bool,
    ) {
        let (identity, region) = (&queue.identity, &*vod.region);
        // A pair of regions that does not fit was told already.
        let region = if paired { region } else { "" };
        let results = callback::compare(settings, identity, region);
        for check in Check::ALL.iter().copied() {
            match results[check.index()] {
                Some(true) => {
                    self.report.ok(Area::Callback, &identity.id, praise(check));
                }
                Some(false) => {
                    let told = callback::explain(check, settings, identity, region);
                    self.report
                        .fail(Area::Callback, &identity.id, told.found, told.remedy);
                }
                None => {
                    let reason = format!("the {check} cannot be judged");
                    self.report.skip(Area::Callback, &identity.id, reason);
                }
            }
        }
    }

    /// Tells whether the call may be made. A video that is not there was looked for all the same.
    fn may(
        &mut self,
        queue: &QueueConfig,
        operation: Operation,
        asked: Result<Result<(), api::Error>, String>,
    ) {
        let subject = &*queue.identity.id;
        let error = match asked {
            Ok(Err(error)) if error.kind() != "not_found" => error,
            Ok(_) => {
                let found = format!("vod:{operation} is allowed");
                return self.report.ok(Area::Permissions, subject, found);
            }
            Err(silence) => {
                let found = format!("whether vod:{operation} is allowed is not known: {silence}");
                let remedy = "see the network path and the health of VOD, and check again";
                return self.report.warn(Area::Permissions, subject, found, remedy);
            }
        };
        let (found, remedy) = split(&error.to_string());
        let remedy = remedy.unwrap_or_else(|| "see what answers at the endpoint".to_owned());
        if error.kind() == "access_denied" && !error.looks_expired() {
            let found = format!("vod:{operation} is denied");
            let remedy = format!(
                "grant vod:{operation} on resource * to {} (docs/ram/{})",
                self.caller(&queue.account),
                Use::Reconcile.policy()
            );
            return self.report.fail(Area::Permissions, subject, found, remedy);
        }
        let area = match error.kind() {
            "access_denied" | "bad_signature" | "credentials" => Area::Credentials,
            _ => Area::Callback,
        };
        if error.is_retryable() {
            self.report.warn(area, subject, found, remedy);
        } else {
            self.report.fail(area, subject, found, remedy);
        }
    }
}

/// What is right.
const fn praise(check: Check) -> &'static str {
    match check {
        Check::Type => "callbacks go to MNS",
        Check::Endpoint => "callbacks go to a public endpoint",
        Check::Queue => "callbacks go into this queue",
        Check::Events => "the events that deadlines need are pushed",
        Check::Region => "callbacks go to the region that is watched",
    }
}

fn forget<T, E>(answer: Result<T, E>) -> Result<(), E> {
    answer.map(drop)
}
