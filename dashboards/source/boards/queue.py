"""Queue: does somebody take the callbacks, before MNS deletes them?"""

from grafana import (
    BAD,
    CALM,
    CLOCK,
    COUNT,
    GOOD,
    MUTED,
    P50,
    P95,
    PER_MINUTE,
    REASON_COLORS,
    ROUGHLY,
    SECONDS,
    SHARE,
    WARN,
    Board,
    Column,
    heatmap,
    lines,
    question,
    stat,
    table,
    words,
)
from promql import (
    RANGE,
    age,
    buckets,
    counted,
    depth,
    highest,
    increase,
    lowest,
    oldest_age,
    per_minute,
    quantile,
    rate,
    share,
    total,
    with_worker,
    worst,
)

REQUESTS = "mns_requests_total"
FAILED = 'code!~"ok|empty"'
RETENTION = "mns_queue_retention_seconds"
PROGRESS = "mns_queue_progress_timestamp_seconds"
YES_NO = words(_1=("yes", MUTED), _0=("no", WARN))


def board():
    board = Board("vod-queue", "One queue, or all: its backlog, its worker, its poison and its reads.")
    board.line(
        3,
        question("Does somebody take messages?", "How long none was taken though some wait, and how many there are."),
        question("Will callbacks be lost?", "MNS deletes a message that is older than the queue's retention."),
        question("Is a message poison?", "One that is delivered again and again, because a worker dies on it."),
        question("Can the queue be read?", "Calls of the exporter to MNS, and what became of them."),
    )
    board.line(4, *taken(), *lost(), *poison(), *read())
    board.line(9, *charts())
    board.section("Settings and checks")
    board.line(7, *settings())
    board.section("Latency")
    board.line(9, *latency())
    board.section("Messages")
    board.line(9, *messages())
    return board


def taken():
    taken = f"{age(highest(PROGRESS))} < on (queue) {oldest_age()}"
    yield stat(
        "Untaken for",
        """How long messages wait while nobody takes any: since one was last taken (our delete, a dequeue count that grew,
        a message that left) or, if that is shorter or none ever was, the age of the oldest. The worst queue, dead letters
        left out; 0 for an empty one, also if MNS has emptied it. Not known while no age is, or the exporter is down.""",
        worst(with_worker(f"({taken} or {oldest_age()})")),
        unit=SECONDS,
        steps=[GOOD, (300, WARN), (900, BAD)],
        runbook="VodBacklogStuck",
    )
    yield stat(
        "Messages",
        """Waiting, hidden and delayed messages; an estimate of MNS, not known where it cannot be trusted, or while the
        exporter is down.""",
        total(depth()),
        unit=ROUGHLY,
    )


def lost():
    yield stat(
        "Retention",
        "Age of the oldest message as a share of the retention, worst queue. At 100 % MNS deletes it.",
        worst(f"{oldest_age()} / {highest(RETENTION)}"),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.5, WARN), (0.75, BAD)],
        runbook="VodCallbacksExpiring",
    )
    yield stat(
        "Empty in",
        """How long the backlog lasts at its pace of the last 15 minutes, or of 5 while its oldest message is younger
        than that; the worst queue, dead letters left out. Never: a backlog gets no smaller. Where MNS counts no messages,
        by how fast the age of the oldest falls, which in a burst, whose messages are all as old, is at its end only. None
        known: no message is older than 5 minutes, or the exporter is down.""",
        worst(empty_in()),
        unit=SECONDS,
        decimals=0,
        steps=[GOOD, (7200, WARN)],
        mappings=words(Infinity=("never", BAD)),
        runbook="VodBacklogDrainsSlowly",
        no_value="none known",
    )


def empty_in():
    """How long each queue with an old message takes to be empty; infinite, by a pace of 0, for one that never is."""
    oldest = lowest("mns_queue_oldest_message_timestamp_seconds")
    pace = lambda window: f"clamp_min(-deriv({depth()}[{window}:1m]), 0)"
    # Within a window longer than the oldest message waits, the backlog came.
    by_number = f"{depth()} / ({pace('15m')} and on (queue) {age(oldest)} >= 900 or {pace('5m')})"
    by_age = f"({age(oldest)}) / clamp_min(deriv({oldest}[15m:1m]) - 1, 0) unless on (queue) {depth()}"
    return with_worker(f"({by_number} or {by_age}) and on (queue) {age(oldest)} > 300")


def poison():
    yield stat(
        "Deliveries",
        "How often the most delivered message that is still in a queue has been received.",
        worst(highest("mns_queue_dequeue_count_max")),
        decimals=0,
        steps=[GOOD, (3, WARN), (10, BAD)],
        runbook="VodPoisonMessage",
    )
    again = counted("increase", "mns_message_redeliveries_total", window=RANGE)
    yield stat(
        "Redelivered",
        """Deliveries beyond the first for each message of the shown time. Not known while no message is seen, or while
        the exporter is down.""",
        share(total(again), total(counted("increase", "mns_messages_seen_total", window=RANGE))),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.05, WARN), (0.5, BAD)],
        runbook="VodRedeliveryStorm",
    )


def read():
    yield stat(
        "Unreadable",
        """Queues whose last read failed on every replica; the exporter's log has reason and remedy. Not known while
        the exporter is down.""",
        total(f"{highest('mns_queue_up')} == bool 0"),
        steps=[GOOD, (1, BAD)],
        runbook="VodQueueUnreadable",
    )
    failed = f"({increase(REQUESTS, FAILED)} or 0 * {increase(REQUESTS)})"
    yield stat(
        "Failed calls",
        "Share of the calls to MNS of the shown time that failed. An empty queue is no failure.",
        share(failed, increase(REQUESTS)),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.01, WARN), (0.1, BAD)],
    )


def charts():
    yield lines(
        "Messages by state",
        "active: can be received; inactive: with a worker; delayed: not due yet. An estimate of MNS.",
        (f"sum by (state) ({highest('mns_queue_messages', by='queue, state')})", "{{state}}"),
        unit=COUNT,
        stack=True,
        colors={"active": WARN, "inactive": CALM, "delayed": MUTED},
        decimals=0,
        no_value="MNS tells no depth, or it cannot be trusted",
    )
    yield lines(
        "Age of the oldest message",
        "By queue; 0 while a queue is empty. In peek a lower bound.",
        (oldest_age(), "{{queue}}"),
        unit=CLOCK,
        no_value="no queue was read",
    )
    yield lines(
        "Redeliveries",
        "Deliveries of a message beyond its first, by queue.",
        (per_minute(counted("rate", "mns_message_redeliveries_total")), "{{queue}}"),
        unit=PER_MINUTE,
        no_value="no message yet",
    )
    yield lines(
        "Calls by outcome",
        "Calls to MNS, each of which is billed. empty: a queue without messages, which is no failure.",
        (per_minute(rate(REQUESTS, by="code")), "{{code}}"),
        unit=PER_MINUTE,
        stack=True,
        colors={"ok": GOOD, "empty": CALM},
        no_value="no call yet",
    )


def settings():
    label = lambda title, name: Column(title, label=name)
    columns = [
        Column("Queue", label="queue", width=170),
        Column("In MNS", label="mns_queue", width=170),
        label("Account", "account"),
        label("Region", "mns_region"),
        label("Mode", "mode"),
        Column("Retention", highest(RETENTION), unit=SECONDS, decimals=0),
        Column("Hidden for", highest("mns_queue_visibility_timeout_seconds"), unit=SECONDS, decimals=0),
        Column("Trusted", lowest("mns_queue_depth_trusted"), mappings=YES_NO, steps=[MUTED]),
        Column(
            "Sees all",
            lowest("vod_transcode_view_complete"),
            mappings=words(_1=("yes", MUTED), _0=("no", MUTED)),
            steps=[MUTED],
        ),
        Column("info", highest("mns_queue_info", by="queue, mns_queue, account, mns_region, mode"), hidden=True),
    ]
    yield table(
        "Queues",
        """What the queues are. Hidden for: the visibility timeout of a message that was received. Trusted: whether the depth that MNS tells can be. Sees all: only
        in consume, and while nobody else consumes. A dash: not known yet.""",
        columns,
        no_value="no queue is watched",
        w=16,
    )
    yield table(
        "VOD's callback configuration",
        "Whether VOD pushes to where we look. The log names the remedy. Needs `vod`.",
        [
            Column("Queue", label="queue"),
            Column("Check", label="check", width=100),
            Column(
                "Fits",
                lowest("vod_callback_config_ok", by="queue, check"),
                width=80,
                mappings=words(_1=("yes", GOOD), _0=("no", BAD)),
                steps=[MUTED],
            ),
        ],
        no_value="VOD is not asked, or has not answered yet",
        w=8,
    )


def latency():
    yield heatmap(
        "Wait in the queue",
        "From the arrival of a message to its first dequeue. Only while the queue is seen whole.",
        buckets("mns_message_wait_seconds"),
        unit=SECONDS,
        no_value="only known in consume",
    )
    yield heatmap(
        "Delivery from VOD to MNS",
        "From the event in VOD to its arrival in the queue; an event's time is in whole seconds.",
        buckets("vod_event_delivery_seconds"),
        unit=SECONDS,
        no_value="no event arrived",
    )
    processing = "mns_message_processing_seconds"
    yield lines(
        "Processing by the exporter",
        "From receiving a message to its confirmed deletion. Only in consume.",
        (quantile(0.5, processing), "p50", P50),
        (quantile(0.95, processing), "p95", P95),
        unit=SECONDS,
        no_value="only known in consume",
        w=8,
    )


def messages():
    yield lines(
        "Messages seen",
        "Distinct messages. In peek a part of what was sent.",
        (per_minute(counted("rate", "mns_messages_seen_total")), "{{queue}}"),
        unit=PER_MINUTE,
        no_value="no message yet",
        w=8,
    )
    yield lines(
        "Not counted as events",
        """Duplicates of an event under another message id, bodies that cannot be decoded by reason,
        and events from the future (clock skew).""",
        (per_minute(rate("vod_event_duplicates_total")), "duplicate", MUTED),
        (per_minute(rate("vod_event_clock_skew_total")), "clock skew", "dark-green"),
        (f"{per_minute(rate('vod_event_decode_failures_total', by='reason'))} > 0", "{{reason}}"),
        unit=PER_MINUTE,
        bars=True,
        colors=REASON_COLORS,
        no_value="no message yet",
        w=8,
    )
    forwarded = rate("vod_callback_exporter_forwarded_messages_total", by="target, result")
    yield lines(
        "Forwarded",
        "Messages passed on to a worker's queue; refused ones are in quarantine, failed ones are offered again.",
        (per_minute(forwarded), "{{target}}: {{result}}"),
        unit=PER_MINUTE,
        no_value="no queue is forwarded",
        w=8,
    )
