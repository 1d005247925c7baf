//! What the exporter does to the cloud, by what it is used for, and the RAM actions that this needs.
//!
//! The policies in `docs/ram/` are held against this list, and this list against what an emulator was asked.

use crate::config::QueueConfig;
use crate::ledger::snapshot::Mode;
use crate::mns::Operation;
use crate::vod::api;

/// A use of the exporter that needs permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// A queue with `mode: peek`.
    Peek,
    /// A queue with `mode: consume`.
    Consume,
    /// The target of `forward`.
    Forward,
    /// A `prefix` instead of a name.
    Discover,
    /// The option `vod`.
    Reconcile,
    /// `check`, to see whether VOD may write into queues; nothing else needs it.
    Check,
}

// === impl Use ===

impl Use {
    /// Every use.
    pub const ALL: [Self; 6] = [
        Self::Peek,
        Self::Consume,
        Self::Forward,
        Self::Discover,
        Self::Reconcile,
        Self::Check,
    ];

    /// The use that is made of a queue itself.
    pub fn of(queue: &QueueConfig) -> Self {
        match queue.identity.mode {
            Mode::Peek => Self::Peek,
            Mode::Consume => Self::Consume,
        }
    }

    /// The calls of MNS.
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Self::Peek => &[Operation::GetQueueAttributes, Operation::BatchPeekMessage],
            Self::Consume => &[
                Operation::GetQueueAttributes,
                Operation::BatchReceiveMessage,
                Operation::BatchDeleteMessage,
                Operation::ChangeMessageVisibility,
            ],
            Self::Forward => &[Operation::BatchSendMessage],
            Self::Discover => &[Operation::ListQueue],
            Self::Reconcile | Self::Check => &[],
        }
    }

    /// The calls of VOD.
    pub fn vod_operations(self) -> &'static [api::Operation] {
        match self {
            Self::Reconcile => &api::Operation::ALL,
            _ => &[],
        }
    }

    /// The actions to grant.
    pub fn actions(self) -> Vec<String> {
        let mns = self.operations().iter().flat_map(|it| actions(*it));
        let vod = self.vod_operations().iter().map(|it| format!("vod:{it}"));
        let ram = (self == Self::Check).then(|| "ram:GetRole".to_owned());
        mns.chain(vod).chain(ram).collect()
    }

    /// The file in `docs/ram/` that grants them.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Peek => "peek.json",
            Self::Consume => "consume.json",
            Self::Forward => "forward.json",
            Self::Discover => "discover.json",
            Self::Reconcile => "vod.json",
            Self::Check => "check.json",
        }
    }
}

/// The actions that a call of MNS needs. The vendor's page of actions has one for single and batch calls, the pages of
/// the calls have one each: both are granted.
pub fn actions(operation: Operation) -> Vec<String> {
    let name = operation.name();
    let single = name.strip_prefix("Batch");
    single
        .into_iter()
        .chain([name])
        .map(|name| format!("mns:{name}"))
        .collect()
}

/// The resource that they are granted on, `*` for a region or account that is not known.
pub fn resource(operation: Operation, region: &str, account: &str, queue: &str) -> String {
    let known = |text: &str| if text.is_empty() { "*" } else { text }.to_owned();
    let (region, account) = (known(region), known(account));
    let path = match operation {
        Operation::ListQueue => "/queues".to_owned(),
        Operation::GetQueueAttributes => format!("/queues/{queue}"),
        _ => format!("/queues/{queue}/messages"),
    };
    format!("acs:mns:{region}:{account}:{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_call_is_granted_by_both_names() {
        assert_eq!(
            Use::Peek.actions(),
            [
                "mns:GetQueueAttributes",
                "mns:PeekMessage",
                "mns:BatchPeekMessage"
            ]
        );
    }

    #[test]
    fn a_resource_is_as_narrow_as_can_be() {
        let attributes = Operation::GetQueueAttributes;
        assert_eq!(
            resource(attributes, "cn-shanghai", "1", "q"),
            "acs:mns:cn-shanghai:1:/queues/q"
        );
        assert_eq!(
            resource(Operation::BatchPeekMessage, "", "", "q"),
            "acs:mns:*:*:/queues/q/messages"
        );
    }
}
