"""The pieces of work of one evaluation: each is a pure function of its numbers and returns plain figures, so any can be run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from app.evaluate import adwin
from app.evaluate.counts import Drawn, between
from app.evaluate.explained import Explainer, same_place
from app.evaluate.incidents import Incident, draw_incident
from app.evaluate.naive import RULES, Counts
from app.evaluate.rates import DAY_MIN, HISTORY_DAYS, Habits
from app.evaluate.realistic import Learning, Told, World, live, observe, prepare
from app.evaluate.scoring import LONGEST_DELAY_MINUTES, MINUTES_PER_MONTH, episodes, first_delays
from app.evaluate.segments import CPC_DOLLARS
from app.evaluate.shipped import Alarm, Replicas
from app.evaluate.surroundings import Surroundings, draw_deploys, surroundings

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Conversion rate of the idealised world (theory.md 4.3).
IDEAL_RATE: Final = 0.024
#: The onset in the idealised world: a day and two hours in, so that every rule has its yesterday.
IDEAL_ONSET: Final = DAY_MIN + 120
#: The sequential test starts this long before an onset.
WARM_UP: Final = 60
#: After the first alarm an incident is followed this much longer, so that conversions alone can be timed as well.
AFTERWARDS: Final = 360
#: Thresholds at which episodes are counted, by rule; the one that matches a rate is read off.
ADWIN: Final = "ADWIN"
ADWIN_DELTA: Final = 0.002
ADWIN_EVERY: Final = 5
GRIDS: Final[Mapping[str, Array]] = {
    RULES[0].name: np.linspace(0.3, 1.0, 71),
    RULES[1].name: np.linspace(2.0, 14.0, 121),
    RULES[2].name: np.linspace(0.3, 1.0, 71),
    RULES[3].name: np.linspace(2.0, 60.0, 117),
    # -log10 of delta: higher is more cautious, as with the others.
    ADWIN: -np.log10(np.asarray([1.0, 0.3, 0.05, ADWIN_DELTA, 1e-6])),
}
NOMINAL: Final[Mapping[str, float]] = {**{r.name: r.nominal for r in RULES}, ADWIN: float(-np.log10(ADWIN_DELTA))}

STRESSES: Final[Mapping[str, Habits]] = {
    "none": Habits(0.0, 1.0, 1.5, 0.2, holidays=False),
    "baseline +5 %": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, baseline_bias=0.05),
    "unmodelled diurnal 10 %": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, unmodelled=0.10),
    "overdispersion 2": Habits(0.0, 2.0, 1.5, 0.2, holidays=False),
    "day effects 0.1": Habits(0.1, 1.0, 1.5, 0.2, holidays=False),
    "hourly batches": Habits(0.0, 1.0, 1.5, 0.2, holidays=False, batched=True),
}


def ideal_clean(*, seed: int, clicks: int, months: int) -> dict[str, Any]:
    """Healthy months of one known stream: episodes of the shipped detector, and of every rule at every threshold."""
    random = np.random.default_rng([seed, 11, clicks])
    counts = _ideal_counts(random, runs=months, minutes=MINUTES_PER_MONTH, clicks=clicks)
    alarms = Replicas(months, base_rate=IDEAL_RATE, start=_a_start(seed)).run(counts.clicks, counts.conversions)
    return {"months": months, "shipped": int(episodes(alarms).sum()), "rules": _episodes_by_threshold(counts)}


def ideal_drop(
    *, seed: int, clicks: int, drop: float, runs: int, thresholds: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Delays in minutes after a drop of a known stream; null where there was no alarm in 72 hours."""
    random = np.random.default_rng([seed, 12, clicks, round(100 * drop)])
    minutes = IDEAL_ONSET + LONGEST_DELAY_MINUTES
    counts = _ideal_counts(random, runs=runs, minutes=minutes, clicks=clicks, drop=drop)
    start = IDEAL_ONSET - WARM_UP
    replicas = Replicas(runs, base_rate=IDEAL_RATE, start=_a_start(seed))
    seen: list[Mask] = []
    for since in range(start, minutes, WARM_UP):
        seen.append(
            replicas.run(counts.clicks[:, since : since + WARM_UP], counts.conversions[:, since : since + WARM_UP])
        )
        if len(seen) > 1 and np.hstack(seen[1:]).any(1).all():
            break
    delays = first_delays(np.hstack(seen), WARM_UP)
    return {"shipped": _plain(delays), "rules": _delays_by_rule(counts, IDEAL_ONSET, thresholds)}


def clean(*, seed: int, days: int, campaigns: int, stress: str = "") -> dict[str, Any]:
    """A healthy stretch of a realistic fleet."""
    world = prepare(seed, days=days + 1, campaigns=campaigns, habits=STRESSES[stress] if stress else None)
    learning = Learning(world, days=days + 1)
    series = _Series(world, since=-DAY_MIN, end=days * DAY_MIN)
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
        "rules": _episodes_by_threshold(series.counts(world)),
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
    series = _Series(world, since=since, end=last)
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


# --- the idealised world -------------------------------------------------------------------------------------------------------


def _ideal_counts(random: np.random.Generator, *, runs: int, minutes: int, clicks: int, drop: float = 0.0) -> Counts:
    """Poisson clicks, each converting at the known rate, at once; from `IDEAL_ONSET` on a drop where there is one."""
    drawn = random.poisson(clicks, (runs, minutes))
    rate = np.full(minutes, IDEAL_RATE)
    rate[IDEAL_ONSET:] *= 1 - drop
    converted = random.binomial(drawn, rate[None, :]).astype(np.float64)
    came = drawn.astype(np.float64)
    usual = np.full(came.shape, float(clicks))
    return Counts(came, converted, usual, came * IDEAL_RATE, usual * IDEAL_RATE)


def _a_start(seed: int) -> int:
    return (29_000_000 + seed * DAY_MIN) * 60_000


# --- rules ---------------------------------------------------------------------------------------------------------------------


def _episodes_by_threshold(counts: Counts) -> dict[str, list[int]]:
    found = {}
    for rule in RULES:
        score = rule.score(counts)
        found[rule.name] = [int(episodes(score >= threshold).sum()) for threshold in GRIDS[rule.name]]
    found[ADWIN] = [int(episodes(_adwin(counts, cautious)).sum()) for cautious in GRIDS[ADWIN]]
    return found


def _adwin(counts: Counts, cautious: float) -> Mask:
    return adwin.drops(
        counts.clicks, np.minimum(counts.conversions, counts.clicks), delta=10**-cautious, every=ADWIN_EVERY
    )


def _delays_by_rule(
    counts: Counts, onset: int, thresholds: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, list[float | None]]]:
    found: dict[str, dict[str, list[float | None]]] = {}
    for rule in RULES:
        score = rule.score(counts)
        found[rule.name] = {
            which: _plain(first_delays(score >= level, onset)) for which, level in thresholds[rule.name].items()
        }
    found[ADWIN] = {
        which: _plain(first_delays(_adwin(counts, level), onset)) for which, level in thresholds[ADWIN].items()
    }
    return found


class _Series:
    """Clicks and conversions of every campaign by the minute they become known, for the rules; clicks of the last day count."""

    def __init__(self, world: World, *, since: int, end: int) -> None:
        self._of = world.rates.fleet.campaign_of
        self._since = since
        shape = (len(world.rates.fleet.campaigns), end - since)
        self._clicks, self._conversions = np.zeros(shape), np.zeros(shape)

    def add(self, told: Told) -> None:
        at = told.minute - self._since
        self._clicks[:, at] = np.bincount(self._of, told.clicks, len(self._clicks))
        recent = told.rows[told.clicked >= told.minute - DAY_MIN]
        self._conversions[:, at] = np.bincount(self._of[recent], minlength=len(self._clicks))

    def counts(self, world: World) -> Counts:
        """With what four weeks of history say is usual: a rate by campaign, and a profile by hour of the week."""
        minutes = self._since + np.arange(self._clicks.shape[1])
        clicks, profile = _usual(world, minutes)
        rate = (profile.sum(1) / np.maximum(clicks.sum(1), 1e-9))[:, None]
        return Counts(self._clicks, self._conversions, clicks, self._clicks * rate, profile)

    def delays(
        self, world: World, what: Incident, thresholds: Mapping[str, Mapping[str, float]]
    ) -> dict[str, dict[str, float | None]]:
        """By the first campaign that holds a part of the incident."""
        own = np.unique(self._of[what.inside])
        counts = Counts(*(values[own] for values in self.counts(world)))
        found = _delays_by_rule(counts, int(what.onset) - self._since, thresholds)
        return {
            rule: {which: min((d for d in delays if d is not None), default=None) for which, delays in levels.items()}
            for rule, levels in found.items()
        }


def _usual(world: World, minutes: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Clicks, and conversions within a day of their click, that the minutes of the week usually have; campaigns x minutes."""
    fleet = world.rates.fleet
    within = np.asarray([float(s.delay.arrived(DAY_MIN)) for s in fleet.segments])
    count = len(fleet.campaigns)
    weeks = (count, HISTORY_DAYS // 7, 168)
    clicks, conversions = np.zeros((count, HISTORY_DAYS * 24)), np.zeros((count, HISTORY_DAYS * 24))
    np.add.at(clicks, fleet.campaign_of, world.past.clicks)
    np.add.at(conversions, fleet.campaign_of, (world.past.conversions + world.past.to_come) * within[:, None])
    hour = (minutes // 60) % 168
    return clicks.reshape(weeks).mean(1)[:, hour] / 60, conversions.reshape(weeks).mean(1)[:, hour] / 60


# --- an incident ---------------------------------------------------------------------------------------------------------------


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
    explainer = Explainer(
        world.watch, leaves, start=fleet.start, parallel={c.name: c.parallel for c in fleet.campaigns}
    )

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
        "suspect": told.suspects[0] if told.suspects else None,
        "guilty": guilty[0] if guilty else None,
    }


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


def _plain(delays: Array) -> list[float | None]:
    return [None if not np.isfinite(d) else float(d) for d in delays]


def run_task(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One task by its name; plain figures only."""
    # Through JSON, so that what was kept and read again is equal to what was just worked out.
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(TASKS[name](**arguments)))
    return result
