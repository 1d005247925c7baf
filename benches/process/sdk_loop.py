"""What a team would write with the vendor's Python SDK: receive, count, delete.

Usage: sdk_loop.py ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET QUEUE CONNECTIONS

Counts the same as the exporter with prometheus_client, by event type and status, and observes the time from event to
queue. Prints how many messages there were and the nanoseconds of CPU time since everything was imported.
"""

import base64
import json
import sys
import threading
import time
from datetime import datetime

from mns.account import Account
from mns.mns_exception import MNSServerException
from prometheus_client import Counter, Histogram

endpoint, access_key_id, access_key_secret, name, connections = sys.argv[1:]

EVENTS = Counter("vod_events", "Distinct VOD events.", ["queue", "event_type", "status"])
UNDECODABLE = Counter("mns_message_decode_failures", "Bodies that are no event.", ["queue"])
SEEN = Counter("mns_messages_seen", "Messages.", ["queue"])
REDELIVERIES = Counter("mns_message_redeliveries", "Deliveries after the first.", ["queue"])
BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)
DELIVERY = Histogram("vod_event_delivery_seconds", "Event to queue.", ["queue"], buckets=BUCKETS)


def count(message):
    SEEN.labels(name).inc()
    if message.dequeue_count > 1:
        REDELIVERIES.labels(name).inc(message.dequeue_count - 1)
    try:
        body = message.message_body.strip()
        if isinstance(body, bytes):
            body = body.decode()
        event = json.loads(body if body.startswith("{") else base64.b64decode(body))
        event = {key.strip(): value for key, value in event.items()}
        at = datetime.fromisoformat(event["EventTime"].strip())
        event_type = event["EventType"].strip()
    except (ValueError, KeyError, AttributeError):
        UNDECODABLE.labels(name).inc()
        return
    EVENTS.labels(name, event_type, event.get("Status", "none").strip().lower()).inc()
    DELIVERY.labels(name).observe(max(0, message.enqueue_time / 1000 - at.timestamp()))


totals = []


def work():
    queue = Account(endpoint, access_key_id, access_key_secret).get_queue(name)
    queue.set_encoding(False)
    total = 0
    while True:
        try:
            messages = queue.batch_receive_message(16, 1)
        except MNSServerException as error:
            if error.type == "MessageNotExist":
                break
            raise
        for message in messages:
            count(message)
        queue.batch_delete_message([message.receipt_handle for message in messages])
        total += len(messages)
    totals.append(total)


begun = time.process_time_ns()
threads = [threading.Thread(target=work) for _ in range(int(connections))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(totals), time.process_time_ns() - begun)
