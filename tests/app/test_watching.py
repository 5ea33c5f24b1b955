"""The whole system watches a real page: canaries arrive, a page that dies is found, told, and found again."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.alerts.receiver import Receiver

from .running_system import System, eventually, running


class Page:
    """A page on loopback with a status that the test chooses."""

    def __init__(self) -> None:
        self.status = 200
        self.agents: list[str] = []
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page.agents.append(self.headers["User-Agent"])
                self.send_response(page.status)
                self.end_headers()
                self.wfile.write(b"<title>Shop</title>")

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    yield page
    page.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def links_check(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "links", "check", *arguments],
        env=system.environ, capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def metric(system: System, name: str) -> float:
    text = httpx.get(system.url("monitor", "/metrics"), timeout=30).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def test_a_page_that_dies_is_found_told_and_found_again(tmp_path: Path, page: Page, receiver: Receiver) -> None:
    environ = {
        "CLICKTRACE_REDIRECT__ALLOWED_DESTINATIONS": f"['127.0.0.1:{page.port}']",
        "CLICKTRACE_REDIRECT__WATCH__ENABLED": "true",
        "CLICKTRACE_REDIRECT__WATCH__INTERVAL_S": "10",
        "CLICKTRACE_REDIRECT__WATCH__RETRY_S": "0",
        "CLICKTRACE_REDIRECT__WATCH__CANARY_INTERVAL_S": "1",
        "CLICKTRACE_ALERTS__WEBHOOK_URL": receiver.url,
    }
    with running(tmp_path / "data", environ=environ) as system:
        body = {"slug": "spring", "destination": f"http://127.0.0.1:{page.port}/p", "campaign": "google:1:2"}
        with system.client() as client:
            assert client.post("/api/v1/links", json=body).status_code == 201

        eventually(
            lambda: metric(system, 'clicktrace_canaries_total{outcome="reached"}') >= 1, within_s=60, what="canary"
        )
        assert metric(system, "clicktrace_canary_lost_links") == 0
        assert metric(system, "clicktrace_canary_seconds_count") >= 1

        with system.client() as client:
            eventually(
                lambda: client.get("/api/v1/destinations?state=ok").json()["destinations"], within_s=30, what="look"
            )
        listed = links_check(system)
        assert (listed.returncode, f"ok: {body['destination']}" in listed.stdout) == (0, True), listed.stderr
        assert all("clicktrace-watch/" in agent for agent in page.agents)

        page.status = 500
        failing = links_check(system, "spring")
        assert failing.returncode == 1
        assert "http_error" in failing.stdout
        refused = links_check(system, "spring", "--accept")
        assert (refused.returncode, "failing" in refused.stderr) == (1, True)
        eventually(lambda: receiver.alerts("DestinationFailing", "firing"), within_s=60, what="alert")

        page.status = 200
        eventually(lambda: receiver.alerts("DestinationFailing", "resolved"), within_s=60, what="its end")
        history = links_check(system, "spring", "--history")
        assert "http_error" in history.stdout
        [counts] = system.select("SELECT (SELECT count() FROM click) AS clicks, (SELECT count() FROM touch) AS touches")
        assert {int(count) for count in counts.values()} == {0}
        assert system.stop() == 0, system.tail()
