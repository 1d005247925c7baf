"""Overview: is it us, MNS or VOD?"""

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
    SECONDS,
    SHARE,
    WARN,
    Board,
    Column,
    bars,
    drill,
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
    down,
    highest,
    increase,
    of_callbacks,
    oldest_age,
    per_minute,
    quantile,
    rate,
    share,
    silence,
    total,
    worst,
)

OBJECTIVE = "vod_playable_objective_total"
OBJECTIVE_IS = "The objective is transcodes.playable_objective of the queue's config, 10 minutes unless set."
FAULTS = "vod_event_faults_total"
FAULT_COLORS = {"source": CALM, "config": WARN, "service": BAD, "other": MUTED}
EVENTS = "vod_events_total"


def board():
    board = Board("vod-overview", "Where a video waits: with our worker, in MNS, or with VOD.")
    board.line(
        3,
        question("Do viewers wait?", "Videos that are stuck now, and how many were playable within the objective."),
        question("Is it us?", "Callbacks wait, or come again.", w=3),
        exporter(),
        question("Is it MNS?", "Queues that cannot be read, in which nothing arrives, or late."),
        question("Is it VOD?", "Jobs that fail by VOD's own fault, callbacks that it never sent.", w=5),
    )
    board.line(4, *viewers(), *us(), *mns(), *vod())
    board.line(9, *charts())
    board.section("Where")
    board.line(6, queues())
    board.section("What happened")
    board.line(9, *curves())
    board.line(9, *events())
    return board


def viewers():
    yield stat(
        "Stalled now",
        """Videos past their deadline that make no progress; /api/v1/transcodes names them. Not known in peek without
        vod, nor while the exporter is down.""",
        total(highest("vod_transcodes_stalled", by="queue, stage")),
        steps=[GOOD, (1, BAD)],
        runbook="VodTranscodesStalled",
    )
    good = increase(OBJECTIVE, 'result="good"')
    yield stat(
        "In time",
        f"""Share of the videos of the shown time that had a good stream within the objective. {OBJECTIVE_IS}
        Faults of the source do not count. Green from the service level of the alerts: 99 %, unless
        alerts/rules/thresholds.yaml was changed. Not known before a video was judged, in peek, or while the
        exporter is down.""",
        share(good, increase(OBJECTIVE)),
        unit=SHARE,
        decimals=1,
        steps=[BAD, (0.95, WARN), (0.99, GOOD)],
        runbook="VodPlayableBudgetBurnsFast",
    )


def exporter():
    return stat(
        "Exporter down",
        """Exporters that Prometheus knows and cannot scrape, and jobs of which it has lost every exporter within a day.
        While one is down, numbers here are missing, or those of the others.""",
        down(),
        steps=[GOOD, (1, BAD)],
        runbook="VodExporterDown",
        no_value="none known",
        w=4,
    )


def us():
    yield stat(
        "Oldest",
        """Age of the oldest message in any queue of callbacks; 0 when all are empty. In peek a lower
        bound. Queues without any event of VOD, such as dead letters, are left out. Not known before the first
        event, or while the exporter is down.""",
        worst(of_callbacks(oldest_age())),
        unit=SECONDS,
        steps=[GOOD, (300, WARN), (900, BAD)],
        runbook="VodBacklogStuck",
    )
    again = counted("increase", "mns_message_redeliveries_total", window=RANGE)
    yield stat(
        "Redelivered",
        """Deliveries beyond the first for each message of the shown time: a worker that dies, or that is
        slower than the queue's visibility timeout. Not known while no message is seen, or while the
        exporter is down.""",
        share(total(again), total(counted("increase", "mns_messages_seen_total", window=RANGE))),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.05, WARN), (0.5, BAD)],
        runbook="VodRedeliveryStorm",
        w=4,
    )


def mns():
    yield stat(
        "Unreadable",
        """Queues whose last read failed on every replica; the exporter's log has reason and remedy. Not known while
        the exporter is down.""",
        total(f"{highest('mns_queue_up')} == bool 0"),
        steps=[GOOD, (1, BAD)],
        runbook="VodQueueUnreadable",
    )
    yield stat(
        "Silence",
        """Time since the last event of the quietest queue, of those that are seen whole (consume). An event
        type that is no longer ticked, or a wrong endpoint, shows as nothing but silence. Not known in peek, or
        while the exporter is down.""",
        worst(silence()),
        unit=SECONDS,
        steps=[GOOD, (1800, WARN), (7200, BAD)],
        runbook="VodQueueSilent",
    )


def vod():
    yield stat(
        "VOD faults",
        """Share of the events of the shown time that failed for reasons of VOD's own, such as InternalError.
        docs/metrics.md says whose fault which code is. Not known before the first event, or while the
        exporter is down.""",
        share(increase(FAULTS, 'fault="service"'), total(counted("increase", EVENTS, window=RANGE))),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.01, WARN), (0.1, BAD)],
        runbook="VodServiceFaults",
    )
    yield stat(
        "Lost",
        """Transcodes of the shown time that VOD has finished without a callback. Not known in peek, without vod, or
        while the exporter is down.""",
        increase("vod_callbacks_lost_total"),
        decimals=0,
        steps=[GOOD, (1, WARN)],
        runbook="VodCallbacksLost",
        w=2,
    )


def charts():
    playable = "vod_time_to_playable_seconds"
    yield lines(
        "Time to playable",
        f"From the end of an upload to the first good stream. {OBJECTIVE_IS} Only in consume.",
        (quantile(0.5, playable), "p50", P50),
        (quantile(0.95, playable), "p95", P95),
        unit=SECONDS,
        no_value="no video became playable, or the queues are only peeked",
    )
    yield lines(
        "Age of the oldest message",
        "By queue; 0 while a queue is empty. In peek a lower bound.",
        (oldest_age(), "{{queue}}"),
        unit=CLOCK,
        w=7,
        no_value="no queue was read",
    )
    yield lines(
        "Delivery from VOD to MNS",
        "From the event in VOD to its arrival in the queue, the slowest of 20 events (p95).",
        (quantile(0.95, "vod_event_delivery_seconds", by="queue"), "{{queue}}"),
        unit=SECONDS,
        no_value="no event arrived",
    )
    yield lines(
        "Failed events by fault",
        """Whose fault: source (the uploaded file), config (this account's settings), service (VOD)
        or other. docs/metrics.md has the codes.""",
        (per_minute(rate(FAULTS, by="fault")), "{{fault}}"),
        unit=PER_MINUTE,
        bars=True,
        colors=FAULT_COLORS,
        w=5,
        no_value="no event yet",
    )


def queues():
    columns = [
        Column("Queue", label="queue", link=drill("vod-queue", "Queue board of this queue"), width=220),
        Column("Mode", label="mode"),
        Column("Read", highest("mns_queue_up"), mappings=words(_1=("ok", GOOD), _0=("fails", BAD)), steps=[MUTED]),
        Column("Messages", depth(), decimals=0),
        Column("Oldest", oldest_age(), unit=SECONDS, decimals=0, steps=[MUTED, (300, WARN), (900, BAD)]),
        Column("Last taken", age(highest("mns_queue_progress_timestamp_seconds")), unit=SECONDS, decimals=0),
        Column(
            "Redelivered", per_minute(counted("rate", "mns_message_redeliveries_total")), unit=PER_MINUTE, decimals=1
        ),
        Column("Last event", age(highest("vod_event_last_timestamp_seconds")), unit=SECONDS, decimals=0),
        Column("In flight", highest("vod_transcodes_in_flight"), decimals=0),
        Column("Overdue", f"sum by (queue) ({highest('vod_transcodes_overdue', by='queue, verdict')})", decimals=0),
        Column(
            "Stalled",
            f"sum by (queue) ({highest('vod_transcodes_stalled', by='queue, stage')})",
            decimals=0,
            steps=[MUTED, (1, BAD)],
        ),
        Column("info", highest("mns_queue_info", by="queue, mode"), hidden=True),
    ]
    return table(
        "Queues",
        """Each queue as it is now. A dash: not known, because the queue cannot be read, is empty, or is only
        peeked. Messages are an estimate of MNS.""",
        columns,
        no_value="no queue is watched",
    )


def curves():
    yield heatmap(
        "Time to playable, all videos",
        "How many videos became playable after how long. Only in consume.",
        buckets("vod_time_to_playable_seconds"),
        unit=SECONDS,
        no_value="no video became playable, or the queues are only peeked",
    )
    good = rate(OBJECTIVE, 'result="good"', by="queue")
    yield lines(
        "Playable in time",
        f"""Share of the videos that had a good stream within the objective, by queue. {OBJECTIVE_IS} The service level is
        that of the alerts, where Prometheus has their rules. Only in consume.""",
        (share(good, rate(OBJECTIVE, by="queue")), "{{queue}}"),
        ("max(vod:threshold:playable_slo{})", "service level", MUTED),
        unit=SHARE,
        most=1,
        no_value="no video was judged, or the queues are only peeked",
        w=8,
    )
    yield lines(
        "Stalled videos",
        "By the stage at which they are stuck: before their transcode was submitted, or in it.",
        (f"sum by (stage) ({highest('vod_transcodes_stalled', by='queue, stage')})", "{{stage}}"),
        unit=COUNT,
        stack=True,
        decimals=0,
        colors={"submit": WARN, "transcode": BAD},
        w=8,
        no_value="not known in peek without vod",
    )


def events():
    by_type = f"sum by (event_type) ({counted('increase', EVENTS, by='queue, event_type', window=RANGE)})"
    yield bars(
        "Events by type",
        "The twelve most frequent types of the shown time. In peek a part of what was sent.",
        (f"topk(12, {by_type} > 0)", "{{event_type}}", None),
        no_value="no event arrived",
        w=12,
        place="left",
    )
    codes = increase("vod_event_failures_total", by="error_code, event_type")
    columns = [
        Column("Error code", label="error_code", width=280),
        Column("Event", label="event_type"),
        Column("Failures", f"topk(20, {codes} > 0)", decimals=0, width=90),
    ]
    yield table(
        "Failures by error code",
        "The most frequent failures of the shown time; none: VOD named no code.",
        columns,
        no_value="nothing failed",
        w=12,
        sort="Failures",
    )
