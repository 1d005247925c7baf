//! Queue attributes with the vendor's ranges and defaults (documentation of `CreateQueue`).

use std::time::Duration;

use serde::Serialize;

use super::error::ApiError;

/// A queue's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attributes {
    /// Delay of messages that set none, 0 to 604,800 seconds.
    pub delay_seconds: u32,
    /// Size limit of a message, 1,024 to 65,536 bytes.
    pub maximum_message_size: u32,
    /// For how long a message is kept, 60 to 604,800 seconds.
    pub message_retention_period: u32,
    /// For how long a received message stays invisible, 1 to 43,200 seconds.
    pub visibility_timeout: u32,
    /// Long poll of receives that set none, 0 to 30 seconds.
    pub polling_wait_seconds: u32,
    /// Whether the vendor logs the queue's operations.
    pub logging_enabled: bool,
}

/// The attributes that a request gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributesPatch {
    /// `DelaySeconds`.
    pub delay_seconds: Option<u32>,
    /// `MaximumMessageSize`.
    pub maximum_message_size: Option<u32>,
    /// `MessageRetentionPeriod`.
    pub message_retention_period: Option<u32>,
    /// `VisibilityTimeout`.
    pub visibility_timeout: Option<u32>,
    /// `PollingWaitSeconds`.
    pub polling_wait_seconds: Option<u32>,
    /// `LoggingEnabled`.
    pub logging_enabled: Option<bool>,
}

// === impl Attributes ===

impl Default for Attributes {
    fn default() -> Self {
        Self {
            delay_seconds: 0,
            maximum_message_size: 65_536,
            message_retention_period: 345_600,
            visibility_timeout: 30,
            polling_wait_seconds: 0,
            logging_enabled: false,
        }
    }
}

impl Attributes {
    /// These attributes with those of `patch`, each within its range.
    pub fn patched(self, patch: &AttributesPatch) -> Result<Self, ApiError> {
        let ranged = |name, given: Option<u32>, current, low, high, unit| match given {
            None => Ok(current),
            Some(value) if (low..=high).contains(&value) => Ok(value),
            Some(_) => Err(ApiError::out_of_range(name, low, high, unit)),
        };
        Ok(Self {
            delay_seconds: ranged(
                "DelaySeconds",
                patch.delay_seconds,
                self.delay_seconds,
                0,
                604_800,
                " seconds",
            )?,
            maximum_message_size: ranged(
                "MaximumMessageSize",
                patch.maximum_message_size,
                self.maximum_message_size,
                1024,
                65_536,
                " bytes",
            )?,
            message_retention_period: ranged(
                "MessageRetentionPeriod",
                patch.message_retention_period,
                self.message_retention_period,
                60,
                604_800,
                " seconds",
            )?,
            visibility_timeout: ranged(
                "VisibilityTimeout",
                patch.visibility_timeout,
                self.visibility_timeout,
                1,
                43_200,
                " seconds",
            )?,
            polling_wait_seconds: ranged(
                "PollingWaitSeconds",
                patch.polling_wait_seconds,
                self.polling_wait_seconds,
                0,
                30,
                " seconds",
            )?,
            logging_enabled: patch.logging_enabled.unwrap_or(self.logging_enabled),
        })
    }

    pub(super) fn retention(&self) -> Duration {
        Duration::from_secs(self.message_retention_period.into())
    }

    pub(super) fn visibility(&self) -> Duration {
        Duration::from_secs(self.visibility_timeout.into())
    }
}
