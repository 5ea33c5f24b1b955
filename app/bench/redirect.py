"""Requests per second of one redirect worker beside nginx `return 302` with its access log, in the same run.

Both sides answer the same load generator (`wrk`, one thread) in alternating rounds, so the machine's mood hits both alike; medians are
compared. nginx writes a log line per request into the page cache, the worker a whole click line; afterwards the lines in the journal
are counted against the answers, because a fast redirect that loses clicks is worth nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from app.bench.cases import CASES, DESTINATION, LINKS, Case, Required, country_database, script
from app.bench.wrk import Round, count_lines, find, run_wrk, wait_for_answer, wait_until_gone, worker_process
from app.ports import free_port
from core.control.engine import open_control
from core.errors import ClicktraceError
from redirect.counters import read_all
from redirect.links.store import LinkStore

_WARM_S = 1


def run(*, seconds: int, rounds: int, connections: int, cases: Sequence[str] = ()) -> dict[str, object]:
    """Medians of both sides by case, their ratios, what is required, and the loss check.

    Args:
        cases: names of `app.bench.cases.CASES`; empty = all.

    Raises:
        ClicktraceError: wrk or nginx is missing, a case is unknown, or a side answered something other than a redirect.
    """
    for tool in ("wrk", "nginx"):
        find(tool)
    wanted = _wanted(cases)
    ours: dict[str, list[Round]] = {case.name: [] for case in wanted}
    theirs: dict[str, list[Round]] = {case.name: [] for case in wanted if not case.same_as}
    for turn in range(rounds):
        for case in wanted:
            sides = [(ours, _measure_clicktrace), (theirs, _measure_nginx)]
            for measured, measure in sides if turn % 2 == 0 else reversed(sides):
                if case.name in measured:
                    measured[case.name].append(measure(case, seconds=seconds, connections=connections))
    return {
        "parameters": {"seconds": seconds, "rounds": rounds, "connections": connections, "cores": os.cpu_count()},
        "cases": {case.name: _summary(case, ours[case.name], theirs[case.same_as or case.name]) for case in wanted},
        "answered": sum(one.requests for measured in ours.values() for one in measured),
        "lost": sum(one.lost for measured in ours.values() for one in measured),
    }


def _wanted(names: Sequence[str]) -> list[Case]:
    """The cases, in their order; with one that is compared with another comes that other."""
    by_name = {case.name: case for case in CASES}
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        raise ClicktraceError(f"there is no case {', '.join(unknown)}: write {', '.join(by_name)}")
    needed = {*names, *(by_name[name].same_as for name in names)} if names else set(by_name)
    return [case for case in CASES if case.name in needed]


def _summary(case: Case, ours: list[Round], theirs: list[Round]) -> dict[str, object]:
    worker, nginx = medians(ours), medians(theirs)
    found = {
        "ratio": round(worker["per_second"] / nginx["per_second"], 3),
        "cpu_ratio": round(worker["cpu_us"] / nginx["cpu_us"], 2) if nginx["cpu_us"] else 0.0,
        "p99_ratio": round(worker["p99_ms"] / nginx["p99_ms"], 2) if nginx["p99_ms"] else 0.0,
    }
    missed = misses(case.required, {**found, "p99_ms": worker["p99_ms"]})
    return {"what": case.what, "clicktrace": worker, "nginx": nginx, **found, "missed": missed}


def medians(rounds: list[Round]) -> dict[str, float]:
    figures = ("per_second", "p50_ms", "p99_ms", "cpu_us")
    return {figure: round(median(getattr(one, figure) for one in rounds), 2) for figure in figures}


def misses(required: Required, found: dict[str, float]) -> list[str]:
    """Each bound that is not kept, in words."""
    missed = []
    for name, bound in msgspec.structs.asdict(required).items():
        if bound is not None and (found[name] < bound if name == "ratio" else found[name] > bound):
            missed.append(f"{name} {found[name]:g} is {'below' if name == 'ratio' else 'above'} {bound:g}")
    return missed


# --- the two sides ------------------------------------------------------------------------------------------------------------


def _measure_clicktrace(case: Case, *, seconds: int, connections: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder, _worker(Path(folder), case) as (pid, port):
        _load(case, Path(folder), port=port, pid=pid, seconds=_WARM_S, connections=connections)
        measured = _load(case, Path(folder), port=port, pid=pid, seconds=seconds, connections=connections)
        os.kill(pid, signal.SIGTERM)
        wait_until_gone(pid)
        [counters] = read_all(Path(folder))
        answered = counters.values["outcome:redirected"]
        if measured.requests > answered:
            raise ClicktraceError(f"wrk counted {measured.requests} answers, the worker {answered}")
        return msgspec.structs.replace(measured, lost=answered - count_lines(Path(folder) / "journal"))


@contextmanager
def _worker(data_dir: Path, case: Case) -> Iterator[tuple[int, int]]:
    """One worker process with the links of the cases; (pid, port)."""
    control = open_control("", data_dir)
    store = LinkStore(control, allowed_destinations=("shop.example",))
    for link in LINKS:
        store.add(link, author="bench")
    control.dispose()
    database = country_database(data_dir) if case.slug == "routed" else None
    settings = {**case.settings, "country_database": str(database)} if database else case.settings
    with worker_process(data_dir, settings=settings) as running:
        yield running


def _measure_nginx(case: Case, *, seconds: int, connections: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        port = free_port()
        config = Path(folder) / "nginx.conf"
        config.write_text(_nginx_config(Path(folder), port))
        process = subprocess.Popen([find("nginx"), "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            wait_for_answer(port)
            _load(case, Path(folder), port=port, pid=process.pid, seconds=_WARM_S, connections=connections)
            return _load(case, Path(folder), port=port, pid=process.pid, seconds=seconds, connections=connections)
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


def _load(case: Case, folder: Path, *, port: int, pid: int, seconds: int, connections: int) -> Round:
    url = f"http://127.0.0.1:{port}/{case.slug}{case.query}"
    if case.varied:
        arguments = ["-s", str(script(case, folder / "requests.lua")), url]
    else:
        arguments = [part for name, value in case.headers.items() for part in ("-H", f"{name}: {value}")] + [url]
    return run_wrk(arguments, pid=pid, seconds=seconds, connections=connections)
