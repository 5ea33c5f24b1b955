"""The whole system watches a real page: canaries arrive, a page that dies is found, told, and found again."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from app.cli.links import app
from app.parts import Base
from app.settings import Settings
from app.watching import Watching
from core.clock import now_ms
from core.destinations import normalise
from core.errors import Conflict
from redirect.counters import Counters
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


def links_check(system: System, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments, "--url", system.url("monitor"), "--key", system.key])


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
        "CLICKTRACE_REDIRECT__WATCH__SLOW_S": "60",
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
        assert (listed.exit_code, f"ok: {body['destination']}" in listed.stdout) == (0, True), listed.output
        assert all("clicktrace-watch/" in agent for agent in page.agents)

        page.status = 500
        failing = links_check(system, "spring")
        assert failing.exit_code == 1
        assert "http_error" in failing.stdout
        refused = links_check(system, "spring", "--accept")
        assert isinstance(refused.exception, Conflict)
        eventually(lambda: receiver.alerts("DestinationFailing", "firing"), within_s=60, what="alert")

        page.status = 200
        eventually(lambda: receiver.alerts("DestinationFailing", "resolved"), within_s=60, what="its end")
        history = links_check(system, "spring", "--history")
        assert "http_error" in history.stdout
        [counts] = system.select(
            "SELECT (SELECT count() FROM click) AS clicks, (SELECT count() FROM touch) AS touches,"
            " (SELECT count() FROM check WHERE state = 'failing') > 0 AS failed"
        )
        assert {name: int(count) for name, count in counts.items()} == {"clicks": 0, "touches": 0, "failed": 1}
        assert system.stop() == 0, system.tail()


@pytest.fixture
def watching(tmp_path: Path, control: Engine) -> Callable[..., Watching]:
    def build(**redirect: Any) -> Watching:
        settings = Settings.model_validate({"data_dir": tmp_path, "redirect": redirect})
        base = SimpleNamespace(
            settings=settings,
            control=control,
            journal=None,
            store=None,
            clock=now_ms,
            authorize=lambda _scope: lambda: None,
        )
        return Watching(cast(Base, base))

    return build


@pytest.mark.parametrize(
    ("redirect", "entrance"),
    [
        ({"port": 8081}, "http://127.0.0.1:8081"),
        ({"port": 8081, "host": "::1"}, "http://[::1]:8081"),
        ({"port": 8081, "tls_cert": "c.pem", "tls_key": "k.pem"}, "https://127.0.0.1:8081"),
        ({"port": 8081, "watch": {"canary_url": "https://go.example/"}}, "https://go.example"),
    ],
)
def test_canaries_enter_where_people_do(
    tmp_path: Path, watching: Callable[..., Watching], redirect: dict[str, Any], entrance: str
) -> None:
    Counters(tmp_path, index=0)  # a worker lives in this data directory
    assert watching(**redirect)._entrance() == entrance


def test_without_a_worker_on_this_machine_there_is_no_way_in(watching: Callable[..., Watching]) -> None:
    assert watching()._entrance() == ""


def test_visits_of_our_own_short_links_are_marked_and_others_are_not(watching: Callable[..., Watching]) -> None:
    built = watching(public_url="https://go.example", domains=["go.brand.example"])
    for url, marked in (
        ("https://go.example/a", True),
        ("https://go.brand.example/a", True),
        ("https://go.example:8443/a", False),
        ("https://shop.example/a", False),
    ):
        assert bool(built._headers_for(normalise(url))) is marked, url


def test_a_watch_that_is_switched_off_runs_nothing(watching: Callable[..., Watching]) -> None:
    assert [name for name, _, _ in watching().rounds()] == ["watch", "canary"]
    assert [name for name, _, _ in watching(watch={"canary_interval_s": 0}).rounds()] == ["watch"]
    assert list(watching(watch={"enabled": False}).rounds()) == []
