"""Exporter: can its numbers be believed, and what does it cost?"""

from grafana import (
    BAD,
    BYTES,
    COUNT,
    GOOD,
    MUTED,
    PER_MINUTE,
    REASON_COLORS,
    ROUGHLY,
    SECONDS,
    SHARE,
    WARN,
    Board,
    Column,
    lines,
    question,
    stat,
    table,
    words,
)
from promql import RANGE, age, down, highest, increase, lowest, per_minute, rate, select, total, worst

REQUESTS = "mns_requests_total"
SELF = "vod_callback_exporter"
REFUSED = 'code=~"access_denied|bad_signature|time_expired|credentials|not_activated"'
DAY = 86400


def board():
    board = Board("vod-exporter", "Whether the exporter's numbers can be believed, and what it costs.")
    board.line(
        3,
        question("Is it alive and current?", "Scraped by Prometheus, and reading each queue once a tick."),
        question("Are its counts safe?", "Kept over a restart; nothing dropped, nothing unreadable."),
        question("Do its credentials hold?", "Renewed in time, and accepted by MNS."),
        question("What does it cost?", "Calls to MNS, each of which is billed, and memory."),
    )
    board.line(4, *alive(), *safe(), *credentials(), *cost())
    board.line(9, *charts())
    board.section("Instances")
    board.line(5, instances())
    board.section("Resources")
    board.line(8, *resources())
    board.section("Alerts about single videos")
    board.line(7, *alerts())
    return board


def process(metric, how=highest, by="instance"):
    return how(metric, by=by, queue=False)


def alive():
    yield stat(
        "Down",
        "Exporters that Prometheus knows and cannot scrape, and jobs of which it has lost every exporter within a day.",
        down(),
        steps=[GOOD, (1, BAD)],
        runbook="VodExporterDown",
        no_value="none known",
    )
    yield stat(
        "Last read",
        """Time since the last read of a queue, well or badly; the queue that waits longest. Not known before the first
        read, or while the exporter is down.""",
        worst(age(highest(f"{SELF}_last_tick_timestamp_seconds"))),
        unit=SECONDS,
        steps=[GOOD, (180, WARN), (600, BAD)],
        runbook="VodQueueUnreadable",
    )


def safe():
    yield stat(
        "Durable",
        "Whether every exporter keeps its counters in a state file (--state.path).",
        f"min({lowest(f'{SELF}_state_durable', by='instance', queue=False)})",
        mappings=words(_1=("yes", GOOD), _0=("no", WARN)),
        runbook="VodStateNotDurable",
    )
    yield stat(
        "Quarantined",
        "Messages kept for inspection, undecodable or refused by a forward target: /api/v1/quarantine.",
        total(highest(f"{SELF}_quarantined_messages", by="instance", queue=False)),
        decimals=0,
        steps=[GOOD, (1, WARN)],
        runbook="VodDecodeFailures",
    )


def credentials():
    expiry = lowest(f"{SELF}_credentials_expiry_timestamp_seconds", by="account", queue=False)
    yield stat(
        "Expire in",
        """Time until the first credentials in use expire; they are renewed well before. None known: they never expire,
        or the exporter is down.""",
        f"min({expiry} - time())",
        unit=SECONDS,
        steps=[BAD, (270, WARN), (900, GOOD)],
        runbook="VodCredentialsExpiring",
        no_value="none known",
    )
    failures = increase(f"{SELF}_credentials_refresh_failures_total", queue=False)
    yield stat(
        "Failures",
        "Attempts of the shown time to read or renew credentials that failed.",
        failures,
        decimals=0,
        steps=[GOOD, (1, WARN)],
    )


def cost():
    yield stat(
        "Calls a day",
        "Calls to MNS at the pace of the shown time. Each one is billed.",
        f"{DAY} * {rate(REQUESTS, window=RANGE)}",
        unit=ROUGHLY,
        decimals=1,
    )
    yield stat(
        "Memory",
        "Resident memory of the largest exporter. Known on Linux.",
        worst(process("process_resident_memory_bytes")),
        unit=BYTES,
        decimals=0,
    )


def charts():
    yield lines(
        "Time since the last read",
        "By queue. A queue that is read once a tick rises to that and falls back.",
        (age(highest(f"{SELF}_last_tick_timestamp_seconds")), "{{queue}}"),
        unit=SECONDS,
        no_value="nothing read yet",
    )
    evictions = rate(f"{SELF}_state_evictions_total", queue=False)
    undecodable = rate("vod_event_decode_failures_total", by="reason")
    yield lines(
        "Dropped or unreadable",
        """Rows dropped from a full table of the state, which makes counts inexact, and bodies that
        could not be decoded, which are kept in quarantine.""",
        (per_minute(evictions), "dropped rows", BAD),
        (f"{per_minute(undecodable)} > 0", "body: {{reason}}"),
        unit=PER_MINUTE,
        bars=True,
        colors={f"body: {reason}": color for reason, color in REASON_COLORS.items()},
        no_value=None,
    )
    refused = rate(REQUESTS, REFUSED, by="queue, code")
    yield lines(
        "Refused calls",
        "Calls that MNS or VOD refused for the credentials, the signature or the clock.",
        (f"{per_minute(refused)} or 0 * {rate(REQUESTS, by='queue')}", "{{queue}} {{code}}"),
        unit=PER_MINUTE,
        no_value="no call yet",
    )
    yield lines(
        "Calls by operation",
        "Calls to MNS. Long polls wait for messages, so that an empty queue costs two a minute.",
        (per_minute(rate(REQUESTS, by="operation")), "{{operation}}"),
        unit=PER_MINUTE,
        stack=True,
        no_value="no call yet",
    )


def instances():
    columns = [
        Column("Instance", label="instance", width=200),
        Column("Job", label="job", width=200),
        Column("Version", label="version"),
        Column("Up for", age(process("process_start_time_seconds", by="job, instance")), unit=SECONDS, decimals=0),
        Column("Memory", process("process_resident_memory_bytes", by="job, instance"), unit=BYTES, decimals=0),
        Column("State file", process(f"{SELF}_state_bytes", by="job, instance"), unit=BYTES, decimals=0),
        Column("Clock skew", process(f"{SELF}_clock_skew_seconds", by="job, instance"), unit=SECONDS, decimals=1),
        Column(
            "Config",
            lowest(f"{SELF}_config_last_reload_successful", by="job, instance", queue=False),
            mappings=words(_1=("good", GOOD), _0=("refused", BAD)),
            steps=[MUTED],
        ),
        Column("Threads", process("process_threads", by="job, instance"), decimals=0),
        Column(
            "Scrape takes",
            f"max by (job, instance) ({select('scrape_duration_seconds', queue=False)})",
            unit=SECONDS,
            decimals=3,
        ),
        Column("info", process(f"{SELF}_build_info", by="job, instance, version"), hidden=True),
    ]
    return table(
        "Exporters",
        "What runs where. Clock skew: the local clock minus that of MNS. A dash: only in memory, or not known.",
        columns,
        no_value=None,
    )


def resources():
    yield lines(
        "CPU",
        "Share of one core, by instance.",
        (rate("process_cpu_seconds_total", by="instance", queue=False), "{{instance}}"),
        unit=SHARE,
        no_value="Linux only",
    )
    yield lines(
        "Resident memory",
        "By instance.",
        (process("process_resident_memory_bytes"), "{{instance}}"),
        unit=BYTES,
        no_value="Linux only",
    )
    files = f"{process('process_open_fds')} / {process('process_max_fds')}"
    yield lines(
        "Open files", "Share of the limit, by instance.", (files, "{{instance}}"), unit=SHARE, no_value="Linux only"
    )
    yield lines(
        "Commits",
        "Groups of records made durable; 0 while counters are only kept in memory.",
        (per_minute(rate(f"{SELF}_state_commits_total", by="instance", queue=False)), "{{instance}}"),
        unit=PER_MINUTE,
        no_value=None,
    )


def alerts():
    yield lines(
        "Videos that alerts fire for",
        "Alerts to Alertmanager about single videos, the one that stands for all others included.",
        (total(highest(f"{SELF}_alerts_active", by="job", queue=False)), "firing"),
        unit=COUNT,
        w=8,
        no_value="no Alertmanager configured",
    )
    sent = rate(f"{SELF}_alerts_sent_total", 'result="ok"', by="alertmanager", queue=False)
    yield lines(
        "Alerts taken",
        "By Alertmanager. What fires is sent again and again.",
        (per_minute(sent), "{{alertmanager}}"),
        unit=PER_MINUTE,
        w=8,
        no_value="no Alertmanager configured",
    )
    refused = rate(f"{SELF}_alerts_sent_total", 'result!="ok"', by="alertmanager, result", queue=False)
    yield lines(
        "Alerts not taken",
        "Alerts that an Alertmanager refused, or that could not be given to it.",
        (per_minute(refused), "{{alertmanager}} {{result}}"),
        unit=PER_MINUTE,
        w=8,
        no_value="no Alertmanager configured",
    )
