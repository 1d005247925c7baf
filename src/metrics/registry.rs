//! The private registry's families through our writer, under the names and texts of the catalogue.

use prometheus::proto::{Metric, MetricFamily};

use super::catalogue::{self, Family, Kind};
use super::exposition::{FamilyWriter, Value, Writer};

/// Writes gathered families. One that is not in the catalogue is left out: the catalogue is the one list.
pub(super) fn write(gathered: &[MetricFamily], writer: &mut Writer<'_>) {
    for metrics in gathered {
        if let Some(family) = catalogue::find(metrics.name()) {
            let mut samples = writer.family(family);
            for metric in metrics.get_metric() {
                write_metric(family, metric, &mut samples);
            }
        }
    }
}

fn write_metric(family: &Family, metric: &Metric, samples: &mut FamilyWriter<'_>) {
    let mut labels: Vec<_> = metric
        .get_label()
        .iter()
        .map(|pair| (pair.name(), pair.value()))
        .collect();
    // The registry sorts them by name.
    labels.sort_by_key(|(name, _)| family.labels.iter().position(|label| label == name));
    match family.kind {
        Kind::Counter => samples.sample(&labels, Value::Float(metric.get_counter().get_value())),
        Kind::Gauge | Kind::Info => {
            samples.sample(&labels, Value::Float(metric.get_gauge().get_value()));
        }
        Kind::Histogram(bounds) => {
            let histogram = metric.get_histogram();
            let cumulated = histogram
                .get_bucket()
                .iter()
                .filter(|bucket| bucket.upper_bound().is_finite())
                .map(prometheus::proto::Bucket::cumulative_count)
                .chain([histogram.get_sample_count()]);
            let sum = Value::Float(histogram.get_sample_sum());
            samples.cumulated_histogram(bounds, &labels, cumulated, sum);
        }
    }
}
