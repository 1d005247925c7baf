"""Queries that stay true however many replicas report the same queue.

How a metric is aggregated over replicas is the column of that name in docs/metrics.md; a test compares.
"""

INTERVAL = "$__rate_interval"
RANGE = "$__range"

# Queues of dead letters have messages, but no event of VOD.
LAST_EVENT = "vod_event_last_timestamp_seconds"
CALLBACKS = 'role="callback"'

# Replicas share the messages behind these in consume, and see the same ones in peek.
SHARED = {
    "mns_message_redeliveries_total",
    "mns_messages_seen_total",
    "vod_event_clock_skew_total",
    "vod_event_decode_failures_total",
    "vod_event_delivery_seconds",
    "vod_event_duplicates_total",
    "vod_event_failures_total",
    "vod_event_faults_total",
    "vod_events_total",
    "vod_reconciliations_total",
    "vod_stream_transcode_seconds",
    "vod_stream_transcodes_total",
    "vod_transcode_stalls_total",
    "vod_transcodes_closed_total",
}

# Series of these appear with their first count, which no rate and no increase contains. Each has a queue.
LATE = {
    "mns_requests_total",
    "vod_event_failures_total",
    "vod_events_total",
    "vod_stream_transcode_seconds",
    "vod_stream_transcodes_total",
}


def select(metric, *matchers, queue=True):
    """A selector for the chosen jobs and, unless the metric has no queue, queues."""
    chosen = ['job=~"$job"'] + ['queue=~"$queue"'] * queue
    return f"{metric}{{{', '.join([*chosen, *matchers])}}}"


def highest(metric, *matchers, by="queue", queue=True):
    """A gauge of which the largest of all replicas counts."""
    return f"max by ({by}) ({select(metric, *matchers, queue=queue)})"


def lowest(metric, *matchers, by="queue", queue=True):
    """A gauge of which the smallest of all replicas counts."""
    return f"min by ({by}) ({select(metric, *matchers, queue=queue)})"


def rate(metric, *matchers, by="", queue=True, window=INTERVAL):
    """A counter whose replicas add up, per second."""
    return _summed("rate", metric, matchers, by, queue, window)


def increase(metric, *matchers, by="", queue=True, window=RANGE):
    """A counter whose replicas add up, over the shown time."""
    return _summed("increase", metric, matchers, by, queue, window)


def counted(function, metric, *matchers, by="queue", window=INTERVAL):
    """A counter whose replicas share the messages in consume, and see the same ones in peek."""
    inner = f"sum by (job, instance, {by}) ({_of_series(function, metric, select(metric, *matchers), window)})"
    consumed = f'{inner} and on (job, instance, queue) mns_queue_info{{mode="consume"}}'
    return f"(sum by ({by}) ({consumed}) or max by ({by}) ({inner}))"


def quantile(share, histogram, *matchers, by="", queue=True, window=INTERVAL):
    """A quantile of a classic histogram; absent, rather than NaN, while nothing was observed."""
    keep = ", ".join(["le", by] if by else ["le"])
    of_window = increase if window == RANGE else rate
    counts = of_window(f"{histogram}_bucket", *matchers, by=keep, queue=queue, window=window)
    return f"histogram_quantile({share}, {counts}) >= 0"


def buckets(histogram, *matchers):
    """The buckets of a histogram as counts of each step, for a heatmap."""
    return increase(f"{histogram}_bucket", *matchers, by="le", window=INTERVAL)


def total(expression):
    """The sum over all queues of something that is already one series a queue."""
    return f"sum({expression})"


def worst(expression):
    """The largest value of all queues."""
    return f"max({expression})"


def down():
    """Exporters that cannot be scraped, and jobs of exporters without any target; absent if none was there for a day."""
    up, known = select("up", queue=False), select("vod_callback_exporter_build_info", queue=False)
    known = f"max by (job) (max_over_time({known}[1d]))"
    failing = f"(max by (job, instance) ({up}) == bool 0) and on (job) {known}"
    return f"sum({failing} or {known} unless on (job) {up})"


def seen_whole(expression):
    """Leaves out the queues of which a part is all that is seen: those that are peeked, or shared."""
    return f"({expression} and on (queue) {lowest('vod_transcode_view_complete')} == 1)"


def share(part, whole):
    """A ratio that is absent, rather than NaN, while there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def per_minute(expression):
    return f"60 * {expression}"


def age(timestamp):
    return f"time() - {timestamp}"


def oldest_age():
    """Age of each queue's oldest message; 0 for one that is empty, or seen whole and worked off; else absent."""
    waiting = age(lowest("mns_queue_oldest_message_timestamp_seconds"))
    empty = f"{lowest('mns_queue_empty')} == 1"
    worked_off = f"{lowest('vod_transcode_view_complete')} == 1 and on (queue) {highest('mns_queue_up')} == 1"
    return f"({waiting} or 0 * ({empty}) or 0 * ({worked_off}))"


def of_callbacks(expression):
    """Leaves out the queues that never had an event of VOD: dead letters."""
    return f"({expression} and on (queue) {highest(LAST_EVENT)})"


def with_worker(expression):
    """Leaves out the queues that nobody works off: dead letters."""
    return f"{expression} and on (queue) {highest('mns_queue_info', CALLBACKS)}"


def silence():
    """Time since the last event of each queue of which that can be said; it began at the watch if there was none."""
    since = lowest("vod_queue_watched_since_timestamp_seconds")
    return f"({age(f'({highest(LAST_EVENT)} and on (queue) {since} or {since})')})"


def depth(*matchers):
    """Messages of each queue."""
    return f"sum by (queue) ({highest('mns_queue_messages', *matchers, by='queue, state')})"


def _family(metric):
    return metric.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")


def _of_series(function, metric, series, window):
    """A rate or an increase; the increase of a series that appeared within the shown time is all that it counts.

    It appeared if its queue was scraped more often than the series itself. One that came together with its queue, such
    as that of an exporter which Prometheus has just begun to scrape, may have counted long before.
    """
    usual = f"{function}({series}[{window}])"
    starts_at_0 = metric == "vod_events_total" and ('status="success"' in series or 'status="fail"' in series)
    if function != "increase" or window != RANGE or _family(metric) not in LATE or starts_at_0:
        return usual
    scrapes = f"sum by (job, instance, queue) (count_over_time({select('mns_queue_info')}[{window}]))"
    later = f"count_over_time({series}[{window}]) < on (job, instance, queue) group_left () {scrapes}"
    return f"{series} unless {series} offset {window} and {later} or {usual}"


def _summed(function, metric, matchers, by, queue, window):
    if _family(metric) in SHARED:
        labels = [label.strip() for label in by.split(",") if label.strip()]
        of_queues = ["queue", *(label for label in labels if label != "queue")]
        each = counted(function, metric, *matchers, by=", ".join(of_queues), window=window)
        if set(labels) == set(of_queues):
            return each
        return f"sum{f' by ({by})' if by else ''} {each}"
    by = f" by ({by})" if by else ""
    return f"sum{by} ({_of_series(function, metric, select(metric, *matchers, queue=queue), window)})"
