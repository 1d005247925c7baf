//! The undocumented behaviours, each in the position that is not the default.

use vod_callback_exporter::emulator::{Behaviour, ContentMd5, Counters};

/// Names every switch, so that a new one must be thought of here.
///
/// Some cannot matter to an exporter: it signs with version 2, sends no body and deletes no queue here, and has neither
/// temporary credentials nor a dead-letter policy. Receipt handles would not survive a decoded target, and a listing without
/// attributes ends discovery's depth: `tests/emulator.rs` meets both. Those of batch sends, messages' sizes and priorities are met by
/// `tests/forward.rs`, those of dead letters by `tests/emulator.rs`,
/// those of policies by `tests/check.rs`.
pub(crate) fn other_behaviour() -> Behaviour {
    Behaviour {
        partial_batch_send_status: 200,
        partial_batch_delete_status: 200,
        delete_missing_queue_status: 404,
        clamp_batch_size: true,
        peek_deterministic: true,
        counters_lag_millis: 5_000,
        counters: Counters::Zero,
        peek_shows_delayed: true,
        verify_content_md5: false,
        accept_signature_v4: false,
        escape_quotes: false,
        max_long_polls: Some(1),
        expired_token_code: "InvalidAccessKeyId".to_owned(),
        missing_token_code: "SecurityTokenExpired".to_owned(),
        dead_letter_at_limit: true,
        dead_letter_keeps_id: true,
        advance_moves_date_check: true,
        refuse_empty_body: true,
        // The platform's traps are longer than a client could send: off in both positions.
        limit_message_size: false,
        accept_priority_zero: false,
        content_md5_form: ContentMd5::Hex,
        sign_decoded_target: false,
        check_namespace: true,
        list_with_meta: true,
        deleted_recently_millis: 60_000,
        batch_action_names: true,
        arguments_before_policy: true,
    }
}
