//! Faults on demand: seeded, by share or by count, for all calls or for one operation or queue.

use serde::{Deserialize, Serialize};

/// An operation of MNS's data plane, of VOD, STS or RAM, named as the vendor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the vendor's operations")]
pub enum Operation {
    CreateQueue,
    SetQueueAttributes,
    GetQueueAttributes,
    DeleteQueue,
    ListQueue,
    SendMessage,
    BatchSendMessage,
    ReceiveMessage,
    BatchReceiveMessage,
    PeekMessage,
    BatchPeekMessage,
    DeleteMessage,
    BatchDeleteMessage,
    ChangeMessageVisibility,
    GetTranscodeSummary,
    GetVideoInfos,
    GetVideoList,
    GetMessageCallback,
    GetCallerIdentity,
    GetRole,
    /// A request that is none of them.
    Unknown,
}

/// What goes wrong. In JSON `"reset_before"` or, with a parameter, `{"slow": {"millis": 200}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The three counters of `GetQueueAttributes` and `ListQueue` read 0.
    CountersZero,
    /// 429 `TooManyRequests`; no effect.
    TooManyRequests,
    /// 403 `AccessDenied`, as for a missing RAM permission; no effect.
    AccessDenied,
    /// 500 `InternalError`; no effect.
    InternalError,
    /// 503; no effect.
    ServiceUnavailable,
    /// 403 as for a token that has expired (the code is a [`Behaviour`](super::Behaviour)); no effect.
    ExpiredToken,
    /// The `Date` of the answer is off by this much.
    ClockSkew {
        /// Positive: the emulator's clock seems ahead.
        millis: i64,
    },
    /// The request's date is judged by a clock that is off by this much: beyond 15 minutes the answer is 408
    /// `TimeExpired`.
    JudgeSkew {
        /// Positive: the judging clock is ahead.
        millis: i64,
    },
    /// The answer comes later, by the real clock; the effect is not delayed.
    Slow {
        /// Delay.
        millis: u64,
    },
    /// The connection is reset before the effect.
    ResetBefore,
    /// The connection is reset after the effect.
    ResetAfter,
    /// The effect happens, and the connection closes half-way through the answer's body.
    Truncated,
    /// The effect happens, and the answer's body is not XML.
    Garbage,
    /// The effect happens, and the answer is an HTML page with status 200.
    Html,
    /// The effect happens, and the answer is well-formed XML with a body of this size.
    Huge {
        /// Size.
        mebibytes: u32,
    },
    /// The deletion is confirmed, yet the message becomes visible once more. Drawn for each message.
    Redeliver,
    /// The message is enqueued twice, with different ids. Drawn for each message.
    DuplicateEnqueue,
}

/// When a fault strikes. Without `share` and `count`: always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// Probability per call (or message), 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// How many more times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Only this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Only this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// Where in the handling of a call a fault takes its place; one fault a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// How the request's date is judged.
    Judge,
    /// Instead of the effect.
    Before,
    /// While reading counters.
    Counters,
    /// For each message sent.
    Send,
    /// For each message deleted.
    Delete,
    /// On the answer's way.
    After,
    /// When the answer leaves.
    Delay,
    /// The answer's `Date`.
    Date,
}

/// The rules in force.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    rng: fastrand::Rng,
}

// === impl Operation ===

impl Operation {
    /// The vendor's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateQueue => "CreateQueue",
            Self::SetQueueAttributes => "SetQueueAttributes",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::DeleteQueue => "DeleteQueue",
            Self::ListQueue => "ListQueue",
            Self::SendMessage => "SendMessage",
            Self::BatchSendMessage => "BatchSendMessage",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::BatchReceiveMessage => "BatchReceiveMessage",
            Self::PeekMessage => "PeekMessage",
            Self::BatchPeekMessage => "BatchPeekMessage",
            Self::DeleteMessage => "DeleteMessage",
            Self::BatchDeleteMessage => "BatchDeleteMessage",
            Self::ChangeMessageVisibility => "ChangeMessageVisibility",
            Self::GetTranscodeSummary => "GetTranscodeSummary",
            Self::GetVideoInfos => "GetVideoInfos",
            Self::GetVideoList => "GetVideoList",
            Self::GetMessageCallback => "GetMessageCallback",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetRole => "GetRole",
            Self::Unknown => "Unknown",
        }
    }
}

// === impl Fault ===

impl Fault {
    fn phase(self) -> Phase {
        match self {
            Self::CountersZero => Phase::Counters,
            Self::TooManyRequests
            | Self::AccessDenied
            | Self::InternalError
            | Self::ServiceUnavailable
            | Self::ExpiredToken
            | Self::ResetBefore => Phase::Before,
            Self::ClockSkew { .. } => Phase::Date,
            Self::JudgeSkew { .. } => Phase::Judge,
            Self::Slow { .. } => Phase::Delay,
            Self::ResetAfter | Self::Truncated | Self::Garbage | Self::Html | Self::Huge { .. } => {
                Phase::After
            }
            Self::Redeliver => Phase::Delete,
            Self::DuplicateEnqueue => Phase::Send,
        }
    }
}

// === impl FaultRule ===

impl FaultRule {
    /// A fault that strikes the next `count` times.
    pub fn next(fault: Fault, count: u64) -> Self {
        Self {
            count: Some(count),
            ..Self::always(fault)
        }
    }

    /// A fault that strikes with this probability.
    pub fn share(fault: Fault, share: f64) -> Self {
        Self {
            share: Some(share),
            ..Self::always(fault)
        }
    }

    /// A fault that always strikes.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            share: None,
            count: None,
            operation: None,
            queue: None,
        }
    }

    /// The same for one operation only.
    #[must_use]
    pub fn on(self, operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            ..self
        }
    }

    /// The same for one queue only.
    #[must_use]
    pub fn of_queue(self, queue: &str) -> Self {
        Self {
            queue: Some(queue.to_owned()),
            ..self
        }
    }

    /// Refuses a rule that could never mean something.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.share {
            Some(share) if !(0.0..=1.0).contains(&share) => {
                Err(format!("share is {share}; expected 0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

// === impl Faults ===

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn replace(&mut self, rules: Vec<FaultRule>) {
        self.rules = rules;
    }

    pub(super) fn add(&mut self, rules: Vec<FaultRule>) {
        self.rules.extend(rules);
    }

    /// The rules that can still strike.
    pub(super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// The first rule of this phase that strikes this call; its count goes down.
    pub(super) fn draw(
        &mut self,
        phase: Phase,
        operation: Operation,
        queue: Option<&str>,
    ) -> Option<Fault> {
        let rng = &mut self.rng;
        let struck = self.rules.iter_mut().find(|rule| {
            rule.count != Some(0)
                && rule.fault.phase() == phase
                && rule.operation.is_none_or(|only| only == operation)
                && rule.queue.as_deref().is_none_or(|only| Some(only) == queue)
                && rule.share.is_none_or(|share| rng.f64() < share)
        })?;
        let fault = struck.fault;
        if let Some(count) = &mut struck.count {
            *count = count.saturating_sub(1);
        }
        self.rules.retain(|rule| rule.count != Some(0));
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(faults: &mut Faults, calls: usize) -> usize {
        (0..calls)
            .filter(|_| {
                faults
                    .draw(Phase::Before, Operation::PeekMessage, Some("q"))
                    .is_some()
            })
            .count()
    }

    #[test]
    fn a_count_strikes_exactly_so_often() {
        let mut faults = Faults::new(1);
        faults.replace(vec![FaultRule::next(Fault::InternalError, 3)]);
        assert_eq!(struck(&mut faults, 10), 3);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn a_share_strikes_about_so_often_and_the_same_for_the_same_seed() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.replace(vec![FaultRule::share(Fault::InternalError, 0.25)]);
            struck(&mut faults, 4000)
        };
        assert_eq!(run(5), run(5));
        assert!((800..1200).contains(&run(5)), "{}", run(5));
    }

    #[test]
    fn other_operations_and_queues_are_spared() {
        let mut faults = Faults::new(1);
        faults.replace(vec![
            FaultRule::always(Fault::InternalError).on(Operation::DeleteMessage),
            FaultRule::always(Fault::TooManyRequests).of_queue("other"),
        ]);
        assert_eq!(struck(&mut faults, 10), 0);
        assert_eq!(
            faults.draw(Phase::Before, Operation::DeleteMessage, Some("q")),
            Some(Fault::InternalError)
        );
    }

    #[test]
    fn json_forms() {
        let rules: Vec<FaultRule> = serde_json::from_str(
            r#"[{"fault":"reset_before","count":1},{"fault":{"slow":{"millis":20}},"share":0.5,"operation":"DeleteMessage"}]"#,
        )
        .unwrap();
        assert_eq!(rules[0], FaultRule::next(Fault::ResetBefore, 1));
        assert_eq!(rules[1].operation, Some(Operation::DeleteMessage));
        let error = serde_json::from_str::<FaultRule>(r#"{"fault":"explode"}"#).unwrap_err();
        assert!(error.to_string().contains("explode"), "{error}");
    }
}
