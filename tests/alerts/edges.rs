//! Hand-made series at the edge of every threshold, and for every part of a rule alone, judged by promtool.
//!
//! The worlds of `table.rs` are far on either side of a threshold and would hold for any other one between. Here each
//! number of `thresholds.yaml` has a value shortly before it that is silent and one shortly after it that fires, and each
//! arm, window, label and gate of a rule is what decides a case. Only series that the exporter has can be written down.

#[path = "edges/case.rs"]
mod case;
#[path = "edges/memories.rs"]
mod memories;
#[path = "edges/parts.rs"]
mod parts;
#[path = "edges/scene.rs"]
mod scene;
#[path = "edges/scenes.rs"]
mod scenes;
#[path = "edges/sentences.rs"]
mod sentences;
#[path = "edges/thresholds.rs"]
mod thresholds;

/// For how long an alert outlives the exporter, which is less than any memory but that of credentials.
const MEMORY: u32 = 45;

/// Longer than the windows of counters.
const LONG: u32 = 75;
const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
