//! Whether VOD pushes its callbacks to where they are looked for.
//!
//! A wrong setting shows as nothing but an empty queue. Some are made by accident: saving another page of the console can
//! untick events.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};
use url::Url;

use crate::config::Endpoint;
use crate::ledger::QueueIdentity;
use crate::vod::api::MessageCallback;
use crate::vod::event::{EventType, label_enum};

label_enum! {
    /// A part of the callback configuration.
    Check {
        /// Callbacks go to MNS, not to a web server.
        Type = "type",
        /// The endpoint is the public one: VOD reaches no other.
        Endpoint = "endpoint",
        /// The queue, and its account, are the ones that are watched.
        Queue = "queue",
        /// The events that deadlines need are pushed.
        Events = "events",
        /// The queue is in the region that is watched, and that the vendor pairs with VOD's.
        Region = "region",
    }
}

/// What deadlines start from and end with.
const NEEDED: [EventType; 7] = [
    EventType::FileUploadComplete,
    EventType::UploadByURLComplete,
    EventType::AddLiveRecordVideoComplete,
    EventType::ProduceMediaComplete,
    EventType::VideoAnalysisComplete,
    EventType::StreamTranscodeComplete,
    EventType::TranscodeComplete,
];

/// One result a check, by [`Check::index`]; none where it cannot be told.
pub type Results = [Option<bool>; Check::COUNT];

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// The results for every queue, shared with whoever shows them. A queue that was never compared is not in it.
#[derive(Debug, Default)]
pub struct CallbackConfig(Mutex<BTreeMap<Arc<str>, Results>>);

/// Compares VOD's configuration with a watched queue. `vod_region` is empty where it is unknown.
pub fn compare(callback: &MessageCallback, queue: &QueueIdentity, vod_region: &str) -> Results {
    let to_mns = callback.callback_type.eq_ignore_ascii_case("MNS");
    let events = NEEDED.iter().all(|event| is_pushed(callback, *event));
    let mut results = [None; Check::COUNT];
    let mut set = |check: Check, result| results[check.index()] = result;
    set(Check::Type, Some(to_mns));
    set(Check::Events, Some(events));
    if to_mns {
        let endpoint = parse(&callback.mns_endpoint);
        set(
            Check::Endpoint,
            Some(endpoint.as_ref().is_some_and(is_public)),
        );
        set(
            Check::Queue,
            Some(is_same_queue(callback, endpoint.as_ref(), queue)),
        );
        set(
            Check::Region,
            endpoint
                .as_ref()
                .and_then(|endpoint| is_paired(endpoint, queue, vod_region)),
        );
    }
    results
}

/// The MNS region that the vendor pairs with a region of VOD: Shanghai's within the mainland, else the same.
pub fn paired_region(vod_region: &str) -> &str {
    match vod_region {
        "cn-hongkong" => "cn-hongkong",
        mainland if mainland.starts_with("cn-") => "cn-shanghai",
        other => other,
    }
}

fn is_pushed(callback: &MessageCallback, event: EventType) -> bool {
    callback.event_types.iter().any(|listed| {
        listed.eq_ignore_ascii_case("ALL") || listed.eq_ignore_ascii_case(event.as_str())
    })
}

/// The console's endpoints have a scheme, the API's samples do not always.
fn parse(text: &str) -> Option<Endpoint> {
    let text = text.trim_end_matches('/');
    Endpoint::parse(text)
        .or_else(|_| Endpoint::parse(&format!("http://{text}")))
        .ok()
}

fn is_public(endpoint: &Endpoint) -> bool {
    let host = endpoint.url().host_str().unwrap_or_default();
    !host
        .split('.')
        .any(|label| label.ends_with("-internal") || label.ends_with("-vpc"))
}

/// Where both sides name an account it must be the same one; where neither does, host and port must agree.
fn is_same_queue(
    callback: &MessageCallback,
    endpoint: Option<&Endpoint>,
    queue: &QueueIdentity,
) -> bool {
    let same_place = endpoint.is_some_and(|endpoint| match endpoint.account() {
        Some(account) if !queue.account.is_empty() => account == &*queue.account,
        _ => {
            let watched = Url::parse(&queue.endpoint).ok();
            watched.is_some_and(|watched| {
                watched.host() == endpoint.url().host()
                    && watched.port_or_known_default() == endpoint.url().port_or_known_default()
            })
        }
    });
    same_place && callback.mns_queue == *queue.mns_queue
}

fn is_paired(endpoint: &Endpoint, queue: &QueueIdentity, vod_region: &str) -> Option<bool> {
    let region = endpoint.region()?;
    let watched = queue.region.is_empty() || region == &*queue.region;
    let paired = vod_region.is_empty() || region == paired_region(vod_region);
    Some(watched && paired)
}

/// What was found and what to do about a check that failed; nothing that a customer wrote.
pub fn explain(
    check: Check,
    callback: &MessageCallback,
    queue: &QueueIdentity,
    vod_region: &str,
) -> Explanation {
    let (found, remedy) = match check {
        Check::Type if callback.callback_type.is_empty() => (
            "VOD sends no callbacks".to_owned(),
            format!(
                "in VOD's console, Callback Settings, choose MNS and queue {}",
                queue.mns_queue
            ),
        ),
        Check::Type => (
            format!(
                "VOD sends callbacks by {:?}, not to MNS",
                callback.callback_type
            ),
            format!(
                "in VOD's console, Callback Settings, choose MNS and queue {}",
                queue.mns_queue
            ),
        ),
        Check::Endpoint => (
            format!("VOD cannot reach {:?}", callback.mns_endpoint),
            "give the public endpoint of MNS, without -internal or -vpc".to_owned(),
        ),
        Check::Queue => (
            format!(
                "VOD pushes into queue {:?} at {:?}, and queue {} at {} is watched",
                callback.mns_queue, callback.mns_endpoint, queue.mns_queue, queue.endpoint
            ),
            "make both the same".to_owned(),
        ),
        Check::Events => {
            let missing: Vec<&str> = NEEDED
                .iter()
                .filter(|event| !is_pushed(callback, **event))
                .map(|event| event.as_str())
                .collect();
            (
                format!("VOD does not push {}", missing.join(", ")),
                "tick them in Callback Settings".to_owned(),
            )
        }
        Check::Region => (
            format!("VOD pushes to {:?}", callback.mns_endpoint),
            format!(
                "use a queue in {}, the region that pairs with VOD's, and watch that one",
                match vod_region {
                    "" => &*queue.region,
                    region => paired_region(region),
                }
            ),
        ),
    };
    Explanation { found, remedy }
}

// === impl Explanation ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.remedy)
    }
}

// === impl CallbackConfig ===

impl CallbackConfig {
    /// Takes note of VOD's configuration, and logs what became wrong or right since the last time.
    pub fn update(&self, callback: &MessageCallback, queue: &QueueIdentity, vod_region: &str) {
        let results = compare(callback, queue, vod_region);
        let before = self.lock().insert(Arc::clone(&queue.id), results);
        for check in Check::ALL.iter().copied() {
            let was = before.and_then(|before| before[check.index()]);
            match results[check.index()] {
                Some(false) if was != Some(false) => {
                    let remedy = explain(check, callback, queue, vod_region);
                    warn!(queue = %queue.id, %check, %remedy, "VOD's callback configuration does not fit.");
                }
                Some(true) if was == Some(false) => {
                    info!(queue = %queue.id, %check, "VOD's callback configuration fits again.");
                }
                _ => {}
            }
        }
    }

    /// The results for every queue, by id.
    pub fn results(&self) -> BTreeMap<Arc<str>, Results> {
        self.lock().clone()
    }

    /// Ends what is known of a queue.
    pub fn forget(&self, queue: &str) {
        self.lock().remove(queue);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Results>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Mode, Role};

    fn queue() -> QueueIdentity {
        QueueIdentity {
            id: "q".into(),
            mns_queue: "vod-callbacks".into(),
            endpoint: "https://1234.mns.cn-shanghai-internal.aliyuncs.com".into(),
            account: "1234".into(),
            region: "cn-shanghai".into(),
            mode: Mode::Consume,
            role: Role::Callback,
        }
    }

    fn callback() -> MessageCallback {
        MessageCallback {
            callback_type: "MNS".to_owned(),
            mns_endpoint: "https://1234.mns.cn-shanghai.aliyuncs.com/".to_owned(),
            mns_queue: "vod-callbacks".to_owned(),
            event_types: vec!["ALL".to_owned()],
        }
    }

    fn wrong(change: impl FnOnce(&mut MessageCallback), vod_region: &str) -> Vec<Check> {
        let mut callback = callback();
        change(&mut callback);
        let results = compare(&callback, &queue(), vod_region);
        let failing = Check::ALL.iter().copied();
        failing
            .filter(|check| results[check.index()] == Some(false))
            .inspect(|check| {
                let told = explain(*check, &callback, &queue(), vod_region);
                assert!(!told.remedy.is_empty(), "{told}");
            })
            .collect()
    }

    #[test]
    fn a_right_configuration_passes_every_check() {
        assert_eq!(wrong(|_| {}, "cn-beijing"), []);
        assert_eq!(
            compare(&callback(), &queue(), "cn-shanghai"),
            [Some(true); 5]
        );
        assert_eq!(
            wrong(
                |it| it.mns_endpoint = "1234.mns.cn-shanghai.aliyuncs.com".to_owned(),
                ""
            ),
            [],
            "without a scheme"
        );
    }

    #[test]
    fn each_mistake_fails_its_own_check() {
        let endpoint = |host: &'static str| {
            move |it: &mut MessageCallback| host.clone_into(&mut it.mns_endpoint)
        };
        assert_eq!(
            wrong(|it| it.callback_type = "HTTP".to_owned(), ""),
            [Check::Type]
        );
        assert_eq!(
            wrong(
                endpoint("http://1234.mns.cn-shanghai-internal-vpc.aliyuncs.com"),
                ""
            ),
            [Check::Endpoint]
        );
        assert_eq!(
            wrong(endpoint("http://99.mns.cn-shanghai.aliyuncs.com"), ""),
            [Check::Queue]
        );
        assert_eq!(
            wrong(|it| it.mns_queue = "old".to_owned(), ""),
            [Check::Queue]
        );
        assert_eq!(
            wrong(|it| it.event_types.clear(), ""),
            [Check::Events],
            "empty is all off"
        );
        assert_eq!(
            wrong(endpoint("http://1234.mns.cn-beijing.aliyuncs.com"), ""),
            [Check::Region]
        );
        assert_eq!(wrong(|_| {}, "ap-southeast-1"), [Check::Region]);
    }

    #[test]
    fn nothing_is_said_of_a_queue_where_callbacks_go_by_http() {
        let mut callback = callback();
        callback.callback_type = "HTTP".to_owned();
        let results = compare(&callback, &queue(), "");
        assert_eq!(results[Check::Queue.index()], None);
        assert_eq!(results[Check::Region.index()], None);
    }

    #[test]
    fn a_list_of_events_must_have_all_that_deadlines_need() {
        let all: Vec<String> = NEEDED.iter().map(ToString::to_string).collect();
        assert_eq!(wrong(|it| it.event_types.clone_from(&all), ""), []);
        for missing in 0..all.len() {
            let mut some = all.clone();
            some.remove(missing);
            assert_eq!(wrong(|it| it.event_types = some, ""), [Check::Events]);
        }
    }

    #[test]
    fn results_last_until_the_queue_goes() {
        let config = CallbackConfig::default();
        assert!(config.results().is_empty(), "unknown is absent");
        config.update(&callback(), &queue(), "cn-shanghai");
        assert_eq!(config.results()["q"], [Some(true); 5]);
        config.forget("q");
        assert!(config.results().is_empty());
    }
}
