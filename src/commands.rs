//! The subcommands, one file each: its flags (`Args`) and its work (`execute`).

use std::future::Future;

use anyhow::Context as _;

pub mod check;
pub mod check_config;
pub mod demo;
pub mod emulate;
pub mod probe;
pub mod quarantine;
pub mod run;
pub mod simulate;
pub mod transcodes;
pub mod watched;

/// Threads that run tasks. The work is a few messages at a time and mostly waiting; the second thread keeps probes and
/// scrapes answered while the first decodes a full batch.
const WORKER_THREADS: usize = 2;

/// Runs `future` to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}
