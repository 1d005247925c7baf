"""Puts the emulated VOD API before the vendor's Python SDK (alibabacloud_vod20170321).

Usage: vod_sdk.py ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET [SECURITY_TOKEN]

Prints one line a check, `ok NAME` or `FAILED NAME`; exits with the number of failures.
"""

import json
import sys
import time
import traceback
import urllib.request
from contextlib import contextmanager

from alibabacloud_tea_openapi.models import Config
from alibabacloud_vod20170321 import models
from alibabacloud_vod20170321.client import Client
from darabonba.exceptions import DaraException

ENDPOINT, ACCESS_KEY_ID, ACCESS_KEY_SECRET = sys.argv[1:4]
SECURITY_TOKEN = sys.argv[4] if len(sys.argv) > 4 else None
MINUTE = 60_000
failures = 0


@contextmanager
def check(name):
    """Counts and prints one check; a failing one does not end the others."""
    global failures
    try:
        yield
    except Exception:
        failures += 1
        print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    else:
        print(f"ok {name}", flush=True)


@contextmanager
def rejected(code):
    try:
        yield
    except DaraException as error:
        equal(error.code, code)
    else:
        raise AssertionError(f"accepted, expected {code}")


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def client(secret=ACCESS_KEY_SECRET, access_key_id=ACCESS_KEY_ID, token=SECURITY_TOKEN):
    config = Config(
        access_key_id=access_key_id,
        access_key_secret=secret,
        security_token=token,
        endpoint=ENDPOINT.removeprefix("http://"),
        protocol="http",
        region_id="cn-shanghai",
    )
    return Client(config)


def control(path, content):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"{ENDPOINT}/-/emulator/{path}", data=json.dumps(content).encode(), method="POST"
    )
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def media(name, status="Normal", outcome=None, ended=None):
    now = int(time.time() * 1000)
    described = {"id": name, "created": now - 30 * MINUTE, "status": status, "template_group": "g-1"}
    if outcome is not None:
        described["task"] = {
            "created": now - 30 * MINUTE,
            "ended": ended and now - ended * MINUTE,
            "jobs": [
                {
                    "start": now - 30 * MINUTE,
                    "finish": now - (ended or 1) * MINUTE,
                    "outcome": outcome,
                }
            ],
        }
    return described


def prepare():
    control(
        "vod-media",
        [
            media("done", outcome="success", ended=20),
            media("failed", status="TranscodeFail", outcome="fail", ended=20),
            media("stuck", outcome={"stuck_at": 37}),
            media("plain"),
        ],
    )
    control(
        "vod-callback",
        {
            "AppId": "app-1000000",
            "CallbackType": "MNS",
            "EventTypeList": "FileUploadComplete,TranscodeComplete",
            "MnsEndpoint": "http://1234.mns.cn-shanghai.aliyuncs.com/",
            "MnsQueueName": "vod-callbacks",
        },
    )


def judge():
    with check("transcode summary"):
        request = models.GetTranscodeSummaryRequest(video_ids="done,failed,stuck,plain,gone")
        answer = client().get_transcode_summary(request).body
        found = {it.video_id: it for it in answer.transcode_summary_list}
        equal(sorted(found), ["done", "failed", "stuck"])
        equal(answer.non_exist_video_ids, ["gone"])
        equal(found["done"].transcode_status, "CompleteAllSucc")
        equal(found["failed"].transcode_status, "CompleteAllFail")
        equal(found["stuck"].transcode_status, "Processing")
        job = found["stuck"].transcode_job_info_summary_list[0]
        equal((job.transcode_job_status, job.transcode_progress), ("Transcoding", 37))
        assert found["done"].complete_time.endswith("Z"), found["done"].complete_time
        assert answer.request_id
    with check("too many ids"), rejected("InvalidParameter"):
        ids = ",".join(f"v{number}" for number in range(11))
        client().get_transcode_summary(models.GetTranscodeSummaryRequest(video_ids=ids))
    with check("video infos"):
        answer = client().get_video_infos(models.GetVideoInfosRequest(video_ids="stuck,plain,gone"))
        found = {it.video_id: it.status for it in answer.body.video_list}
        equal(found, {"stuck": "Transcoding", "plain": "Normal"})
        equal(answer.body.non_exist_video_ids, ["gone"])
    with check("video list"):
        request = models.GetVideoListRequest(
            status="Transcoding", sort_by="CreationTime:Asc", page_no=1, page_size=100
        )
        answer = client().get_video_list(request).body
        equal(answer.total, 1)
        equal([it.video_id for it in answer.video_list.video], ["stuck"])
    with check("message callback"):
        request = models.GetMessageCallbackRequest(app_id="app-1000000")
        callback = client().get_message_callback(request).body.message_callback
        equal(callback.callback_type, "MNS")
        equal(callback.mns_queue_name, "vod-callbacks")
        equal(callback.event_type_list, "FileUploadComplete,TranscodeComplete")
    with check("unknown operation"), rejected("InvalidAction.NotFound"):
        client().list_transcode_task(models.ListTranscodeTaskRequest(video_id="done"))
    with check("wrong secret"), rejected("SignatureDoesNotMatch"):
        client(secret="wrong").get_message_callback(models.GetMessageCallbackRequest())
    with check("wrong id"), rejected("InvalidAccessKeyId.NotFound"):
        client(access_key_id="wrong").get_message_callback(models.GetMessageCallbackRequest())
    with check("throttled"), rejected("Throttling.User"):
        control("faults", {"replace": [{"fault": "too_many_requests"}]})
        client().get_message_callback(models.GetMessageCallbackRequest())
    with check("denied"), rejected("Forbidden"):
        control("faults", {"replace": [{"fault": "access_denied"}]})
        client().get_message_callback(models.GetMessageCallbackRequest())


prepare()
judge()
sys.exit(failures)
