"""One redirect worker with a million links beside one with a thousand, in the same run.

Both are hit by a Zipf mix over all their links (s = 1: the most popular link gets twice the hits of the second, a thousand times those of
the thousandth), in alternating rounds, warm. The hits are a list of a million that was drawn once, as load tools replay one; `drawn_anew` is the same with
every hit drawn when it is sent, which no cache can come to know: the harder mix, shown beside, without a bound.

Besides, for the million: the memory above a worker without links, the time from start to the first answer, and how long a changed link
goes on leading to its old destination, on two workers.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate
from math import log
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import msgspec

from app.bench.wrk import Round, find, rss_mb, run_wrk, worker_process
from core.control.engine import open_control
from redirect.counters import read_all
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

AT_LEAST: Final[dict[str, float]] = {"ratio": 0.85}
AT_MOST: Final[dict[str, float]] = {"memory_above_empty_mb": 100.0, "start_s": 3.0, "slowest_change_s": 1.0}
_STRIDE = 5000
_LISTED = 1_000_000
_CHANGES = 5
#: Prime, so that neighbours in popularity lie far apart in the database.
_SCATTER = 611_953
#: wrk's script: the requests in the order drawn, from a place that differs from round to round.
_REPLAY = """
local slugs, at = {{}}, {start}
for line in io.lines("{slugs}") do slugs[#slugs + 1] = line end
request = function()
  at = at % #slugs + 1
  return "GET /" .. slugs[at] .. " HTTP/1.1\\r\\nHost: go.example\\r\\n\\r\\n"
end
"""
#: Each hit drawn when it is sent: the k-th link gets (H(k) - H(k-1)) / H(links) of them, and H(k), the k-th harmonic number, is
#: ln(k + 1/2) + gamma within 2 % for the first and 0.3 % for all others.
_DRAW = """
math.randomseed({seed})
request = function()
  local rank = math.ceil(math.exp(math.random() * {harmonic} - {gamma}) - 0.5)
  local number = (math.max(rank, 1) - 1) * {scatter} % {links}
  return string.format("GET /s%07d HTTP/1.1\\r\\nHost: go.example\\r\\n\\r\\n", number)
end
"""
_EULER_GAMMA: Final = 0.5772156649015329


class Side(msgspec.Struct, kw_only=True):
    """One worker and what it has to do."""

    links: int
    data_dir: Path
    seed_s: float
    start_s: float = 0.0
    pid: int = 0
    port: int = 0


#: wrk's script for one round of a side.
Script = Callable[[Side, int], str]


def run(
    *, links: int, few: int, seconds: int, rounds: int, connections: int, warm_s: int, warm_anew_s: int
) -> dict[str, object]:
    """Medians of both sides, their ratio, and what the many links cost; `least_cpu_us` is each side's least disturbed round.

    Raises:
        ClicktraceError: wrk is missing, or an answer was something other than a redirect.
    """
    find("wrk")
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder, ExitStack() as running:
        sides = {name: _seed(Path(folder) / name, links=number) for name, number in (("few", few), ("many", links))}
        empty_rss = _rss_of_a_worker_without_links(Path(folder) / "empty")
        for side in sides.values():
            _start(side, running)
        replayed = _rounds(sides, _replay, rounds=rounds, seconds=seconds, connections=connections, warm_s=warm_s)
        # Warm is a table that is full, which takes longer where most links come up for the first time.
        anew = _rounds(sides, _draw_anew, rounds=rounds, seconds=seconds, connections=connections, warm_s=warm_anew_s)
        rss = rss_mb(sides["many"].pid)
        result = {
            "parameters": {
                "links": links, "few": few, "seconds": seconds, "rounds": rounds, "connections": connections, "warm_s": warm_s, "warm_anew_s": warm_anew_s,
                "cores": os.cpu_count(),
            },
            **replayed,
            "drawn_anew": anew,
            "memory_above_empty_mb": round(rss - empty_rss, 1),
            "start_s": round(sides["many"].start_s, 2),
            "change_live_s": [round(one, 2) for one in _changes(sides["many"], running)],
            "seed_s": round(sides["many"].seed_s, 1),
        }  # fmt: skip
        return {**result, "missed": misses(result)}


def _rounds(
    sides: Mapping[str, Side], script: Script, *, rounds: int, seconds: int, connections: int, warm_s: int
) -> dict[str, object]:
    """Alternating rounds of one mix on warm workers."""
    measured: dict[str, list[Round]] = {"few": [], "many": []}
    for side in sides.values():
        _hit(side, script(side, 0), seconds=warm_s, connections=connections)
    reads = _reads(sides["many"])
    for turn in range(1, rounds + 1):
        for name in ("few", "many") if turn % 2 else ("many", "few"):
            side = sides[name]
            measured[name].append(_hit(side, script(side, turn), seconds=seconds, connections=connections))
    answered = sum(one.requests for one in measured["many"])
    few, many = (_medians(found) for found in measured.values())
    return {
        "few": few,
        "many": many,
        "ratio": round(many["per_second"] / few["per_second"], 3),
        "least_cpu_us": {name: round(min(one.cpu_us for one in found), 2) for name, found in measured.items()},
        "cpu_ratio": round(many["cpu_us"] / few["cpu_us"], 2),
        "in_memory": round(1 - (_reads(sides["many"]) - reads) / answered, 3),
    }


def misses(result: Mapping[str, Any]) -> list[str]:
    """Each bound that is not kept, in words."""
    found = {**result, "slowest_change_s": max(result["change_live_s"])}
    low = [f"{name} {found[name]:g} is below {bound:g}" for name, bound in AT_LEAST.items() if found[name] < bound]
    return low + [
        f"{name} {found[name]:g} is above {bound:g}" for name, bound in AT_MOST.items() if found[name] > bound
    ]


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    figures = ("per_second", "p50_ms", "p99_ms", "cpu_us")
    return {figure: round(median(getattr(one, figure) for one in rounds), 2) for figure in figures}


# --- the links ----------------------------------------------------------------------------------------------------------------


def _seed(data_dir: Path, *, links: int) -> Side:
    """Straight into the control database, checked and prepared as the API would: the store takes thousands in one transaction."""
    started = time.monotonic()
    data_dir.mkdir()
    control = open_control("", data_dir)
    store = LinkStore(control, allowed_destinations=("shop.example",))
    for first in range(0, links, _STRIDE):
        numbers = range(first, min(first + _STRIDE, links))
        store.save(new=[store.checked(_definition(number)) for number in numbers], author="bench")
    control.dispose()
    _draw(data_dir / "slugs", links=links)
    return Side(links=links, data_dir=data_dir, seed_s=time.monotonic() - started)


def _definition(number: int, *, page: str = "landing") -> LinkDefinition:
    return LinkDefinition(
        slug=_slug(number),
        destination=f"https://shop.example/{page}/{number}?season=spring",
        campaign=f"google:1:{number}",
    )


def _slug(number: int) -> str:
    return f"s{number:07d}"


def _draw(path: Path, *, links: int) -> None:
    weights = list(accumulate(1 / rank for rank in range(1, links + 1)))
    ranks = Random(1).choices(range(links), cum_weights=weights, k=_LISTED)
    path.write_text("\n".join(_slug(rank * _SCATTER % links) for rank in ranks) + "\n")


def _replay(side: Side, turn: int) -> str:
    return _REPLAY.format(slugs=side.data_dir / "slugs", start=Random(turn).randrange(_LISTED))


def _draw_anew(side: Side, turn: int) -> str:
    harmonic = log(side.links + 0.5) + _EULER_GAMMA
    return _DRAW.format(seed=turn, harmonic=harmonic, gamma=_EULER_GAMMA, scatter=_SCATTER, links=side.links)


# --- a worker and its figures -------------------------------------------------------------------------------------------------


def _start(side: Side, running: ExitStack) -> None:
    started = time.monotonic()
    side.pid, side.port = running.enter_context(worker_process(side.data_dir))
    side.start_s = time.monotonic() - started


def _hit(side: Side, script: str, *, seconds: int, connections: int) -> Round:
    path = side.data_dir / "hit.lua"
    path.write_text(script)
    url = f"http://127.0.0.1:{side.port}/"
    return run_wrk(["-s", str(path), url], pid=side.pid, seconds=seconds, connections=connections)


def _reads(side: Side) -> int:
    """Links read from the database so far; workers tell once a second."""
    time.sleep(1.2)
    return read_all(side.data_dir)[0].values["links_reads"]


def _rss_of_a_worker_without_links(data_dir: Path) -> float:
    data_dir.mkdir()
    open_control("", data_dir).dispose()
    with worker_process(data_dir) as (pid, _):
        return rss_mb(pid)


def _changes(side: Side, running: ExitStack) -> list[float]:
    """Seconds from the end of an edit until two workers lead to the new destination, for links that both have in memory."""
    _, second_port = running.enter_context(worker_process(side.data_dir, index=1))
    control = open_control("", side.data_dir, migrate=False)
    store = LinkStore(control, allowed_destinations=("shop.example",))
    found = []
    for number in range(min(_CHANGES, side.links)):
        for port in (side.port, second_port):
            _location(port, _slug(number))
        link = store.find(_slug(number))
        store.edit(link.link_id, {"destination": _definition(number, page="new").destination}, author="bench")
        found.append(_until_new((side.port, second_port), _slug(number)))
    control.dispose()
    return found


def _until_new(ports: tuple[int, int], slug: str) -> float:
    started = time.monotonic()
    waiting = list(ports)
    while waiting and time.monotonic() - started < 30:
        waiting = [port for port in waiting if "/new/" not in _location(port, slug)]
        time.sleep(0.005)
    return time.monotonic() - started


def _location(port: int, slug: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{slug}")
        return connection.getresponse().headers["Location"]
    finally:
        connection.close()
