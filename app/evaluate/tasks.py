"""The pieces of work of one evaluation: each is a pure function of its numbers and returns plain figures, so any can be run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from app.evaluate.counts import Drawn, between
from app.evaluate.explained import Explainer, facts_of, same_place
from app.evaluate.idealised import ideal_clean, ideal_drop
from app.evaluate.incidents import Incident, draw_incident
from app.evaluate.rates import DAY_MIN, Habits
from app.evaluate.realistic import Learning, World, live, observe, prepare
from app.evaluate.rule_alarms import episodes_by_threshold
from app.evaluate.scoring import LONGEST_DELAY_MINUTES, episodes
from app.evaluate.segments import CPC_DOLLARS, RETURN_ON_SPEND, Fleet
from app.evaluate.series import Series
from app.evaluate.shipped import Alarm
from app.evaluate.surroundings import Surroundings, draw_deploys, surroundings

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: The sequential test starts this long before an onset.
WARM_UP: Final = 60
#: After the first alarm an incident is followed this much longer, so that conversions alone can be timed as well.
AFTERWARDS: Final = 360
STRESSES: Final[Mapping[str, Habits]] = {
    "none": Habits(0.0, 1.0, 1.5, 0.2, holidays=False),
    "baseline +5 %": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, baseline_bias=0.05),
    "unmodelled diurnal 10 %": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, unmodelled=0.10),
    "overdispersion 2": Habits(0.0, 2.0, 1.5, 0.2, holidays=False),
    "day effects 0.1": Habits(0.1, 1.0, 1.5, 0.2, holidays=False),
    "hourly batches": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, batched=True),
}


def clean(*, seed: int, days: int, campaigns: int, stress: str = "") -> dict[str, Any]:
    """A healthy stretch of a realistic fleet."""
    world = prepare(seed, days=days + 1, campaigns=campaigns, habits=STRESSES[stress] if stress else None)
    learning = Learning(world, days=days + 1)
    series = Series(world, since=-DAY_MIN, end=days * DAY_MIN)
    alarms: list[Alarm] = []
    for told in live(world, since=-DAY_MIN, start=0, end=days * DAY_MIN, seed=0):
        series.add(told)
        if told.minute >= 0:
            learning.add(told)
            alarms += observe(world, told)
    months = days * campaigns / 30
    return {
        "campaign_months": months,
        "fleet_months": days / 30,
        "shipped": _episodes_of(alarms, days * DAY_MIN),
        "shipped_fleet": int(episodes(_minutes(alarms, days * DAY_MIN)[None, :]).sum()),
        "streams": sorted({alarm.kind for alarm in alarms}),
        "rules": episodes_by_threshold(series.counts(world)),
    }


def incident(
    *, seed: int, number: int, campaigns: int, thresholds: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """One incident in a realistic fleet: what happened, and when it was seen by whom; delays in minutes."""
    world = prepare(seed, days=6, campaigns=campaigns)
    random = np.random.default_rng([seed, 13, number])
    what = draw_incident(world.rates.fleet, random, onset=(120.0, DAY_MIN + 120.0))
    last = int(min(what.end, what.onset + LONGEST_DELAY_MINUTES)) + 1
    start = int(what.onset) - WARM_UP
    since = start - DAY_MIN - 2 * WARM_UP
    series = Series(world, since=since, end=last)
    alarms: list[Alarm] = []
    until = float(last)
    broken, kept = _with_company(world, what, random), list[Drawn]()
    for told in live(world, since=since, start=start, end=last, seed=1 + number, incidents=broken, kept=kept):
        series.add(told)
        if start <= told.minute < until:
            alarms += observe(world, told)
        if until == last and _first(alarms, what) is not None:
            until = min(until, told.minute + AFTERWARDS)
    return {
        **_described(world, what),
        "delay": _first(alarms, what),
        "delay_of_conversions": _first([a for a in alarms if a.kind == "conversions"], what),
        "followed": until - what.onset,
        "kind": next((a.kind for a in alarms if _detects(a, what)), ""),
        "explained": _explained(world, what, alarms, between(kept), broken, random),
        "before": int(episodes(_minutes([a for a in alarms if a.minute <= what.onset], last)[None, :]).sum()),
        "rules": series.delays(world, what, thresholds),
    }


TASKS: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "ideal_clean": ideal_clean,
    "ideal_drop": ideal_drop,
    "clean": clean,
    "incident": incident,
}


def _with_company(world: World, what: Incident, random: np.random.Generator) -> list[Incident]:
    """One in ten incidents has another beside it, within two hours."""
    if random.random() >= 0.1:
        return [what]
    return [what, draw_incident(world.rates.fleet, random, onset=(what.onset, what.onset + 120))]


def _detects(alarm: Alarm, what: Incident) -> bool:
    return alarm.minute > what.onset and bool(what.inside[list(alarm.rows)].any())


def _first(alarms: list[Alarm], what: Incident) -> float | None:
    return next((alarm.minute - what.onset for alarm in alarms if _detects(alarm, what)), None)


def _minutes(alarms: list[Alarm], length: int) -> Mask:
    found = np.zeros(length + 1, dtype=np.bool_)
    found[[alarm.minute for alarm in alarms]] = True
    return found


def _episodes_of(alarms: list[Alarm], length: int) -> int:
    """Episodes of every stream by itself."""
    streams = {alarm.stream for alarm in alarms}
    own = [_minutes([a for a in alarms if a.stream == stream], length) for stream in streams]
    return int(episodes(np.stack(own)).sum()) if own else 0


def _explained(
    world: World,
    what: Incident,
    alarms: list[Alarm],
    drawn: Drawn,
    incidents: list[Incident],
    random: np.random.Generator,
) -> dict[str, Any] | None:
    """What is said of the first alarm of the incident, beside what is true; None without an alarm."""
    fired = next((alarm for alarm in alarms if _detects(alarm, what)), None)
    if fired is None:
        return None
    fleet, deploys = world.rates.fleet, draw_deploys(what, random)
    leaves = [(fleet.campaigns[s.campaign].name, s.device, s.page) for s in fleet.segments]
    campaigns = [
        facts_of(
            c.name, parallel=c.parallel, cpc_dollars=CPC_DOLLARS, margin_dollars=RETURN_ON_SPEND * CPC_DOLLARS / rate
        )
        for c, rate in zip(fleet.campaigns, fleet.campaign_rates, strict=True)
    ]
    explainer = Explainer(world.watch, leaves, start=fleet.start, campaigns=campaigns)

    def around(since: int, end: int) -> Surroundings:
        return surroundings(
            world.rates, drawn, since=since, end=end, incidents=incidents, deploys=deploys, random=random
        )

    told = explainer.explain(fired, around, last=drawn.end)
    guilty = [f"{d.service}:{d.version}" for d in deploys if d.guilty]
    return {
        "verdicts": told.verdicts,
        "scope": told.scope,
        "scope_exact": bool((same_place(told.scope, leaves) == what.inside).all()),
        "onset_error": told.onset - what.onset,
        "paused_at": told.paused_at,
        "paused": [[name, _loses_money(fleet, what, name, told.paused_at)] for name in told.paused],
        "suspect": told.suspects[0] if told.suspects else None,
        "guilty": guilty[0] if guilty else None,
    }


def _loses_money(fleet: Fleet, what: Incident, name: str, minute: float | None) -> bool:
    """Whether this campaign costs more than it earns while the incident lasts: the truth that a pause is judged by."""
    if not what.cause.loses_sales or minute is None:
        return False
    own = np.asarray([fleet.campaigns[s.campaign].name == name for s in fleet.segments])
    parallel = next(c.parallel for c in fleet.campaigns if c.name == name)
    if what.cause.law == "hits" and parallel:
        return False
    worth = fleet.rates * fleet.per_minute * own
    lost = float(worth[what.inside].sum() / worth.sum()) * float(what.strength(np.asarray(minute)))
    return (1 - lost) * RETURN_ON_SPEND < 1


def _described(world: World, what: Incident) -> dict[str, Any]:
    """What the incident is, and what the bounds and the money need: taken from the world's laws around the onset."""
    minutes = np.arange(int(what.onset), int(what.onset) + 120, 5)
    clicks = world.rates.clicks(minutes)[what.inside].mean(1)
    due = (world.rates.clicks(minutes) * world.rates.converting(minutes))[what.inside].mean(1)
    laws: dict[str, float] = {}
    for row, expected in zip(np.flatnonzero(what.inside).tolist(), due.tolist(), strict=True):
        name = world.rates.fleet.segments[row].delay.name
        laws[name] = laws.get(name, 0.0) + expected
    pace = float(due.sum())
    return {
        "cause": what.cause.name,
        "law": what.cause.law,
        "loses_sales": what.cause.loses_sales,
        "through_redirect": not all(
            world.rates.fleet.campaigns[s.campaign].parallel
            for s, chosen in zip(world.rates.fleet.segments, what.inside, strict=True)
            if chosen
        ),
        "size": what.size,
        "ramp": what.ramp,
        "scope": what.scope,
        "minutes": what.end - what.onset,
        "onset_minute_of_day": (what.onset + world.rates.fleet.start) % DAY_MIN,
        "expected_per_minute": pace,
        "clicks_per_minute": float(clicks.sum()),
        "spend_per_minute": float(clicks.sum()) * CPC_DOLLARS,
        "delay_laws": laws,
        "minimum_drop": world.watch.minimum_drop(pace, rows=np.flatnonzero(what.inside).tolist()),
    }


def run_task(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One task by its name; plain figures only."""
    # Through JSON, so that what was kept and read again is equal to what was just worked out.
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(TASKS[name](**arguments)))
    return result
