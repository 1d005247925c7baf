//! Receipt handles: opaque to clients, with the characters `+`, `/` and `=` in them so that a client that forgets to
//! escape or that turns `+` into a space is found out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a handle stands for: one issue of one message of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The queue's incarnation.
    pub(super) queue: u64,
    /// The message.
    pub(super) message: u64,
    /// The how-manieth handle of that message.
    pub(super) generation: u32,
}

/// Encodes as `+/+/` in base64.
const MARK: [u8; 3] = [0xFB, 0xFF, 0xBF];
const LEN: usize = MARK.len() + 8 + 8 + 4 + 2;

// === impl Receipt ===

impl Receipt {
    /// The handle as clients see it; `seed` keeps handles of other emulators from being taken for ours.
    pub(super) fn encode(self, seed: u64) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(&MARK);
        bytes.extend_from_slice(&self.queue.to_be_bytes());
        bytes.extend_from_slice(&self.message.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        let check = check(&bytes, seed);
        bytes.extend_from_slice(&check);
        let mut text = String::with_capacity(40);
        text.push_str("1-");
        STANDARD.encode_string(&bytes, &mut text);
        text
    }

    /// The receipt behind a handle; none for text that this emulator never issued.
    pub(super) fn decode(handle: &str, seed: u64) -> Option<Self> {
        let bytes = STANDARD.decode(handle.strip_prefix("1-")?).ok()?;
        let (signed, given) = bytes.split_at_checked(LEN - 2)?;
        if !signed.starts_with(&MARK) || given != check(signed, seed) {
            return None;
        }
        let number = |from: usize| {
            let bytes = signed.get(from..from + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        Some(Self {
            queue: number(3)?,
            message: number(11)?,
            generation: u32::from_be_bytes(signed.get(19..23)?.try_into().ok()?),
        })
    }
}

fn check(bytes: &[u8], seed: u64) -> [u8; 2] {
    let hash = xxh3_64_with_seed(bytes, seed).to_be_bytes();
    [hash[0], hash[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_round_trip_and_need_escaping() {
        let receipt = Receipt {
            queue: 3,
            message: 70_000,
            generation: 2,
        };
        let handle = receipt.encode(7);
        assert!(handle.contains('+') && handle.contains('/') && handle.ends_with('='));
        assert_eq!(Receipt::decode(&handle, 7), Some(receipt));
        assert_eq!(Receipt::decode(&handle, 8), None, "another emulator's");
        assert_eq!(Receipt::decode(&handle.replace('+', " "), 7), None);
        assert_eq!(Receipt::decode("garbage", 7), None);
        assert_eq!(Receipt::decode("1-AAAA", 7), None);
    }
}
