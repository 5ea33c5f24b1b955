"""What a tick of the monitor costs with a day of history and with ninety, at equal traffic.

Both sides are the whole monitor as the application builds it, each in a process of its own, and tick in turn. Before each tick comes the
traffic of the time that passed since the last one, through the inboxes. Measured are the four parts of a tick: matching (with what it reads),
the detector with its exposure, and the evaluation of the rules; judging traffic and counting for the metrics come after and are told apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from app.bench import world
from app.bench.sides import Side, sides
from app.bench.world import World
from app.conclusions import Conclusions
from app.parts import Base, Shipping
from app.settings import Settings
from core.clock import now_ms
from correlator.steps import LATER_STEPS

#: Milliseconds of a tick's four parts at the 95th percentile, and how many times the short history's median the long one's may be.
AT_MOST_MS: Final = 500
AT_MOST_RATIO: Final = 1.3
#: Ticks before the first that counts: the engine's and Python's caches fill, minutes of the preparation are closed.
WARM_TICKS: Final = 4


def run(*, days: int, clicks_a_day: int, campaigns: int, ticks: int, interval_s: float) -> dict[str, object]:
    """Milliseconds of a tick, with one day of history and with `days`."""
    told = {"clicks_a_day": clicks_a_day, "campaigns": campaigns}
    found: dict[int, list[dict[str, Any]]] = {1: [], days: []}
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        made = [Side(prepare, directory=f"{scratch}/{length}", days=length, **told) for length in found]
        with sides(*made):
            for side in made:
                side.prepared()
            for turn in range(WARM_TICKS + ticks):
                began = time.monotonic()
                for length, side in zip(found, made, strict=True):
                    figures = side.turn()
                    if turn >= WARM_TICKS:
                        found[length].append(figures)
                time.sleep(max(0.0, interval_s - (time.monotonic() - began)))
    return {
        **told,
        "days": days,
        "ticks": ticks,
        "interval_s": interval_s,
        **_figures(found[1], found[days], days=days),
    }


def _figures(short: list[dict[str, Any]], long: list[dict[str, Any]], *, days: int) -> dict[str, object]:
    ratio = round(_ms(long) / _ms(short), 2)
    worst = max(_ms(short, 0.95), _ms(long, 0.95))
    missed = []
    if worst > AT_MOST_MS:
        missed.append(f"a tick took {worst:.0f} ms, at most {AT_MOST_MS}")
    if ratio > AT_MOST_RATIO:
        missed.append(f"{ratio} times as long with {days} days as with one, at most {AT_MOST_RATIO}")
    return {
        "ratio": ratio,
        "one_day": _summary(short),
        "long_history": _summary(long),
        "missed": missed,
    }


def _summary(ticks: list[dict[str, Any]]) -> dict[str, object]:
    parts = sorted({part for tick in ticks for part in tick["parts_ms"]})
    return {
        "tick_p50_ms": _ms(ticks),
        "tick_p95_ms": _ms(ticks, 0.95),
        "cpu_p50_ms": quantile([tick["cpu_ms"] for tick in ticks], 0.5),
        "later_p50_ms": quantile([tick["later_ms"] for tick in ticks], 0.5),
        "parts_p50_ms": {part: round(median(tick["parts_ms"].get(part, 0.0) for tick in ticks), 1) for part in parts},
        "clicks": ticks[-1]["clicks"],
    }


def _ms(ticks: list[dict[str, Any]], share: float = 0.5) -> float:
    return quantile([tick["tick_ms"] for tick in ticks], share)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def prepare(*, directory: str, days: int, clicks_a_day: int, campaigns: int) -> Callable[[], dict[str, Any]]:
    """The monitor over its history, everything old matched and judged; the function ticks once."""
    base = Base(Settings(data_dir=Path(directory)), name="monitor")
    shipping = Shipping(base)
    conclusions = Conclusions(base, shipping)
    traffic = World(
        ends=now_ms(),
        days=days,
        clicks_a_day=clicks_a_day,
        conversions_a_day=clicks_a_day * 28 // 1100,
        campaigns=campaigns,
    )
    world.fill(base.store, traffic)
    world.settle(base.store)
    told_until = traffic.ends
    for _ in range(2):  # the first matches, the second learns
        shipping.shipper.run_once()
        conclusions.correlator.tick(now_ms())
        world.settle(base.store)

    def turn() -> dict[str, Any]:
        nonlocal told_until
        now = now_ms()
        world.go_on(base.store, traffic, since=told_until, until=now)
        told_until = now
        shipping.shipper.run_once()
        return _tick(base, conclusions)

    return turn


def _tick(base: Base, conclusions: Conclusions) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    seconds = conclusions.correlator.tick(now_ms())
    ticked = time.perf_counter()
    conclusions.alerts.tick(now_ms())
    evaluated = time.perf_counter() - ticked
    later = sum(seconds.pop(step.name, 0.0) for step in LATER_STEPS)
    parts = {**{name: took * 1000 for name, took in seconds.items()}, "evaluate": evaluated * 1000}
    clicks = base.store.rows("SELECT count() AS clicks FROM click")[0]["clicks"]
    return {
        "tick_ms": (ticked - began + evaluated - later) * 1000,
        "cpu_ms": (time.process_time() - cpu) * 1000,
        "later_ms": later * 1000,
        "parts_ms": parts,
        "clicks": clicks,
    }
