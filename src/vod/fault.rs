//! Error codes and whose fault they are: the one table from code to fault.
//!
//! VOD publishes no closed list; codes outside this one become `other`.

use super::event::label_enum;

label_enum! {
    /// Whose fault a failure is.
    Fault {
        /// The uploaded file: a user's broken video never pages anybody.
        Source = "source",
        /// The account's own settings: templates, permissions, keys, buckets.
        Config = "config",
        /// VOD itself.
        Service = "service",
        /// Unknown.
        Other = "other",
    }
}

label_enum! {
    /// Error codes that are kept apart; all others are `other`.
    ErrorCode {
        /// Something went wrong inside VOD.
        InternalError = "InternalError",
        /// A failed event without a code.
        None = "none",
        /// Any code that is not in this list.
        Other = "other",
    }
}

/// Whose fault a failure is.
pub fn fault_of(_: super::event::EventType, _: Option<ErrorCode>) -> Fault {
    Fault::Other
}
