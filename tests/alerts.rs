//! The alert rules, held against what the exporter really shows in simulated hours, and judged by promtool and amtool.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "alerts/edges.rs"]
mod edges;
#[path = "alerts/lint.rs"]
mod lint;
#[path = "alerts/memory.rs"]
mod memory;
#[path = "alerts/proof.rs"]
mod proof;
#[path = "alerts/queue.rs"]
mod queue;
#[path = "support/referees.rs"]
mod referees;
#[path = "alerts/rules.rs"]
mod rules;
#[path = "alerts/series.rs"]
mod series;
#[path = "alerts/sight.rs"]
mod sight;
#[path = "alerts/silence.rs"]
mod silence;
#[path = "alerts/sim.rs"]
mod sim;
#[path = "alerts/special.rs"]
mod special;
#[path = "alerts/table.rs"]
mod table;
#[path = "alerts/world.rs"]
mod world;
