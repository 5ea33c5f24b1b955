"""Requests per second of one redirect worker beside nginx `return 302` with its access log, in the same run.

Both sides answer the same load generator (`wrk`, one thread) in interleaved rounds, so the machine's mood hits both alike; medians are
compared. nginx writes a log line per request into the page cache, the worker a whole click line; afterwards the lines in the journal
are counted against the answers, because a fast redirect that loses clicks is worth nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import structlog

from core.control.engine import open_control
from core.errors import ClicktraceError
from core.settings import JournalConfig
from redirect.config import RedirectConfig
from redirect.counters import read_all
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.worker import run_worker

DESTINATION = "https://shop.example/landing?season=spring"
_BROWSER = (
    "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br",
    "Accept-Language: en-GB,en;q=0.9",
    "Referer: https://www.search.example/",
    "Cache-Control: max-age=0",
    "DNT: 1",
    "Priority: u=0, i",
    "Sec-CH-UA-Mobile: ?1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: cross-site",
    "Upgrade-Insecure-Requests: 1",
)
_TRACKED = "?gclid=CjwKCAiA0bWvBhBjEiwAtEsoW7&utm_source=google&utm_campaign=spring&ct_campaign=google:1:2"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request."""

    name: str
    query: str = ""
    headers: tuple[str, ...] = ()


PROFILES = (
    Profile(name="plain"),
    Profile(name="browser", headers=_BROWSER),
    Profile(name="tracked", headers=_BROWSER, query=_TRACKED),
)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of wrk against one side measured. `lost` = answered clicks without a journal line."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    lost: int = 0


def run(*, seconds: int, rounds: int, connections: int) -> dict[str, object]:
    """Medians of both sides by profile, their ratio, and the loss check.

    Raises:
        ClicktraceError: wrk or nginx is missing, or a side answered something other than 302.
    """
    for tool in ("wrk", "nginx"):
        _find(tool)
    measured: dict[str, dict[str, list[Round]]] = {p.name: {"clicktrace": [], "nginx": []} for p in PROFILES}
    sides = [("clicktrace", _measure_clicktrace), ("nginx", _measure_nginx)]
    for turn in range(rounds):
        for profile in PROFILES:
            for name, measure in sides if turn % 2 == 0 else reversed(sides):
                measured[profile.name][name].append(measure(profile, seconds=seconds, connections=connections))
    return {
        "parameters": {"seconds": seconds, "rounds": rounds, "connections": connections, "cores": os.cpu_count()},
        "profiles": {name: _summary(by_side) for name, by_side in measured.items()},
        "answered": sum(r.requests for by_side in measured.values() for r in by_side["clicktrace"]),
        "lost": sum(r.lost for by_side in measured.values() for r in by_side["clicktrace"]),
    }


def _summary(by_side: dict[str, list[Round]]) -> dict[str, object]:
    middle = {side: _medians(rounds) for side, rounds in by_side.items()}
    ours, theirs = middle["clicktrace"], middle["nginx"]
    return {
        **middle,
        "ratio": round(ours["per_second"] / theirs["per_second"], 3),
        "cpu_ratio": round(ours["cpu_us"] / theirs["cpu_us"], 2) if theirs["cpu_us"] else None,
        "p99_ratio": round(ours["p99_ms"] / theirs["p99_ms"], 2) if theirs["p99_ms"] else None,
    }


def _medians(rounds: list[Round]) -> dict[str, float]:
    figures = ("per_second", "p50_ms", "p99_ms", "cpu_us")
    return {figure: round(median(getattr(one, figure) for one in rounds), 2) for figure in figures}


# --- the two sides ------------------------------------------------------------------------------------------------------------


def _measure_clicktrace(profile: Profile, *, seconds: int, connections: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder, _worker(Path(folder)) as (pid, port):
        measured = _wrk(profile, port=port, pid=pid, seconds=seconds, connections=connections)
        os.kill(pid, signal.SIGTERM)
        _wait_until_gone(pid)
        [counters] = read_all(Path(folder))
        answered = counters.values["outcome:redirected"]
        lines = sum(_count_lines(path) for path in (Path(folder) / "journal").glob("*.ndjson"))
        if measured.requests > answered:
            raise ClicktraceError(f"wrk counted {measured.requests} answers, the worker {answered}")
        return msgspec.structs.replace(measured, lost=answered - lines)


def _run_worker(**arguments: Any) -> None:
    """The worker in its own process; its log goes to standard error, because standard output is the result's."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run_worker(**arguments)


@contextmanager
def _worker(data_dir: Path) -> Iterator[tuple[int, int]]:
    """One worker process with one link; (pid, port)."""
    control = open_control("", data_dir)
    LinkStore(control, allowed_destinations=("shop.example",)).add(
        LinkDefinition(slug="spring", destination=DESTINATION, platform="google", campaign="google:1:2"), author="bench"
    )
    control.dispose()
    config = RedirectConfig.model_validate({"allowed_destinations": ["shop.example"], "drain_timeout_s": 1})
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        arguments = {
            "sockets": [listener],
            "config": config,
            "data_dir": data_dir,
            "control_url": "",
            "index": 0,
            "journal": JournalConfig.model_validate({}),
        }
        process = multiprocessing.get_context("spawn").Process(target=_run_worker, kwargs=arguments)
        process.start()
        assert process.pid is not None
        try:
            port = listener.getsockname()[1]
            _wait_for_answer(port)
            yield process.pid, port
        finally:
            process.terminate()
            process.join(10)


def _measure_nginx(profile: Profile, *, seconds: int, connections: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        port = _free_port()
        config = Path(folder) / "nginx.conf"
        config.write_text(_nginx_config(Path(folder), port))
        process = subprocess.Popen([_find("nginx"), "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            _wait_for_answer(port)
            return _wrk(profile, port=port, pid=process.pid, seconds=seconds, connections=connections)
        finally:
            process.terminate()
            process.wait(10)


def _nginx_config(folder: Path, port: int) -> str:
    """One process in the foreground, keep-alive without end, the default access log."""
    return f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 302 {DESTINATION}; }} }}
}}
"""


# --- wrk and /proc ------------------------------------------------------------------------------------------------------------


def _wrk(profile: Profile, *, port: int, pid: int, seconds: int, connections: int) -> Round:
    headers = [part for header in profile.headers for part in ("-H", header)]
    url = f"http://127.0.0.1:{port}/spring{profile.query}"
    command = [_find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers, url]
    before = _cpu_seconds(pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse_wrk(done.stdout, cpu_s=_cpu_seconds(pid) - before)


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


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _find(tool: str) -> str:
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ClicktraceError(f"{tool} is not installed: apt-get install {tool}")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_for_answer(port: int, *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=within_s) as probe:
                probe.sendall(b"HEAD /spring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if probe.recv(64).startswith(b"HTTP/1.1 302"):
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise ClicktraceError(f"nothing answers on port {port}") from None
        time.sleep(0.05)


def _wait_until_gone(pid: int, *, within_s: float = 15.0) -> None:
    """Until the process has ended (a zombie counts): its journal is complete then."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.02)
    raise ClicktraceError(f"process {pid} does not end")
