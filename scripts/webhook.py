"""Receives Alertmanager's notifications and prints each alert in them on one line, with its receiver.

Argument: a loopback port.
"""

import datetime
import http.server
import json
import sys


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
            text = "\n".join(line(receiver, alert) for alert in alerts)
        except (ValueError, KeyError, TypeError) as error:
            print(f"not a notification of Alertmanager: {error!r}", flush=True)
            self.send_error(400)
            return
        print(text, flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """The notifications are the log."""


if __name__ == "__main__":
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
    except KeyboardInterrupt:
        pass
