"""Receives Alertmanager's notifications and prints each alert in them on one line, with its receiver.

Argument: a loopback port.
"""

import datetime
import http.server
import json
import sys
import threading
import unicodedata

# Notifications come in threads of their own, and print() writes a line and its end apart.
SCREEN = threading.Lock()


def show(*lines):
    """Writes lines that stay lines: whatever would break or overwrite one is shown by its escape."""
    text = "".join(f"{escaped(line)}\n" for line in lines)
    with SCREEN:
        sys.stdout.write(text)
        sys.stdout.flush()


def escaped(text):
    """Without control characters, line and paragraph separators, and what turns the direction of writing."""
    hidden = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return "".join(repr(one)[1:-1] if unicodedata.category(one) in hidden else one for one in text)


def line(receiver, alert):
    """One alert of a notification to a receiver."""
    labels = dict(alert["labels"])
    name, severity = labels.pop("alertname", "?"), labels.pop("severity", "-")
    named = " ".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    now = datetime.datetime.now().strftime("%H:%M:%S")
    summary = alert.get("annotations", {}).get("summary", "")
    return f"{now} {receiver:<8} {alert['status'].upper():<8} {severity:<8} {name} {named} {summary}"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Alertmanager's webhook, version 4."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            notification = json.loads(body)
            receiver, alerts = notification["receiver"], notification["alerts"]
            lines = [line(receiver, alert) for alert in alerts]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            show(f"not a notification of Alertmanager: {error!r}")
            self.send_error(400)
            return
        show(*lines)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """The notifications are the log."""


class Server(http.server.ThreadingHTTPServer):
    """With room for many groups that notify at once."""

    request_queue_size = 128


if __name__ == "__main__":
    try:
        Server(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
    except KeyboardInterrupt:
        pass
