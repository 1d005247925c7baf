//! Shared plumbing on hyper.

pub mod serve;
