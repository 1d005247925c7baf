//! What all Alibaba Cloud products share: credentials and request signatures.

pub mod credentials;
pub mod sign;
