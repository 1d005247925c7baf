//! Queues: whether they are there, and how they are set up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::actions::{self, Use};
use super::{Area, Checker, MAX_DISCOVERED, in_time, split};
use crate::config::{AccountConfig, Discovery, Endpoint, ForwardConfig, QueueConfig};
use crate::mns::error::Cause;
use crate::mns::{self, Operation, QueueAttributes};

/// What VOD's documentation asks of a queue for callbacks.
const MIN_RETENTION: Duration = Duration::from_hours(1);
const MIN_MESSAGE_SIZE: u64 = 65_536;

/// A queue of MNS, watched or a target.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) account: &'a AccountConfig,
    pub(super) endpoint: &'a Endpoint,
    pub(super) region: &'a str,
    /// Its name in MNS.
    pub(super) name: &'a str,
    /// What it is called in findings.
    pub(super) subject: &'a str,
}

/// What a failed call tells.
pub(super) enum Trouble {
    /// The caller may not make it.
    Denied,
    /// There is no such queue.
    NoQueue(String, String),
    /// The credentials are no good: whatever else is asked fails too.
    Credentials(String, String),
    /// Something else.
    Other(String, String),
}

// === impl Place ===

impl<'a> Place<'a> {
    fn of(queue: &'a QueueConfig) -> Self {
        Self {
            account: &queue.account,
            endpoint: &queue.endpoint,
            region: &queue.identity.region,
            name: &queue.identity.mns_queue,
            subject: &queue.identity.id,
        }
    }

    fn of_target(forward: &'a ForwardConfig, subject: &'a str) -> Self {
        Self {
            account: &forward.account,
            endpoint: &forward.endpoint,
            region: &forward.region,
            name: &forward.name,
            subject,
        }
    }

    /// Of whose queue policies speak.
    pub(super) fn resource(&self, operation: Operation) -> String {
        let account = self.endpoint.account().unwrap_or_default();
        actions::resource(operation, self.region, account, self.name)
    }
}

// === impl Trouble ===

impl Trouble {
    pub(super) fn of(answer: Result<mns::Error, String>) -> Self {
        let error = match answer {
            Ok(error) => error,
            Err(silence) => {
                let remedy = "see the network path and the health of MNS, and check again";
                return Self::Other(silence, remedy.to_owned());
            }
        };
        let (found, remedy) = split(&error.to_string());
        let remedy = remedy.unwrap_or_else(|| "see what answers at the endpoint".to_owned());
        let code = match &error.cause {
            Cause::Refused(refusal) => refusal.code.as_str(),
            _ => "",
        };
        match error.kind() {
            "no_such_queue" => Self::NoQueue(found, remedy),
            "access_denied" if code == "AccessDenied" => Self::Denied,
            "access_denied"
                if code.contains("SecurityToken")
                    || error.looks_expired() && code != "InvalidAccessKeyId" =>
            {
                let remedy = "the temporary credentials have expired or their token is not their own: renew all three";
                Self::Credentials(found, remedy.to_owned())
            }
            "access_denied" | "bad_signature" | "credentials" => Self::Credentials(found, remedy),
            _ => Self::Other(found, remedy),
        }
    }
}

// === impl Checker ===

impl Checker {
    /// The first queues whose names begin so and that have no entry of their own.
    pub(super) async fn discover(
        &mut self,
        discovery: &Discovery,
        known: &BTreeSet<Arc<str>>,
    ) -> Vec<QueueConfig> {
        let (account, endpoint) = (Arc::clone(discovery.account()), discovery.endpoint());
        let subject = format!("{}*", discovery.prefix);
        let place = Place {
            account: &account,
            endpoint,
            region: discovery.region(),
            name: &discovery.prefix,
            subject: &subject,
        };
        let client = match self.client(&account, endpoint, place.region) {
            Ok(client) => client,
            Err(reason) => {
                self.report.skip(Area::Queue, &subject, reason);
                return Vec::new();
            }
        };
        let listed = match in_time(client.list_queues(&discovery.prefix)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                self.cannot_read(
                    place,
                    Trouble::of(Ok(error)),
                    Operation::ListQueue,
                    Use::Discover,
                );
                return Vec::new();
            }
            Err(silence) => {
                self.cannot_read(
                    place,
                    Trouble::of(Err(silence)),
                    Operation::ListQueue,
                    Use::Discover,
                );
                return Vec::new();
            }
        };
        self.allowed(place, Operation::ListQueue, "");
        let names: Vec<String> = listed
            .into_iter()
            .map(|queue| queue.name)
            .filter(|name| !known.contains(name.as_str()))
            .collect();
        match names.len() {
            0 => self.report.warn(
                Area::Queue,
                &subject,
                "no queue without an entry of its own has such a name",
                "check the prefix, and the account and region in the endpoint; queues made later are found",
            ),
            n if n > MAX_DISCOVERED => {
                let found = format!("{n} queues, of which the first {MAX_DISCOVERED} are looked at");
                self.report.ok(Area::Queue, &subject, found);
            }
            n => self.report.ok(Area::Queue, &subject, format!("{n} found")),
        }
        let first = names.iter().take(MAX_DISCOVERED);
        first.map(|name| discovery.queue(name)).collect()
    }

    /// A queue, what is done to it, and where its messages go.
    pub(super) async fn queue(&mut self, queue: &QueueConfig) {
        let place = Place::of(queue);
        self.owner(place);
        if self.read(place, Use::of(queue)).await {
            self.permissions(place, Use::of(queue)).await;
        }
        if let Some(forward) = &queue.forward {
            let subject = format!("{} -> {}", queue.identity.id, forward.name);
            let place = Place::of_target(forward, &subject);
            self.owner(place);
            if self.read(place, Use::Forward).await {
                self.permissions(place, Use::Forward).await;
            }
        }
    }

    /// Whether the queue belongs to who asks: MNS lets nobody else in.
    fn owner(&mut self, place: Place<'_>) {
        let Ok(access) = self.access(place.account, place.endpoint.url()) else {
            return;
        };
        let Some((identity, owner)) = access.identity.as_ref().zip(place.endpoint.account()) else {
            return;
        };
        if identity.account_id != owner {
            let found = format!(
                "the endpoint is that of account {owner}, and the credentials are of account {}",
                identity.account_id
            );
            let remedy = "copy the endpoint from the MNS console of the account, or take a role of the queue's account";
            self.report
                .warn(Area::Identity, place.subject, found, remedy);
        }
    }

    /// Reads the queue's attributes. Whether it is worth asking on.
    async fn read(&mut self, place: Place<'_>, purpose: Use) -> bool {
        let client = match self.client(place.account, place.endpoint, place.region) {
            Ok(client) => client,
            Err(reason) => {
                self.report.skip(Area::Queue, place.subject, &*reason);
                self.report.skip(Area::Permissions, place.subject, reason);
                return false;
            }
        };
        let operation = Operation::GetQueueAttributes;
        let trouble = match in_time(client.queue_attributes(place.name)).await {
            Ok(Ok(attributes)) => {
                self.describe(place, &attributes);
                if purpose.operations().contains(&operation) {
                    self.allowed(place, operation, "");
                }
                return true;
            }
            Ok(Err(error)) => Trouble::of(Ok(error)),
            Err(silence) => Trouble::of(Err(silence)),
        };
        self.cannot_read(place, trouble, operation, purpose)
    }

    /// Whether it is worth asking on.
    fn cannot_read(
        &mut self,
        place: Place<'_>,
        trouble: Trouble,
        operation: Operation,
        purpose: Use,
    ) -> bool {
        match trouble {
            Trouble::Denied if purpose.operations().contains(&operation) => {
                self.denied(place, operation, purpose);
                let reason = "whether it is there is not known: it may not be read";
                self.report.skip(Area::Queue, place.subject, reason);
                true
            }
            Trouble::Denied => {
                let reason = "whether it is there is not known, and not needed to send to it";
                let remedy = format!(
                    "look in the MNS console for queue {}, or grant mns:{operation} on it for this check",
                    place.name
                );
                self.report
                    .unknown(Area::Queue, place.subject, reason, remedy);
                true
            }
            Trouble::NoQueue(found, remedy) => {
                let remedy = format!("{remedy}; or create queue {}", place.name);
                self.report.fail(Area::Queue, place.subject, found, remedy);
                let reason = "there is no such queue";
                self.report.skip(Area::Permissions, place.subject, reason);
                false
            }
            Trouble::Credentials(found, remedy) => {
                let name = &place.account.name;
                self.report.fail(Area::Credentials, name, found, remedy);
                let reason = format!("the credentials of account {name} are refused");
                self.report.skip(Area::Queue, place.subject, &*reason);
                self.report.skip(Area::Permissions, place.subject, &*reason);
                self.give_up(place.account, reason);
                false
            }
            Trouble::Other(found, remedy) => {
                self.report.fail(Area::Queue, place.subject, found, remedy);
                let reason = "the queue cannot be read";
                self.report.skip(Area::Permissions, place.subject, reason);
                false
            }
        }
    }

    fn describe(&mut self, place: Place<'_>, attributes: &QueueAttributes) {
        let retention = attributes.message_retention_period;
        let kept = retention.map_or(String::new(), |time| {
            format!(", keeps messages for {}", written(time))
        });
        let found = format!("queue {} is there{kept}", place.name);
        self.report.ok(Area::Queue, place.subject, found);
        if let Some(time) = retention.filter(|time| *time < MIN_RETENTION) {
            let found = format!("messages are kept for {} only", written(time));
            let remedy = "set MessageRetentionPeriod to 1 h at least: callbacks that nobody fetches in time are lost";
            self.report.warn(Area::Queue, place.subject, found, remedy);
        }
        let size = attributes.maximum_message_size;
        if let Some(size) = size.filter(|size| *size < MIN_MESSAGE_SIZE) {
            let found = format!("messages may have {size} bytes only");
            let remedy = "set MaximumMessageSize to 65536: VOD drops callbacks that do not fit";
            self.report.warn(Area::Queue, place.subject, found, remedy);
        }
    }
}

fn written(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        _ if secs > 0 && secs.is_multiple_of(86_400) => format!("{} d", secs / 86_400),
        _ if secs > 0 && secs.is_multiple_of(3_600) => format!("{} h", secs / 3_600),
        _ => format!("{secs} s"),
    }
}
