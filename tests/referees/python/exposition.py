"""Fetches an exposition, and judges OpenMetrics by the strict parser of prometheus-client.

Usage: exposition.py fetch text|openmetrics URL    the body to standard output
       exposition.py judge                         OpenMetrics from standard input
"""

import gzip
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

# What Prometheus itself asks with, and the content type that must come back.
FORMATS = {
    "text": ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
    "openmetrics": (
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text; version=1.0.0",
    ),
}


def fetch(wanted, url):
    accept, expected = FORMATS[wanted]
    # An explicit opener without proxies: the exporter is local.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    with opener.open(request, timeout=10) as answer:
        content_type = answer.headers.get("Content-Type", "")
        if not content_type.startswith(expected):
            sys.exit(f"{url}: Content-Type is {content_type!r}, expected {expected!r}")
        body = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
    sys.stdout.buffer.write(body)


def judge():
    try:
        families = list(text_string_to_metric_families(sys.stdin.read()))
    except ValueError as error:
        sys.exit(f"not OpenMetrics: {error}")
    samples = sum(len(family.samples) for family in families)
    if not samples:
        sys.exit("not one sample")
    print(f"OpenMetrics: {len(families)} families, {samples} samples")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fetch", wanted, url] if wanted in FORMATS:
            fetch(wanted, url)
        case ["judge"]:
            judge()
        case _:
            sys.exit(__doc__)
