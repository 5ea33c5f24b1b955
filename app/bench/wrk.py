"""What the benches of the redirect share: a run of wrk and its report, the CPU time of a process, a worker of its own."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from core.errors import ClicktraceError
from core.settings import JournalConfig
from redirect.config import RedirectConfig
from redirect.worker import run_worker


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of wrk against one side measured. `lost` = answered clicks without a journal line."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    lost: int = 0


def run_wrk(arguments: Sequence[str], *, pid: int, seconds: int, connections: int) -> Round:
    """One run against one process; `arguments` end with the URL."""
    command = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *arguments]
    before = cpu_seconds(pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse_wrk(done.stdout, cpu_s=cpu_seconds(pid) - before)


def parse_wrk(text: str, *, cpu_s: float) -> Round:
    """The figures of wrk's report.

    Raises:
        ClicktraceError: some answers were errors, so the figures would say nothing.
    """
    if "Non-2xx" in text or "Socket errors" in text:
        raise ClicktraceError(f"wrk saw errors:\n{text}")
    requests = int(_match(r"(\d+) requests in", text))
    return Round(
        requests=requests,
        per_second=float(_match(r"Requests/sec:\s+([\d.]+)", text)),
        p50_ms=_milliseconds(_match(r"\b50%\s+([\d.]+\w+)", text)),
        p99_ms=_milliseconds(_match(r"\b99%\s+([\d.]+\w+)", text)),
        cpu_us=cpu_s * 1e6 / max(requests, 1),
    )


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ClicktraceError(f"wrk's report has no {pattern!r}:\n{text}")
    return found.group(1)


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ClicktraceError(f"wrk's time {text!r} has no unit we know")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return kilobytes / 1024


def count_lines(journal: Path) -> int:
    """Whole lines in the segments of a journal that were not compressed."""
    return sum(lines_in(path) for path in journal.glob("*.ndjson"))


def lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def find(tool: str) -> str:
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ClicktraceError(f"{tool} is not installed: apt-get install {tool}")
    return found


@contextmanager
def worker_process(
    data_dir: Path, *, index: int = 0, settings: Mapping[str, object] | None = None
) -> Iterator[tuple[int, int]]:
    """A worker in a process of its own that answers; (pid, port)."""
    config = RedirectConfig.model_validate(
        {"allowed_destinations": ["shop.example"], "drain_timeout_s": 1, **(settings or {})}
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        arguments = {
            "sockets": [listener],
            "config": config,
            "data_dir": data_dir,
            "control_url": "",
            "index": index,
            "journal": JournalConfig.model_validate({}),
        }
        process = multiprocessing.get_context("spawn").Process(target=_run_quietly, kwargs=arguments)
        process.start()
        assert process.pid is not None
        try:
            port = listener.getsockname()[1]
            wait_for_answer(port)
            yield process.pid, port
        finally:
            process.terminate()
            process.join(10)


def _run_quietly(**arguments: Any) -> None:
    """The worker's log goes to standard error, because standard output is the result's."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run_worker(**arguments)


def wait_for_answer(port: int, *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=within_s) as probe:
                probe.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if probe.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.1 302")):
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise ClicktraceError(f"nothing answers on port {port}") from None
        time.sleep(0.05)


def wait_until_gone(pid: int, *, within_s: float = 15.0) -> None:
    """Until the process has ended (a zombie counts): its journal is complete then."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.02)
    raise ClicktraceError(f"process {pid} does not end")
