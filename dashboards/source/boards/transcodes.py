"""Transcodes: how far videos get, how long it takes, and why some do not arrive."""

from grafana import (
    BAD,
    CALM,
    COUNT,
    GOOD,
    MUTED,
    PER_MINUTE,
    ROUGHLY,
    SECONDS,
    SHARE,
    WARN,
    Board,
    Column,
    bars,
    heatmap,
    lines,
    question,
    stat,
    table,
)
from promql import (
    RANGE,
    age,
    buckets,
    counted,
    highest,
    increase,
    lowest,
    per_minute,
    quantile,
    rate,
    seen_whole,
    share,
    total,
    worst,
)

EVENTS = "vod_events_total"
FAULTS = "vod_event_faults_total"
PLAYABLE = "vod_time_to_playable_seconds"
STREAMS = "vod_stream_transcodes_total"
STREAM = "vod_stream_transcode_seconds"
TRANSCODE = "vod_transcode_seconds"
INGESTS = "FileUploadComplete|UploadByURLComplete|AddLiveRecordVideoComplete|ProduceMediaComplete"
VERDICT_COLORS = {
    "unasked": MUTED,
    "waiting": CALM,
    "slow": WARN,
    "stalled": BAD,
    "unknown": "purple",
    "callback_lost": "yellow",
    "done_unseen": "dark-green",
    "not_transcoded": "dark-blue",
    "deleted": "dark-purple",
    "in_review": "dark-yellow",
}


def board():
    board = Board("vod-transcodes", "How far videos get, how long it takes, and why some do not arrive.")
    board.line(
        3,
        question("How far do videos get?", "Counts of the shown time, from upload to playable."),
        question("How long does it take?", "Until the first good stream; the slowest outputs.", w=5),
        question("Are videos stuck, and why?", "Past their deadline, and what VOD says of them."),
        question("Why do transcodes fail?", "How many do, whose fault it is, and the error codes.", w=7),
    )
    board.line(4, *arrivals(), *times(), *late(), *failures())
    board.line(9, funnel(), durations(), verdicts(), codes())
    board.section("Durations")
    board.line(9, *distributions())
    board.section("Output streams")
    board.line(9, *streams())
    board.section("Questions to VOD")
    board.line(9, *reconciliation())
    return board


def uploads():
    """Videos of the shown time, by queue."""
    return counted("increase", EVENTS, f'event_type=~"{INGESTS}"', 'status="success"', window=RANGE)


def ended(status):
    return increase(f"{TRANSCODE}_count", f'status="{status}"')


def arrivals():
    yield stat(
        "Uploads",
        """Videos of the shown time: uploaded, pulled from a URL, recorded live or produced. In peek a part of them,
        which the funnel below leaves out.""",
        f"round({total(uploads())})",
        unit=ROUGHLY,
    )
    yield stat(
        "All good",
        "Share of the transcodes that ended in the shown time with every stream good. Only known in consume.",
        share(ended("success"), increase(f"{TRANSCODE}_count")),
        unit=SHARE,
        decimals=1,
        steps=[BAD, (0.8, WARN), (0.95, GOOD)],
    )


def times():
    yield stat(
        "p50",
        "Half of the videos of the shown time were playable sooner. Only known in consume.",
        quantile(0.5, PLAYABLE, window=RANGE),
        unit=SECONDS,
        decimals=0,
        w=2,
    )
    yield stat(
        "p95",
        "19 of 20 videos of the shown time were playable sooner. Only known in consume.",
        quantile(0.95, PLAYABLE, window=RANGE),
        unit=SECONDS,
        decimals=0,
        runbook="VodPlayableBudgetBurnsFast",
    )


def late():
    yield stat(
        "Stalled now",
        """Videos past their deadline that make no progress; /api/v1/transcodes names them. Not known in peek without
        vod, nor while the exporter is down.""",
        total(highest("vod_transcodes_stalled", by="queue, stage")),
        steps=[GOOD, (1, BAD)],
        runbook="VodTranscodesStalled",
    )
    yield stat(
        "Oldest",
        """How long the oldest transcode that has not ended has been waited for. None known: none is in flight, the
        queues are peeked without vod, or the exporter is down.""",
        worst(age(lowest("vod_transcode_oldest_in_flight_timestamp_seconds"))),
        unit=SECONDS,
        no_value="none known",
    )


def failures():
    failed = counted("increase", EVENTS, 'event_type="TranscodeComplete"', 'status="fail"', window=RANGE)
    everything = counted("increase", EVENTS, 'event_type="TranscodeComplete"', window=RANGE)
    yield stat(
        "Failed",
        """Share of the transcodes that ended in the shown time without any good stream. Not known before one has
        ended, or while the exporter is down.""",
        share(total(failed), total(everything)),
        unit=SHARE,
        decimals=1,
        steps=[GOOD, (0.02, WARN), (0.1, BAD)],
        w=4,
    )
    yield stat(
        "Not source",
        """Share of the failed events of the shown time that are not the fault of the uploaded file. None known: none
        failed, or the exporter is down.""",
        share(increase(FAULTS, 'fault!="source"'), increase(FAULTS)),
        unit=SHARE,
        decimals=0,
        no_value="none known",
    )


def funnel():
    def events(*matchers):
        return counted("increase", EVENTS, *matchers, window=RANGE)

    good = increase("vod_playable_objective_total", 'result="good"', by="queue")
    steps = [
        ("uploaded", uploads(), CALM),
        ("analysed", events('event_type="VideoAnalysisComplete"', 'status="success"'), CALM),
        ("transcode ended", events('event_type="TranscodeComplete"'), CALM),
        ("playable", increase(f"{PLAYABLE}_count", by="queue"), GOOD),
        ("playable in time", good, GOOD),
    ]
    return bars(
        "Funnel",
        """Events of the shown time, of the queues that are seen whole (consume): of a queue that is peeked each step
        would be another part of what was sent. Not every upload is transcoded, and a step may fall outside the
        shown time.""",
        *((total(seen_whole(count)), step, color) for step, count, color in steps),
        no_value="no queue is seen whole: peek",
    )


def durations():
    slowest = quantile(0.95, STREAM, by="definition", window=RANGE)
    return bars(
        "Transcode of a stream",
        "From start to finish: the slowest of 20 streams of the shown time (p95), for the eight slowest definitions.",
        (f"sort_desc(topk(8, {slowest}))", "{{definition}}", None),
        unit=SECONDS,
        no_value="no stream has ended",
        place="left",
        w=5,
    )


def verdicts():
    return lines(
        "Overdue by verdict",
        """unasked: VOD was not asked yet; waiting: its jobs have not begun; slow: they go on; stalled:
        they do not; unknown: VOD cannot be asked, or its answer fits nothing.""",
        (f"sum by (verdict) ({highest('vod_transcodes_overdue', by='queue, verdict')})", "{{verdict}}"),
        unit=COUNT,
        stack=True,
        decimals=0,
        colors=VERDICT_COLORS,
        no_value="not known in peek without vod",
    )


def codes():
    failed = increase("vod_event_failures_total", 'event_type=~".*Transcode.*|VideoAnalysisComplete"', by="error_code")
    columns = [
        Column("Error code", label="error_code"),
        Column("Count", f"topk(15, {failed} > 0)", decimals=0, width=70),
    ]
    return table(
        "Error codes",
        "Failures of analysis and transcode in the shown time; none: VOD named no code.",
        columns,
        no_value="nothing failed",
        w=7,
        sort="Count",
    )


def distributions():
    yield heatmap(
        "Upload to playable",
        "How many videos became playable after how long. Only in consume.",
        buckets(PLAYABLE),
        unit=SECONDS,
        no_value="only known in consume",
    )
    yield heatmap(
        "Upload to start of the first stream",
        "How long VOD let a video wait. Counted when the transcode has ended; only in consume.",
        buckets("vod_stream_transcode_wait_seconds"),
        unit=SECONDS,
        no_value="only known in consume",
    )
    yield lines(
        "Upload to end of the transcode",
        "By how they ended (p95). Only in consume.",
        *(
            (quantile(0.95, TRANSCODE, f'status="{status}"'), status, color)
            for status, color in [("success", GOOD), ("partial", WARN), ("fail", BAD)]
        ),
        unit=SECONDS,
        no_value="only known in consume",
        w=8,
    )


def streams():
    good = increase(STREAMS, 'status="success"', by="definition")
    columns = [
        Column("Definition", label="definition"),
        Column("Good", good, decimals=0),
        Column("Failed", increase(STREAMS, 'status="fail"', by="definition"), decimals=0),
        Column(
            "Success",
            f"{good} / ({increase(STREAMS, by='definition')} > 0)",
            unit=SHARE,
            decimals=1,
            steps=[BAD, (0.9, WARN), (0.98, GOOD)],
        ),
        Column("p50", quantile(0.5, STREAM, by="definition", window=RANGE), unit=SECONDS, decimals=0),
        Column("p95", quantile(0.95, STREAM, by="definition", window=RANGE), unit=SECONDS, decimals=0),
    ]
    yield table(
        "By definition",
        "Streams that ended in the shown time, and how long they took.",
        columns,
        no_value="no stream has ended",
        w=12,
        sort="Good",
    )
    yield lines(
        "Streams ended",
        "Good and failed ones, of all definitions.",
        (per_minute(rate(STREAMS, by="status")), "{{status}}"),
        unit=PER_MINUTE,
        stack=True,
        colors={"success": GOOD, "fail": BAD},
        no_value="no stream has ended",
        w=12,
    )


def reconciliation():
    yield lines(
        "In flight",
        "Videos whose transcode has not ended, overdue and stalled ones included.",
        (highest("vod_transcodes_in_flight"), "{{queue}}"),
        unit=COUNT,
        decimals=0,
        no_value="not known in peek without vod",
    )
    closed = increase("vod_transcodes_closed_total", by="verdict")
    yield bars(
        "Closed without their callback",
        """Transcodes of the shown time. callback_lost: VOD had finished and told nobody;
        done_unseen: a worker took the callback while we peeked; abandoned: nothing was heard for too long.""",
        (closed, "{{verdict}}", None),
        no_value="not known in peek without vod",
        place="left",
    )
    yield lines(
        "Answers of VOD",
        "Verdicts on overdue transcodes, each from one answer of VOD.",
        (per_minute(rate("vod_reconciliations_total", by="verdict")), "{{verdict}}"),
        unit=PER_MINUTE,
        bars=True,
        colors=VERDICT_COLORS,
        no_value="VOD is not asked, or nothing was overdue",
    )
    yield lines(
        "Calls of VOD's API",
        "By account, operation and outcome.",
        (per_minute(rate("vod_api_requests_total", by="account, operation, code", queue=False)), "{{account}} {{operation}} {{code}}"),
        unit=PER_MINUTE,
        stack=True,
        no_value="VOD is not asked",
    )
