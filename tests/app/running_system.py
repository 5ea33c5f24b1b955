"""`clicktrace up` as a real system of processes on free ports, for tests that need all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.run_state import RunState, read_state

FREE_PORTS = {
    "CLICKTRACE_REDIRECT__HOST": "127.0.0.1",
    "CLICKTRACE_REDIRECT__PORT": "0",
    "CLICKTRACE_MONITOR__PORT": "0",
    "CLICKTRACE_MONITOR__OTLP_PORT": "0",
    "CLICKTRACE_STORE__READ_PORT": "0",
    "CLICKTRACE_REDIRECT__ALLOWED_DESTINATIONS": "[shop.example]",
    # Nobody lives there: a test that watches destinations brings its own.
    "CLICKTRACE_REDIRECT__WATCH__ENABLED": "false",
}
START_S = 60.0


def eventually(holds: Callable[[], Any], *, within_s: float, every_s: float = 0.05, what: str = "") -> Any:
    """The first truthy answer of `holds`; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = holds()
        except (httpx.HTTPError, OSError):
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or holds}"
        time.sleep(every_s)


class System:
    """One supervisor and its children."""

    def __init__(self, data_dir: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLICKTRACE_")},
            **FREE_PORTS,
            "CLICKTRACE_DATA_DIR": str(data_dir),
            **(environ or {}),
        }
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> System:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", "up"],
                env=self.environ, stdout=log, stderr=log, cwd=self.data_dir.parent,
            )  # fmt: skip
        eventually(lambda: self._dead() or self.ready(), within_s=START_S, what=f"ready: {self.tail()}")
        assert not self._dead(), self.tail()
        return self

    def ready(self) -> bool:
        state = read_state(self.data_dir)
        if state is None:
            return False
        with httpx.Client(timeout=5) as client:
            worker = client.get(f"http://127.0.0.1:{state.ports['redirect']}/healthz")
            monitor = client.get(f"http://127.0.0.1:{state.ports['monitor']}/readyz")
        return worker.status_code == 200 and monitor.status_code == 200

    @property
    def state(self) -> RunState:
        state = read_state(self.data_dir)
        assert state is not None, self.tail()
        return state

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.state.ports[name]}{path}"

    def client(self, name: str = "monitor") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url(name), headers=headers, timeout=20)

    def add_link(self, slug: str) -> None:
        """A link to the shop, known to every worker when this returns."""
        link = {
            "slug": slug, "destination": "https://shop.example/p", "platform": "google", "campaign": "google:1:2",
        }  # fmt: skip
        with self.client() as client:
            answer = client.post("/api/v1/links", json=link)
            assert answer.status_code == 201, answer.text
        eventually(lambda: httpx.get(self.url("redirect", f"/{slug}")).status_code == 302, within_s=10, what="link")

    def select(self, sql: str) -> list[dict[str, Any]]:
        """Rows through the ClickHouse protocol, as any client of it would ask."""
        headers = {"X-ClickHouse-Key": self.key}
        answer = httpx.post(self.url("read"), content=f"{sql} FORMAT JSON", headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = json.loads(answer.text)["data"]
        return rows

    def pid(self, name: str) -> int | None:
        return next(child.pid for child in self.state.children if child.name == name)

    def kill(self, name: str) -> int:
        """SIGKILL a child; its former pid."""
        pid = self.pid(name)
        assert pid is not None, f"{name} is not running"
        os.kill(pid, signal.SIGKILL)
        return pid

    def restarted(self, name: str, *, former: int) -> bool:
        return self.pid(name) not in (None, former)

    def children(self) -> list[int]:
        return [child.pid for child in self.state.children if child.pid is not None]

    def stop(self, *, within_s: float = 40.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(within_s)

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""

    def _dead(self) -> bool:
        return self.process is not None and self.process.poll() is not None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # A zombie has ended; it only waits for whoever is its parent now.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@contextmanager
def running(data_dir: Path, *, environ: Mapping[str, str] | None = None) -> Iterator[System]:
    """A started system that is gone at the end, whatever happened."""
    system = System(data_dir, environ=environ)
    children: list[int] = []
    try:
        system.start()
        children = system.children()
        yield system
    finally:
        if system.process is not None and system.process.poll() is None:
            children = system.children() if read_state(data_dir) else children
            system.process.terminate()
            try:
                system.process.wait(40)
            except subprocess.TimeoutExpired:
                system.process.kill()
        for pid in children:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
