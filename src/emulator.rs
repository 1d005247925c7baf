//! .

pub mod scenario;
