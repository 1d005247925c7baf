//! The exporter's counts in the words of the platform's ground truth.

use std::collections::BTreeMap;

use vod_callback_exporter::emulator::scenario::{QueueTruth, Table};
use vod_callback_exporter::ledger::Counts;
use vod_callback_exporter::vod::event::{Definition, EventType, Status, Undecodable};
use vod_callback_exporter::vod::fault::Fault as Blame;

/// What the exporter says of a queue.
pub(crate) fn told(counts: &Counts) -> QueueTruth {
    QueueTruth {
        messages: counts.messages_seen,
        duplicates: counts.duplicates,
        events: table(&counts.events, EventType::ALL, Status::ALL),
        failures: counts
            .failures
            .iter()
            .fold(Table::new(), |mut table, ((event, code), count)| {
                table
                    .entry(event.to_string())
                    .or_default()
                    .insert(code.to_string(), *count);
                table
            }),
        faults: table(&counts.faults, EventType::ALL, Blame::ALL),
        decode_failures: Undecodable::ALL
            .iter()
            .zip(&counts.decode_failures)
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| (reason.to_string(), *count))
            .collect(),
        streams: table(&counts.streams, Definition::ALL, Status::ALL),
    }
}

fn table<const N: usize>(
    rows: &[[u64; N]],
    outer: &[impl ToString],
    inner: &[impl ToString],
) -> Table {
    let mut table = Table::new();
    for (outer, row) in outer.iter().zip(rows) {
        let counts: BTreeMap<String, u64> = inner
            .iter()
            .zip(row)
            .filter(|(_, count)| **count > 0)
            .map(|(inner, count)| (inner.to_string(), *count))
            .collect();
        if !counts.is_empty() {
            table.insert(outer.to_string(), counts);
        }
    }
    table
}
