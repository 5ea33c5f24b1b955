"""A monitor as anybody starts it, for what is measured through its doors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from app.run_state import read_state
from core.errors import ClicktraceError

START_S: Final = 180.0
STOP_S: Final = 60.0


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    port: int
    otlp_port: int


@contextmanager
def running_monitor(data_dir: Path) -> Iterator[Monitor]:
    """`clicktrace monitor` as anybody starts it, on free ports."""
    environment = os.environ | {
        "CLICKTRACE_DATA_DIR": str(data_dir),
        "CLICKTRACE_MONITOR__PORT": "0",
        "CLICKTRACE_MONITOR__OTLP_PORT": "0",
        "CLICKTRACE_STORE__READ_PORT": "0",
        "CLICKTRACE_TELEMETRY__LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "app.cli.main", "monitor"]
    log = data_dir / "monitor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_S
        while (state := read_state(data_dir, role="monitor")) is None or not _answers(state.ports["monitor"]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ClicktraceError(f"the monitor did not start: {log.read_text()[-500:]}")
            time.sleep(0.1)
        pid = next(child.pid for child in state.children if child.pid is not None)
        yield Monitor(pid=pid, port=state.ports["monitor"], otlp_port=state.ports["otlp"])
    finally:
        process.terminate()
        process.wait(STOP_S)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
