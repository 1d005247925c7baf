//! Transcodes under way, and what became of them.

use super::{histogram, names, per_queue};
use crate::ledger::counts::TRANSCODE_STATUSES;
use crate::ledger::{Mode, QueueSnapshot, Stage, Transcodes, Verdict};
use crate::metrics::catalogue::{Family, OBJECTIVE_RESULTS};
use crate::metrics::exposition::Writer;

pub(super) fn write(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    write_times(queues, writer);
    let tracked = |queue: &QueueSnapshot| queue.transcodes.clone();
    per_queue(writer, &names::TRANSCODES_IN_FLIGHT, queues, |queue| {
        tracked(queue).map(|transcodes| transcodes.in_flight)
    });
    per_queue(writer, &names::TRANSCODE_OLDEST, queues, |queue| {
        tracked(queue).and_then(|transcodes| transcodes.oldest)
    });
    per_queue(writer, &names::TRANSCODE_STALLS, queues, |queue| {
        tracked(queue).map(|_| queue.counts.stalls)
    });
    let open = Verdict::ALL.iter().filter(|verdict| !verdict.closes());
    labelled(
        writer,
        &names::TRANSCODES_OVERDUE,
        queues,
        &open.map(|verdict| verdict.as_str()),
        |_, transcodes, index| transcodes.overdue.get(index).copied(),
    );
    labelled(
        writer,
        &names::TRANSCODES_STALLED,
        queues,
        &Stage::ALL.iter().map(|stage| stage.as_str()),
        |_, transcodes, index| transcodes.stalled.get(index).copied(),
    );
    per_queue(writer, &names::CALLBACKS_LOST, queues, |queue| {
        complete(queue).then(|| queue.counts.closed[Verdict::CallbackLost.index()])
    });
    // What is said without VOD's answer is no verdict of a reconciliation.
    let asked = Verdict::ALL
        .iter()
        .filter(|verdict| !matches!(verdict, Verdict::Unasked | Verdict::Abandoned));
    let mut family = writer.family(&names::RECONCILIATIONS);
    for queue in queues {
        if queue
            .transcodes
            .as_ref()
            .is_some_and(|transcodes| transcodes.reconciled)
        {
            for verdict in asked.clone() {
                let count = queue.counts.reconciliations.get(verdict.index()).copied();
                let labels = [
                    ("queue", &*queue.identity.id),
                    ("verdict", verdict.as_str()),
                ];
                family.sample(&labels, count.unwrap_or_default());
            }
        }
    }
    let first = Verdict::ALL
        .iter()
        .take_while(|verdict| !verdict.closes())
        .count();
    labelled(
        writer,
        &names::TRANSCODES_CLOSED,
        queues,
        &Verdict::ALL
            .iter()
            .skip(first)
            .map(|verdict| verdict.as_str()),
        |queue, _, index| queue.counts.closed.get(first + index).copied(),
    );
}

fn write_times(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    let mut family = writer.family(&names::TRANSCODE_SECONDS);
    for queue in queues.iter().filter(|queue| complete(queue)) {
        for (status, times) in TRANSCODE_STATUSES.iter().zip(&queue.counts.transcode) {
            let labels = [("queue", &*queue.identity.id), ("status", *status)];
            family.histogram(names::TRANSCODE, &labels, times.into());
        }
    }
    histogram(
        writer,
        &names::TIME_TO_PLAYABLE,
        names::TRANSCODE,
        queues,
        |queue| complete(queue).then_some(&queue.counts.playable),
    );
    histogram(
        writer,
        &names::STREAM_TRANSCODE_WAIT,
        names::TRANSCODE,
        queues,
        |queue| complete(queue).then_some(&queue.counts.stream_wait),
    );
    let mut family = writer.family(&names::PLAYABLE_OBJECTIVE);
    for queue in queues.iter().filter(|queue| complete(queue)) {
        for (result, count) in OBJECTIVE_RESULTS.iter().zip(queue.counts.objective) {
            family.sample(
                &[("queue", &*queue.identity.id), ("result", *result)],
                count,
            );
        }
    }
}

fn complete(queue: &QueueSnapshot) -> bool {
    queue.identity.mode == Mode::Consume && queue.transcodes.is_some()
}

/// Writes a family with the label `queue` and a second one, whose values come in the order of the index.
fn labelled(
    writer: &mut Writer<'_>,
    family: &'static Family,
    queues: &[QueueSnapshot],
    values: &(impl Iterator<Item = &'static str> + Clone),
    count: impl Fn(&QueueSnapshot, &Transcodes, usize) -> Option<u64>,
) {
    let label = family.labels.last().copied().unwrap_or_default();
    let mut family = writer.family(family);
    for queue in queues {
        let Some(transcodes) = &queue.transcodes else {
            continue;
        };
        for (index, value) in values.clone().enumerate() {
            if let Some(count) = count(queue, transcodes, index) {
                family.sample(&[("queue", &*queue.identity.id), (label, value)], count);
            }
        }
    }
}
