"""Requests per second of one redirect worker beside nginx `return 302` with its access log, in the same run.

Both sides answer the same load generator (`wrk`, one thread) in interleaved rounds, so the machine's mood hits both alike; medians are
compared. nginx writes a log line per request into the page cache, the worker a whole click line; afterwards the lines in the journal
are counted against the answers, because a fast redirect that loses clicks is worth nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from app.bench.wrk import Round, find, run_wrk, wait_for_answer, wait_until_gone, worker_process
from core.control.engine import open_control
from core.errors import ClicktraceError
from redirect.counters import read_all
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

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


def run(*, seconds: int, rounds: int, connections: int) -> dict[str, object]:
    """Medians of both sides by profile, their ratio, and the loss check.

    Raises:
        ClicktraceError: wrk or nginx is missing, or a side answered something other than 302.
    """
    for tool in ("wrk", "nginx"):
        find(tool)
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
        wait_until_gone(pid)
        [counters] = read_all(Path(folder))
        answered = counters.values["outcome:redirected"]
        lines = sum(_count_lines(path) for path in (Path(folder) / "journal").glob("*.ndjson"))
        if measured.requests > answered:
            raise ClicktraceError(f"wrk counted {measured.requests} answers, the worker {answered}")
        return msgspec.structs.replace(measured, lost=answered - lines)


@contextmanager
def _worker(data_dir: Path) -> Iterator[tuple[int, int]]:
    """One worker process with one link; (pid, port)."""
    control = open_control("", data_dir)
    LinkStore(control, allowed_destinations=("shop.example",)).add(
        LinkDefinition(slug="spring", destination=DESTINATION, platform="google", campaign="google:1:2"), author="bench"
    )
    control.dispose()
    with worker_process(data_dir) as running:
        yield running


def _measure_nginx(profile: Profile, *, seconds: int, connections: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        port = _free_port()
        config = Path(folder) / "nginx.conf"
        config.write_text(_nginx_config(Path(folder), port))
        process = subprocess.Popen([find("nginx"), "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            wait_for_answer(port)
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
    return run_wrk([*headers, url], pid=pid, seconds=seconds, connections=connections)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
