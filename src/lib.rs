//! Prometheus exporter and alerting sidecar for ApsaraVideo VOD callback queues in Alibaba MNS.
//!
//! # Layout
//!
//! ```text
//! source::{peek,consume} --Sighting--> vod::decode --Event--> recorder --Record--> ledger::store, then ledger
//!                                                                 |
//!                 committed: --ack--> source deletes              |
//!                 committed: --Snapshot--> metrics --> admin <----|
//!                 committed: --Troubles--> alertmanager <---------'
//! ```
//!
//! One direction; only [`app`] sees everything. Nothing leaves the ledger before it is committed.
//!
//! - [`cli`], [`commands`], [`app`]: command line, one file per subcommand, wiring
//! - [`config`], [`secret`], [`logging`], [`clock`]: the process's surroundings
//! - [`aliyun`], [`mns`], [`vod`]: what the cloud's products say and mean
//! - [`source`], [`forward`], [`recorder`], [`ledger`]: from messages to committed truth, and on to a worker
//! - [`reconcile`]: what VOD itself says of overdue transcodes
//! - [`alertmanager`]: alerts about single videos
//! - [`check`]: what a new installation gets wrong
//! - [`metrics`], [`admin`], [`http`]: what is shown
//! - [`emulator`]: a faithful local MNS and a simulated video platform

#![forbid(unsafe_code)]

pub mod admin;
pub mod alertmanager;
pub mod aliyun;
pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod emulator;
pub mod forward;
pub mod http;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod mns;
pub mod outage;
pub mod reconcile;
pub mod recorder;
pub mod secret;
pub mod signals;
pub mod source;
pub mod vod;
