"""The supervisor with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth import KeyRing
from app.run_state import read_state
from core.clock import now_ms, to_rfc3339
from core.control.engine import open_control
from core.identity import derive
from tests.collectors.internet import signature

from .running_system import System, alive, eventually, running

HOOK_SECRET = "a-secret-that-only-the-shop-knows"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("up")
    secret = folder / "hook.secret"
    secret.write_text(HOOK_SECRET)
    environ = {
        "CLICKTRACE_MONITOR__PUBLIC_HOST": "127.0.0.1",
        "CLICKTRACE_MONITOR__PUBLIC_PORT": "0",
        "CLICKTRACE_COLLECTORS__GENERIC__CONNECTIONS": f"[{{name: shop, webhook_secret_file: {secret}}}]",
    }
    with running(folder / "data", environ=environ) as started:
        started.add_link("spring")
        yield started


def _found(client: httpx.Client, path: str) -> dict[str, Any] | None:
    answer = client.get(path)
    return answer.json() if answer.status_code == 200 else None


def run_up(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "up"], env=environ, capture_output=True, text=True, timeout=60
    )


class Knocker(threading.Thread):
    """Opens a new connection over and over and notes every one that was refused or answered with an error."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.answers = 0
        self.refused: list[str] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                httpx.get(self.url, timeout=30)
                self.answers += 1
            except httpx.ConnectError as error:
                self.refused.append(str(error))
            except httpx.HTTPError:
                pass  # a request that died with its worker: the connection had been accepted
            time.sleep(0.02)

    def stop(self) -> None:
        self._stopping.set()
        self.join(40)


def test_the_status_file_names_ports_processes_and_console(system: System) -> None:
    state = system.state
    assert set(state.ports) == {"redirect", "monitor", "otlp", "read", "public"}
    assert all(port > 0 for port in state.ports.values())
    assert [child.name for child in state.children] == ["redirect-0", "monitor"]
    assert httpx.get(state.console + "/healthz").json() == {"status": "ok"}
    assert Path(state.admin_key_file).read_text().startswith("ct_")


def test_the_start_says_where_the_console_and_the_admin_key_are(system: System) -> None:
    said = system.log.read_text()
    assert system.state.console in said
    assert "admin.key" in said


def test_otlp_is_answered_on_its_own_port_and_nothing_else_is(system: System) -> None:
    with system.client("otlp") as client:
        headers = {"Content-Type": "application/json"}
        assert client.post("/v1/traces", json={"resourceSpans": []}, headers=headers).status_code == 200
        assert client.get("/api/v1/links").status_code == 404


def test_a_click_is_seen_through_the_api_and_the_clickhouse_protocol(system: System) -> None:
    answer = httpx.get(system.url("redirect", "/spring?gclid=one-click"))
    assert answer.status_code == 302
    click_id = derive("gclid", b"one-click")
    assert f"ct_click={click_id}" in answer.headers["location"]
    with system.client() as client:
        journey = eventually(lambda: _found(client, f"/api/v1/clicks/{click_id}"), within_s=10, what="click in the API")
    assert journey["campaign"] == "google:1:2"
    rows = system.select(f"SELECT slug, http_status FROM click WHERE click_id = unhex('{click_id}')")
    assert rows == [{"slug": "spring", "http_status": 302}]


def test_hooks_and_postbacks_come_in_through_the_public_listener_and_nothing_else_is_there(system: System) -> None:
    engine = open_control("", system.data_dir, migrate=False)
    key = KeyRing(engine).add("network", scopes=["postback"], clients=["acme"])
    engine.dispose()
    click_id = derive("gclid", b"one-sale")
    parameters = {"click_id": click_id, "payout": "12.50", "currency": "EUR", "txid": "t-1"}
    body = json.dumps({"conversion_id": "h-1", "type": "lead", "ts": to_rfc3339(now_ms())}).encode()
    at_s = now_ms() // 1000
    signed = {
        "X-Clicktrace-Timestamp": str(at_s), "X-Clicktrace-Signature": signature(body, at_s=at_s, secret=HOOK_SECRET),
    }  # fmt: skip
    with system.client("public") as client:
        assert client.get(f"/api/v1/postback/{key}", params=parameters).json()["result"] == "created"
        assert client.post("/api/v1/hooks/shop", content=body, headers=signed).json()["written"] == 1
        assert client.post("/api/v1/hooks/shop", content=body, headers=signed).json()["reason"] == "replayed"
        assert [client.get(path).status_code for path in ("/api/v1/links", "/metrics", "/docs", "/")] == [404] * 4
    sql = "SELECT conversion_id, client, value_micros FROM conversion ORDER BY conversion_id"
    expected = [
        {"conversion_id": f"{click_id}:t-1", "client": "acme", "value_micros": 12_500_000},
        {"conversion_id": "h-1", "client": "", "value_micros": 0},
    ]
    rows = eventually(lambda: len(found := system.select(sql)) == 2 and found, within_s=10, what="both in the store")
    assert [{**row, "value_micros": int(row["value_micros"])} for row in rows] == sorted(
        expected, key=lambda row: str(row["conversion_id"])
    )


def test_the_clickhouse_protocol_asks_for_a_key_that_reads_everything(system: System) -> None:
    assert httpx.post(system.url("read"), content="SELECT 1").status_code == 401
    with system.client() as client:
        assert client.get("/api/v1/freshness").status_code == 200


def test_metrics_come_as_prometheus_and_as_openmetrics(system: System) -> None:
    plain = httpx.get(system.url("monitor", "/metrics"))
    assert "clicktrace_shipper_behind_bytes" in plain.text
    assert "clicktrace_redirect_requests_total" in plain.text
    assert "clicktrace_erasure_oldest_open_seconds 0.0" in plain.text
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_metrics = httpx.get(system.url("monitor", "/metrics"), headers=accept)
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_the_console_sends_strangers_to_the_sign_in(system: System) -> None:
    answer = httpx.get(system.url("monitor", "/"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize(
    ("child", "listener", "path"), [("redirect-0", "redirect", "/healthz"), ("monitor", "monitor", "/healthz")]
)
def test_a_killed_child_is_replaced_without_a_refused_connection(
    system: System, child: str, listener: str, path: str
) -> None:
    knocker = Knocker(system.url(listener, path))
    knocker.start()
    eventually(lambda: knocker.answers > 3, within_s=10)
    former = system.kill(child)
    eventually(lambda: system.restarted(child, former=former), within_s=20, what="restarted")
    before = knocker.answers
    eventually(lambda: knocker.answers > before + 3, within_s=40, what="answers again")
    knocker.stop()
    assert knocker.refused == []
    eventually(system.ready, within_s=30)


def test_a_second_supervisor_on_the_same_data_directory_is_refused(system: System) -> None:
    second = run_up(system.environ)
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "Traceback" not in second.stderr
    assert system.ready()


def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = System(tmp_path / "data", environ={"CLICKTRACE_MONITOR__PORT": str(port)}).environ
        refused = run_up(environ)
    assert refused.returncode == 78
    assert "monitor.port" in refused.stderr
    assert str(port) in refused.stderr


def test_a_child_that_cannot_work_with_the_configuration_stops_everything(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "broken.yaml").write_text("rule: [not, a, rule]\n")
    refused = run_up(System(tmp_path / "data", environ={"CLICKTRACE_ALERTS__RULES_DIR": str(rules)}).environ)
    assert refused.returncode == 78
    assert "broken.yaml" in refused.stderr


def test_sigterm_stops_everything_cleanly(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        children = system.children()
        system.add_link("spring")
        assert system.stop() == 0
        assert [pid for pid in children if alive(pid)] == []
        assert not (system.data_dir / "run" / "up.json").exists()
        assert "killed" not in system.log.read_text()


def test_a_killed_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        children = system.children()
        assert system.process is not None
        os.kill(system.process.pid, signal.SIGKILL)
        system.process.wait(10)
        eventually(lambda: not any(alive(pid) for pid in children), within_s=30, what="orphans end")


def test_the_redirect_runs_alone_and_is_found_by_its_own_status_file(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environ = System(data_dir).environ
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", "redirect"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        state = eventually(lambda: read_state(data_dir, role="redirect"), within_s=30)
        assert set(state.ports) == {"redirect"}
        url = f"http://127.0.0.1:{state.ports['redirect']}/healthz"
        eventually(lambda: httpx.get(url).status_code == 200, within_s=30)
    finally:
        process.terminate()
        assert process.wait(30) == 0
