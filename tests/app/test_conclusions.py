from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.conclusions import Heartbeat, detection_config
from app.parts import client_of, traces_url
from app.settings import Settings, load_settings


def configured(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "clicktrace.yaml"
    file.write_text(text)
    return load_settings(file, environ={})


class Beats(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def watcher() -> Iterator[Beats]:
    server = Beats()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_a_heartbeat_is_heard_outside(watcher: Beats) -> None:
    heartbeat = Heartbeat(f"http://127.0.0.1:{watcher.server_port}/ping/abc")
    heartbeat.beat()
    heartbeat.close()
    assert watcher.paths == ["/ping/abc"]


def test_a_silent_watcher_never_stops_the_tick() -> None:
    heartbeat = Heartbeat("http://127.0.0.1:9/ping")
    with capture_logs() as lines:
        heartbeat.beat()
    heartbeat.close()
    assert [line["event"] for line in lines] == ["heartbeat not delivered"]


def test_detection_steers_by_the_catalogue(tmp_path: Path) -> None:
    settings = configured(tmp_path, "correlator: {catalogue: {signup: {steers_live: true}, visit: {}}}\n")
    assert detection_config(settings).steering_types == ["signup"]


def test_detection_can_be_told_other_types_than_the_catalogue(tmp_path: Path) -> None:
    settings = configured(tmp_path, "detection: {steering_types: [order]}\n")
    assert detection_config(settings).steering_types == ["order"]


def test_an_account_belongs_to_the_client_of_the_settings(tmp_path: Path) -> None:
    settings = configured(tmp_path, "accounts: [{platform: google, account: '1', client: acme}]\n")
    owner = client_of(settings)
    assert (owner("google", "1"), owner("google", "2")) == ("acme", "")


@pytest.mark.parametrize("endpoint", ["http://tempo:4318", "http://tempo:4318/", "http://tempo:4318/v1/traces"])
def test_a_telemetry_endpoint_is_its_base_or_its_traces_address(endpoint: str) -> None:
    assert traces_url(endpoint) == "http://tempo:4318/v1/traces"


def test_without_an_endpoint_no_span_leaves() -> None:
    assert traces_url("") == ""
