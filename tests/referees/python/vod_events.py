"""Sends a known set of VOD callbacks with the vendor's Python SDK.

Usage: vod_events.py ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET QUEUE

3 uploads, 2 good transcodes and a failed one, 1 of them a second time, 1 body that is no event; as
VOD sends them (plain) and as the SDK does by default (base64).
"""

import json
import sys
import time

from mns.account import Account
from mns.queue import Message, QueueMeta

endpoint, access_key_id, access_key_secret, name = sys.argv[1:]
queue = Account(endpoint, access_key_id, access_key_secret).get_queue(name)
queue.create(QueueMeta())


def event(event_type, number, status="success", **rest):
    fields = {
        "EventType": event_type,
        "EventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "VideoId": f"video-{number}",
        "Status": status,
        **rest,
    }
    return Message(json.dumps(fields))


def stream(number, status="success", **rest):
    return {"Status": status, "JobId": f"job-{number}", "Definition": "LD", "Format": "mp4", **rest}


uploads = [event("FileUploadComplete", number, Size=1000) for number in range(3)]
good = [event("TranscodeComplete", number, StreamInfos=[stream(number)]) for number in range(2)]
failed_stream = stream(2, "fail", ErrorCode="InvalidParameter.ResourceContentBad", ErrorMessage="bad")
failed = event("TranscodeComplete", 2, "fail", StreamInfos=[failed_stream])

queue.set_encoding(False)
queue.batch_send_message([*uploads, failed])
queue.send_message(good[0])
queue.send_message(good[0])
queue.send_message(Message("{ this is no event"))
queue.set_encoding(True)
queue.send_message(good[1])
