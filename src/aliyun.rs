//! What all Alibaba Cloud products share: credentials, request signatures and the HTTP client.

pub mod credentials;
pub mod ram;
pub(crate) mod rpc;
pub mod sign;
pub mod transport;
