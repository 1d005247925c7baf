"""Puts the emulator before the vendor's Python SDK (aliyun-mns-sdk).

Usage: mns_sdk.py ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET [SECURITY_TOKEN]

Prints one line a check, `ok NAME` or `FAILED NAME`; exits with the number of failures.
"""

import hashlib
import sys
import threading
import time
import traceback
import types
import warnings
from contextlib import contextmanager

import mns.mns_client
from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.mns_request import ListQueueRequest, ListQueueResponse
from mns.queue import Message, QueueMeta

ENDPOINT, ACCESS_KEY_ID, ACCESS_KEY_SECRET = sys.argv[1:4]
SECURITY_TOKEN = sys.argv[4] if len(sys.argv) > 4 else ""
AWKWARD = "<转码 & \"完成\" 'é' 🎬>\n\t]]>"
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
    """The block must end in the service error `code`; the caller may look at it afterwards."""
    seen = types.SimpleNamespace(error=None)
    try:
        yield seen
    except MNSServerException as error:
        equal(error.type, code)
        seen.error = error
    else:
        raise AssertionError(f"accepted, expected {code}")


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def near(found_ms, expected_seconds):
    off = abs(found_ms / 1000 - expected_seconds)
    assert off < 5, f"{found_ms} ms is {off:.1f} s away from {expected_seconds}"


def md5(body):
    return hashlib.md5(body.encode()).hexdigest().upper()


def account(access_key_id=ACCESS_KEY_ID, secret=ACCESS_KEY_SECRET, token=SECURITY_TOKEN):
    return Account(ENDPOINT, access_key_id, secret, token)


def queue(name, base64=False, **attributes):
    """A fresh queue. Bodies go as they are unless `base64`, the SDK's own default, is asked for."""
    handle = account().get_queue(name)
    handle.set_encoding(base64)
    handle.create(QueueMeta(**attributes))
    return handle


def queues():
    with check("create"):
        handle = account().get_queue("py-create")
        equal(handle.create(QueueMeta(vis_timeout=45)).rsplit("/", 1)[1], "py-create")
    with check("create again with equal attributes"):
        handle.create(QueueMeta(vis_timeout=45))
    with check("create again with other attributes"), rejected("QueueAlreadyExist"):
        handle.create(QueueMeta(vis_timeout=46))
    with check("create with a bad name"), rejected("InvalidQueueName"):
        account().get_queue("-py").create(QueueMeta())
    with check("create with a bad attribute"), rejected("InvalidArgument"):
        account().get_queue("py-bad").create(QueueMeta(vis_timeout=43201))

    with check("attributes"):
        meta = handle.get_attributes()
        equal(meta.queue_name, "py-create")
        equal(meta.visibility_timeout, 45)
        equal(meta.maximum_message_size, 65536)
        equal(meta.message_retention_period, 345600)
        equal(meta.delay_seconds, 0)
        equal(meta.polling_wait_seconds, 0)
        equal(meta.logging_enabled, False)
        near(meta.create_time * 1000, time.time())
        equal((meta.active_messages, meta.inactive_messages, meta.delay_messages), (0, 0, 0))
    with check("set attributes"):
        handle.set_attributes(QueueMeta(vis_timeout=60, msg_ttl=3600))
        meta = handle.get_attributes()
        equal((meta.visibility_timeout, meta.message_retention_period), (60, 3600))
        equal(meta.maximum_message_size, 65536)
    with check("set a bad attribute"), rejected("InvalidArgument"):
        handle.set_attributes(QueueMeta(polling_wait_sec=31))

    names = [f"py-page-{number}" for number in range(5)]
    for name in names:
        queue(name, vis_timeout=70)
    with check("list by prefix"):
        urls, marker = account().list_queue(prefix="py-page-")
        equal(sorted(url.rsplit("/", 1)[1] for url in urls), names)
        equal(marker, "")
    with check("list in pages"):
        found, sizes, marker = [], [], ""
        while True:
            urls, marker = account().list_queue(prefix="py-page-", ret_number=2, marker=marker)
            found += [url.rsplit("/", 1)[1] for url in urls]
            sizes.append(len(urls))
            if not marker:
                break
        equal(sorted(found), names)
        equal(sizes, [2, 2, 1])
    with check("list with attributes"):
        reply = ListQueueResponse()
        account().get_client().list_queue(ListQueueRequest("py-page-", 1, "", with_meta=True), reply)
        equal(reply.queuemeta_list[0]["VisibilityTimeout"], "70")
        equal(reply.queuemeta_list[0]["ActiveMessages"], "0")
    with check("list nothing"):
        equal(account().list_queue(prefix="py-nobody"), ([], ""))

    with check("delete queue"):
        handle.delete()
        with rejected("QueueNotExist"):
            handle.get_attributes()
    with check("missing queue"):
        missing = account().get_queue("py-missing")
        for call in (
            missing.get_attributes,
            missing.peek_message,
            missing.receive_message,
            lambda: missing.batch_receive_message(16),
            lambda: missing.send_message(Message("x")),
        ):
            with rejected("QueueNotExist"):
                call()


def one_message():
    handle = queue("py-one", vis_timeout=30)
    with check("send"):
        sent = handle.send_message(Message("hello", priority=3))
        equal(sent.message_body_md5, md5("hello"))
        assert sent.message_id and not sent.receipt_handle
    with check("peek"):
        for _ in range(2):
            peeked = handle.peek_message()
            equal((peeked.message_id, peeked.message_body), (sent.message_id, "hello"))
            equal((peeked.message_body_md5, peeked.priority), (md5("hello"), 3))
            equal((peeked.dequeue_count, peeked.first_dequeue_time), (0, peeked.enqueue_time))
            near(peeked.enqueue_time, time.time())
    with check("receive"):
        received = handle.receive_message()
        equal((received.message_id, received.message_body), (sent.message_id, "hello"))
        equal((received.message_body_md5, received.priority), (md5("hello"), 3))
        equal((received.dequeue_count, received.enqueue_time), (1, peeked.enqueue_time))
        assert received.first_dequeue_time >= received.enqueue_time
        near(received.next_visible_time, time.time() + 30)
    with check("in flight"):
        meta = handle.get_attributes()
        equal((meta.active_messages, meta.inactive_messages, meta.delay_messages), (0, 1, 0))
        with rejected("MessageNotExist"):
            handle.peek_message()
    with check("change visibility"):
        changed = handle.change_message_visibility(received.receipt_handle, 300)
        assert changed.receipt_handle != received.receipt_handle
        near(int(changed.next_visible_time), time.time() + 300)
        with rejected("MessageNotExist"):
            handle.change_message_visibility(received.receipt_handle, 300)
    with check("delete with a stale handle"), rejected("MessageNotExist"):
        handle.delete_message(received.receipt_handle)
    with check("redelivery"):
        handle.change_message_visibility(changed.receipt_handle, 1)
        again = handle.receive_message(5)
        equal((again.message_id, again.dequeue_count), (sent.message_id, 2))
        equal(again.first_dequeue_time, received.first_dequeue_time)
    with check("delete"):
        handle.delete_message(again.receipt_handle)
        with rejected("MessageNotExist"):
            handle.delete_message(again.receipt_handle)
        equal(handle.get_attributes().inactive_messages, 0)
    with check("delayed message"):
        delayed = handle.send_message(Message("later", delay_seconds=1))
        assert delayed.receipt_handle
        with rejected("MessageNotExist"):
            handle.peek_message()
        equal(handle.get_attributes().delay_messages, 1)
        equal(handle.receive_message(5).message_body, "later")
    with check("delete before it is due"):
        delayed = handle.send_message(Message("never", delay_seconds=600))
        handle.delete_message(delayed.receipt_handle)
        equal(handle.get_attributes().delay_messages, 0)


def batches():
    handle = queue("py-batch", vis_timeout=30)
    bodies = [f"body {number}" for number in range(16)]
    with check("batch send"):
        sent = handle.batch_send_message([Message(body) for body in bodies])
        equal([message.message_body_md5 for message in sent], [md5(body) for body in bodies])
        equal(len({message.message_id for message in sent}), 16)
        equal(handle.get_attributes().active_messages, 16)
    with check("batch peek"):
        peeked = handle.batch_peek_message(16)
        assert 1 <= len(peeked) <= 16
        assert {message.message_body for message in peeked} <= set(bodies)
        equal({(message.dequeue_count, message.priority) for message in peeked}, {(0, 8)})
    with check("batch receive"):
        received = []
        while len(received) < 16:
            received += handle.batch_receive_message(16)
        equal(sorted(message.message_body for message in received), sorted(bodies))
        for message in received:
            equal((message.message_body_md5, message.dequeue_count), (md5(message.message_body), 1))
    handles = [message.receipt_handle for message in received]
    with check("batch delete"):
        handle.batch_delete_message(handles[:8])
        equal(handle.get_attributes().inactive_messages, 8)
    with check("batch delete with a stale handle"):
        with rejected("MessageNotExist") as seen:
            handle.batch_delete_message([handles[0], *handles[8:]])
        equal([entry["ReceiptHandle"] for entry in seen.error.sub_errors], [handles[0]])
        equal([entry["ErrorCode"] for entry in seen.error.sub_errors], ["MessageNotExist"])
        equal(handle.get_attributes().inactive_messages, 0)
    with check("empty queue"):
        for call in (
            handle.peek_message,
            handle.receive_message,
            lambda: handle.batch_peek_message(16),
            lambda: handle.batch_receive_message(16),
        ):
            with rejected("MessageNotExist"):
                call()


def long_polls():
    handle = queue("py-wait")
    with check("long poll on an empty queue"):
        started = time.monotonic()
        with rejected("MessageNotExist"):
            handle.batch_receive_message(16, 1)
        waited = time.monotonic() - started
        assert 0.9 < waited < 5, f"came back after {waited:.2f} s"
    with check("long poll ends with a message"):
        other = account().get_queue("py-wait")
        other.set_encoding(False)
        sender = threading.Timer(0.2, other.send_message, [Message("wake up")])
        sender.start()
        started = time.monotonic()
        equal(handle.receive_message(20).message_body, "wake up")
        assert time.monotonic() - started < 10
        sender.join()


def bodies():
    raw, encoded = queue("py-body"), queue("py-body64", base64=True)
    with check("awkward body"):
        equal(raw.send_message(Message(AWKWARD)).message_body_md5, md5(AWKWARD))
        equal(raw.peek_message().message_body, AWKWARD)
        received = raw.receive_message()
        equal((received.message_body, received.message_body_md5), (AWKWARD, md5(AWKWARD)))
    with check("base64 body"):
        encoded.send_message(Message(AWKWARD))
        equal(encoded.peek_message_with_str_body().message_body, AWKWARD)
        equal(encoded.receive_message().message_body, AWKWARD.encode())
    with check("largest body"):
        largest = '"' * 65536
        raw.send_message(Message(largest))
        equal(raw.receive_message().message_body, largest)
        encoded.send_message(Message("é" * 24576))
        equal(encoded.receive_message_with_str_body().message_body, "é" * 24576)
    with check("body too large"), rejected("InvalidArgument"):
        raw.send_message(Message("x" * 65537))
    with check("batch too large"), rejected("InvalidArgument"):
        raw.batch_send_message([Message("x" * 40000)] * 2)


def refusals():
    handle = queue("py-refuse")
    with check("wrong secret"), rejected("SignatureDoesNotMatch"):
        account(secret="wrong").list_queue()
    with check("wrong id"), rejected("InvalidAccessKeyId"):
        account(access_key_id="nobody").list_queue()
    if SECURITY_TOKEN:
        with check("missing security token"), rejected("InvalidAccessKeyId"):
            account(token="").list_queue()
        with check("wrong security token"), rejected("SecurityTokenExpired"):
            account(token="wrong").list_queue()
    with check("clock off"):
        mns.mns_client.time = types.SimpleNamespace(
            strftime=time.strftime, gmtime=lambda: time.gmtime(time.time() - 20 * 60)
        )
        try:
            with rejected("TimeExpired"):
                account().list_queue()
        finally:
            mns.mns_client.time = time
    with check("bad receipt handle"), rejected("ReceiptHandleError"):
        handle.delete_message("garbage")
    with check("batch of 17"):
        with rejected("InvalidArgument"):
            handle.batch_receive_message(17)
        with rejected("InvalidArgument"):
            handle.batch_send_message([Message("x")] * 17)
    with check("bad priority"), rejected("InvalidArgument"):
        handle.send_message(Message("x", priority=17))
    with check("bad delay"), rejected("InvalidArgument"):
        handle.send_message(Message("x", delay_seconds=604801))
    with check("bad wait"), rejected("InvalidArgument"):
        handle.receive_message(31)
    with check("bad visibility timeout"):
        handle.send_message(Message("x"))
        received = handle.receive_message()
        with rejected("InvalidArgument"):
            handle.change_message_visibility(received.receipt_handle, 0)
    with check("refusals change nothing"):
        meta = handle.get_attributes()
        equal((meta.active_messages, meta.inactive_messages, meta.delay_messages), (0, 1, 0))


if __name__ == "__main__":
    # The SDK marks the depth counters as deprecated; here they are what is looked at.
    warnings.simplefilter("ignore", DeprecationWarning)
    for group in (queues, one_message, batches, long_polls, bodies, refusals):
        group()
    sys.exit(min(failures, 100))
