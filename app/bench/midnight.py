"""What is done once a day, at size: how long the tick waits for it, how long its own thread takes, and the memory it needs.

Learning of completeness runs inside the correlator's tick, so it may not take longer than the tick's interval. The baseline's refit, the nightly scan of
the exposure and the daily reconciliation have threads of their own, the choice of a control campaign is made when a person asks.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from app.bench import world
from app.bench.sides import forget_peak, peak_rss_bytes
from app.bench.world import World
from core.clock import DAY_MS, MINUTE_MS, now_ms
from core.settings import StoreConfig
from core.store.client import Store, open_store
from correlator.config import CorrelatorConfig
from correlator.control_campaign import find_control
from correlator.daily_reconciliation import DailyReconciliation, latest_due
from correlator.detection import history
from correlator.detection.config import DetectionConfig
from correlator.detection.engine import scan_exposure
from correlator.enrichment import parse_user_agents
from correlator.learned import learn_days
from correlator.matching import match_new
from correlator.period import Question

#: At most so many milliseconds: a tick's interval, a minute beside it, the interval of the reconciliation's thread, what a person waits.
TICK_MS: Final = 10_000
ASIDE_MS: Final = 60_000
RECONCILIATION_MS: Final = 60_000
CONTROL_MS: Final = 2_000
#: At most so many bytes more than are held before.
MEMORY_BYTES: Final = 2 << 30
BESIDE_THE_TICK: Final = ("refit", "exposure_check")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of work cost: medians of wall and processor time (ms), and the highest peak of memory above what was held."""

    ms: float
    cpu_ms: float
    peak_bytes: int


def run(*, days: int, clicks_a_day: int, campaigns: int, rounds: int) -> dict[str, object]:
    """Each work `rounds` times, of as many midnights one after the other, on a history of `days`."""
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        store, traffic = _filled(Path(scratch), days=days, clicks_a_day=clicks_a_day, campaigns=campaigns)
        measured = {name: _measured(work, rounds=rounds) for name, work in _works(store, traffic, rounds).items()}
        store.close()
    return {
        "days": days,
        "clicks_a_day": clicks_a_day,
        "campaigns": campaigns,
        "rounds": rounds,
        **{name: msgspec.to_builtins(work) for name, work in measured.items()},
        "missed": _missed(measured),
    }


def _works(store: Store, traffic: World, rounds: int) -> dict[str, Callable[[int], object]]:
    """By name, the work of round `turn`, which is -1 for the one that does not count: each round is of the day after the last one's."""
    config, detection = CorrelatorConfig(), DetectionConfig()
    reconciling = DailyReconciliation(store, config=config, shipped_through=lambda now: now)
    midnight = traffic.ends - traffic.ends % DAY_MS
    closed = traffic.ends - traffic.ends % MINUTE_MS

    def day(last: int, turn: int) -> int:
        return last - (rounds - 1 - turn) * DAY_MS

    # Learned whole before: what is measured is the day that is new.
    learn_days(store, through=day(midnight, -2))
    types, origin = config.steering_types(), detection.steering_origin
    week = Question(since=midnight - DAY_MS, until=midnight, now=traffic.ends, campaign=world.campaign_id(3))
    return {
        "learning": lambda turn: learn_days(store, through=day(midnight, turn)),
        "refit": lambda _: history.learn(store, now=traffic.ends, config=detection, types=types, origin=origin),
        "exposure_check": lambda _: scan_exposure(
            store,
            closed=closed,
            through=traffic.ends,
            horizon_ms=round(detection.exposure_horizon_h * 3_600_000),
            types=types,
            origin=origin,
        ),
        "reconciliation": lambda turn: reconciling.run(day(latest_due(traffic.ends, config=config), turn)),
        "control": lambda _: find_control(store, week),
    }


def _measured(work: Callable[[int], object], *, rounds: int) -> Work:
    """Medians, after one round that does not count."""
    took, used, peaks = [], [], []
    for turn in range(-1, rounds):
        held, began, cpu = forget_peak(), time.perf_counter(), _cpu_s()
        work(turn)
        took.append((time.perf_counter() - began) * 1000)
        used.append((_cpu_s() - cpu) * 1000)
        peaks.append(peak_rss_bytes() - held)
    return Work(ms=round(median(took[1:]), 1), cpu_ms=round(median(used[1:]), 1), peak_bytes=max(peaks))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _missed(measured: dict[str, Work]) -> list[str]:
    beside = sum(measured[name].ms for name in BESIDE_THE_TICK)
    bounds = (
        ("the work inside a tick", measured["learning"].ms, TICK_MS),
        ("the work beside the ticks", beside, ASIDE_MS),
        ("the reconciliation", measured["reconciliation"].ms, RECONCILIATION_MS),
        ("the choice of a control", measured["control"].ms, CONTROL_MS),
    )
    slow = [f"{what} took {ms:.0f} ms, at most {most}" for what, ms, most in bounds if ms > most]
    large = [
        f"{name} took {work.peak_bytes} bytes of memory, at most {MEMORY_BYTES}"
        for name, work in measured.items()
        if work.peak_bytes > MEMORY_BYTES
    ]
    return [*slow, *large]


def _filled(directory: Path, *, days: int, clicks_a_day: int, campaigns: int) -> tuple[Store, World]:
    """A store with the world's history, its user agents parsed and its conversions matched."""
    store = open_store(StoreConfig(max_query_seconds=3600), directory)
    traffic = World(
        ends=now_ms(),
        days=days,
        clicks_a_day=clicks_a_day,
        conversions_a_day=clicks_a_day * 28 // 1100,
        campaigns=campaigns,
    )
    world.fill(store, traffic)
    parse_user_agents(store, since=0, now=traffic.ends)
    match_new(store, config=CorrelatorConfig(), since=0, now=traffic.ends)
    return store, traffic
