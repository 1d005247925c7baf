//! What the vendor does not document: each guess is a named switch, so that a client can be tried in both positions.

use serde::{Deserialize, Serialize};

/// The switches. Changed at run time through [`Handle::set_behaviour`](super::Handle::set_behaviour) or
/// `POST /-/emulator/behaviour`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch with a name"
)]
pub struct Behaviour {
    /// Status of a `BatchSendMessage` that failed in part: documented as "not 2xx", the SDKs handle 500. Default 500.
    pub partial_batch_send_status: u16,
    /// Status of a `BatchDeleteMessage` that failed in part: the documented sample has 404. Default 404.
    pub partial_batch_delete_status: u16,
    /// Status of `DeleteQueue` for a missing queue, 204 or 404 (`QueueNotExist`). Default 204.
    pub delete_missing_queue_status: u16,
    /// `numOfMessages` outside 1 to 16 is clamped instead of refused with 400 `InvalidArgument`. Default false.
    pub clamp_batch_size: bool,
    /// Peeks look at the stripes in a fixed order, so that two of them agree. Default false: shuffled.
    pub peek_deterministic: bool,
    /// How stale the counters of `GetQueueAttributes` may be, in milliseconds: they are documented as approximate.
    /// Default 0: exact.
    pub counters_lag_millis: u64,
    /// What the three counters show. Default `exact`.
    pub counters: Counters,
    /// Peeks show delayed messages too, after the Active ones. Default false, as the states are documented.
    pub peek_shows_delayed: bool,
    /// A `Content-MD5` that does not fit the body is refused with 400 `InvalidDegist`. Default true.
    pub verify_content_md5: bool,
    /// Signature version 4 is accepted. Default true.
    pub accept_signature_v4: bool,
    /// `"` in bodies is written as `&quot;`. Default true; false leaves it bare.
    pub escape_quotes: bool,
    /// More concurrent long polls than this are answered 404 `MessageNotExist` at once: the vendor has such a ceiling
    /// and does not publish it. Default none: no ceiling.
    pub max_long_polls: Option<u32>,
    /// Code of the 403 for an expired or wrong security token. Default `SecurityTokenExpired`.
    pub expired_token_code: String,
    /// Code of the 403 for a temporary access key that comes without its token. Default `InvalidAccessKeyId`.
    pub missing_token_code: String,
    /// A message is dead-lettered once it was received as often as the policy says (`true`), or only after it was
    /// received more often (`false`, the documented wording). Default false.
    pub dead_letter_at_limit: bool,
    /// A dead-lettered message keeps its id. Default false: it gets a new one and names the old in
    /// `DLQOriginMessageId`.
    pub dead_letter_keeps_id: bool,
    /// Advancing the emulator's clock also moves the clock that judges request dates, so that honest clients get 408
    /// `TimeExpired` once it went further than 15 minutes. Default false.
    pub advance_moves_date_check: bool,
    /// An empty or missing `MessageBody` is refused with 400 `InvalidArgument`. Default false.
    pub refuse_empty_body: bool,
    /// A message longer than the queue's `MaximumMessageSize` is refused. Default true; false lets a producer inside the
    /// service write what a client could not.
    pub limit_message_size: bool,
    /// `Priority` 0, which the Go SDK sends for "unset", means the default. Default true; false refuses it.
    pub accept_priority_zero: bool,
    /// Which form of `Content-MD5` is right. Default `either`.
    pub content_md5_form: ContentMd5,
    /// Signatures of version 2 are over the percent-decoded target. Default false: over the bytes that were sent.
    pub sign_decoded_target: bool,
    /// A root element in another namespace than MNS's is refused with 400 `MalformedXML`; none at all is accepted. Default
    /// false.
    pub check_namespace: bool,
    /// `x-mns-with-meta` makes `ListQueue` tell attributes. Default true.
    pub list_with_meta: bool,
    /// For how long a deleted queue cannot be created again, in milliseconds: 400 `QueueDeletedRecently`. Default 0.
    pub deleted_recently_millis: u64,
    /// A batch call needs the RAM action of its own name, as the pages of the calls say, rather than that of the call for
    /// one message, as the page of the actions says. Default false.
    pub batch_action_names: bool,
    /// Arguments are judged before permissions. Default false.
    pub arguments_before_policy: bool,
}

/// What `Content-MD5` holds: the documents and the SDKs do not agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentMd5 {
    /// Both are right.
    #[default]
    Either,
    /// Base64 of the digest's hex text, as the SDKs send it.
    Hex,
    /// Base64 of the digest itself, as the HTTP header is defined.
    Digest,
}

/// What becomes of the depth counters, which the vendor retires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counters {
    /// They count.
    #[default]
    Exact,
    /// They read 0, which is what the vendor announces.
    Zero,
    /// Their elements are left out, which the Python SDK does not survive.
    Absent,
}

// === impl Behaviour ===

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            partial_batch_send_status: 500,
            partial_batch_delete_status: 404,
            delete_missing_queue_status: 204,
            clamp_batch_size: false,
            peek_deterministic: false,
            counters_lag_millis: 0,
            counters: Counters::Exact,
            peek_shows_delayed: false,
            verify_content_md5: true,
            accept_signature_v4: true,
            escape_quotes: true,
            max_long_polls: None,
            expired_token_code: "SecurityTokenExpired".to_owned(),
            missing_token_code: "InvalidAccessKeyId".to_owned(),
            dead_letter_at_limit: false,
            dead_letter_keeps_id: false,
            advance_moves_date_check: false,
            refuse_empty_body: false,
            limit_message_size: true,
            accept_priority_zero: true,
            content_md5_form: ContentMd5::Either,
            sign_decoded_target: false,
            check_namespace: false,
            list_with_meta: true,
            deleted_recently_millis: 0,
            batch_action_names: false,
            arguments_before_policy: false,
        }
    }
}

impl Behaviour {
    /// These switches with those of `patch` on top; an unknown name or a wrong type is told by name.
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Self, String> {
        let serde_json::Value::Object(patch) = patch else {
            return Err("expected a JSON object of behaviour switches".to_owned());
        };
        let mut value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let serde_json::Value::Object(fields) = &mut value {
            fields.extend(patch.clone());
        }
        let patched: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        for status in [
            patched.partial_batch_send_status,
            patched.partial_batch_delete_status,
            patched.delete_missing_queue_status,
        ] {
            if !(200..=599).contains(&status) {
                return Err(format!("status {status}; expected 200 to 599"));
            }
        }
        Ok(patched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_refuses_what_it_does_not_know() {
        let patched = Behaviour::default()
            .patched(&serde_json::json!({"partial_batch_send_status": 200}))
            .unwrap();
        assert_eq!(patched.partial_batch_send_status, 200);
        assert_eq!(patched.partial_batch_delete_status, 404);
        let error = patched
            .patched(&serde_json::json!({"peek_randomly": true}))
            .unwrap_err();
        assert!(error.contains("peek_randomly"), "{error}");
        let error = patched
            .patched(&serde_json::json!({"partial_batch_send_status": 99}))
            .unwrap_err();
        assert!(error.contains("99"), "{error}");
    }

    #[test]
    fn the_documentation_lists_every_switch_with_its_default() {
        let page = include_str!("../../docs/emulator.md");
        let switches = serde_json::to_value(Behaviour::default()).unwrap();
        for (name, default) in switches.as_object().unwrap() {
            let default = match default {
                serde_json::Value::String(_) => format!("`{default}`"),
                other => other.to_string(),
            };
            let row = format!("| `{name}` | {default} |");
            assert!(page.contains(&row), "no row {row}");
        }
    }
}
