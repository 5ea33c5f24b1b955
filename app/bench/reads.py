"""What people wait for: a campaign's 30 days, a click's journey, a day of attribution, on stores of that size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from app.bench import world
from app.bench.world import World
from core.clock import DAY_MS, HOUR_MS, now_ms
from core.settings import StoreConfig
from core.store.client import Store, open_store
from correlator.attribution import attribution
from correlator.config import CorrelatorConfig
from correlator.enrichment import parse_user_agents
from correlator.journey import journey
from correlator.matching import match_new
from correlator.period import Question
from correlator.roi import roi

#: At most so many milliseconds on two idle cores.
TIMELINE_MS: Final = 100
JOURNEY_MS: Final = 60
ATTRIBUTION_MS: Final = 10_000


def run(*, days: int, clicks_a_day: int, rounds: int, rank: int) -> dict[str, object]:
    """A campaign's timeline by the hour over all days, and the journeys of clicks of all ages.

    Args:
        rank: which campaign; 0 has the most clicks.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        store, traffic = _filled(Path(scratch), days=days, clicks_a_day=clicks_a_day)
        config, campaign = CorrelatorConfig(), world.campaign_id(rank)
        hour = traffic.ends - traffic.ends % HOUR_MS
        asked = Question(since=hour - days * DAY_MS, until=hour, now=traffic.ends, grain_ms=HOUR_MS, campaign=campaign)
        # As `GET /api/v1/campaigns/{campaign}/timeline` asks it.
        buckets = len(roi(store, config, asked, whole=False))
        timeline = _median_ms(lambda _: roi(store, config, asked, whole=False), rounds=rounds)
        ids = [world.click_id(store, traffic, -1 - turn * traffic.clicks // (rounds + 1)) for turn in range(rounds + 1)]
        since = Question(since=traffic.begins, until=traffic.ends, now=traffic.ends)
        path = _median_ms(lambda turn: journey(store, config, ids[turn], since), rounds=rounds)
        clicks = store.rows("SELECT count() AS all, countIf(campaign = {c:String}) AS own FROM click", {"c": campaign})[
            0
        ]
        store.close()
    return {
        "clicks": clicks["all"],
        "clicks_of_campaign": clicks["own"],
        "buckets": buckets,
        "rounds": rounds,
        "timeline_ms": timeline,
        "journey_ms": path,
        "missed": [*_missed("timeline", timeline, TIMELINE_MS), *_missed("journey", path, JOURNEY_MS)],
    }


def run_attribution(*, clicks_a_day: int, days: int, rounds: int) -> dict[str, object]:
    """All models over the newest of `days` days; the days before are what the look-back reaches into."""
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        store, traffic = _filled(Path(scratch), days=days, clicks_a_day=clicks_a_day)
        asked = Question(since=traffic.ends - DAY_MS, until=traffic.ends, now=traffic.ends)
        credit = attribution(store, CorrelatorConfig(), asked)
        took = _median_ms(lambda _: attribution(store, CorrelatorConfig(), asked), rounds=rounds)
        store.close()
    models = sorted({entry.model for entry in credit})
    sums = {model: sum(entry.conversions for entry in credit if entry.model == model) for model in models}
    return {
        "clicks": traffic.clicks,
        "conversions": round(sums[models[0]]),
        "models": models,
        "rounds": rounds,
        "attribution_ms": took,
        "missed": _missed("a day of attribution", took, ATTRIBUTION_MS),
    }


def _filled(directory: Path, *, days: int, clicks_a_day: int) -> tuple[Store, World]:
    """A store with the world's history, its user agents parsed and its conversions matched."""
    store = open_store(StoreConfig(max_query_seconds=3600), directory)
    traffic = World(ends=now_ms(), days=days, clicks_a_day=clicks_a_day, conversions_a_day=clicks_a_day * 28 // 1100)
    world.fill(store, traffic)
    parse_user_agents(store, since=0, now=traffic.ends)
    match_new(store, config=CorrelatorConfig(), since=0, now=traffic.ends)
    return store, traffic


def _median_ms(work: Callable[[int], object], *, rounds: int) -> float:
    """Milliseconds of the work, after one round that does not count."""
    took = []
    for turn in range(rounds + 1):
        began = time.perf_counter()
        work(turn)
        took.append((time.perf_counter() - began) * 1000)
    return round(median(took[1:]), 1)


def _missed(what: str, ms: float, at_most: int) -> list[str]:
    return [f"{what} took {ms} ms, at most {at_most}"] if ms > at_most else []
