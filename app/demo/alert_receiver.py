"""The team's chat, played by a webhook receiver: takes what Alertmanager (or the built-in notifier) posts and keeps it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of one delivery. `at` is when it reached us, ms."""

    at: int
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    caller: str


class AlertReceiver:
    """Listens on a free loopback port; a context manager."""

    def __init__(self, *, on_alert: Callable[[Received], None] | None = None) -> None:
        self.received: list[Received] = []
        self._on_alert = on_alert
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                receiver.take(msgspec.json.decode(body), caller=self.headers.get("user-agent", ""))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet: the story is told elsewhere."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def take(self, body: dict[str, Any], *, caller: str) -> None:
        for alert in body.get("alerts", []):
            received = Received(
                at=int(time.time() * 1000),
                status=alert["status"],
                labels=alert["labels"],
                annotations=alert["annotations"],
                caller=caller,
            )
            self.received.append(received)
            if self._on_alert is not None:
                self._on_alert(received)

    def firing(self) -> list[Received]:
        return [each for each in self.received if each.status == "firing"]

    def resolved(self) -> list[Received]:
        return [each for each in self.received if each.status == "resolved"]

    def __enter__(self) -> AlertReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
