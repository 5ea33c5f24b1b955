"""From the tasks' results to the figures that are printed: each with what it was measured on, none that was not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.evaluate.idealised import IDEAL_RATE
from app.evaluate.optimum import MINUTES_PER_MONTH, minutes_needed
from app.evaluate.plan import Plan, chosen, clean_tasks, incident_tasks
from app.evaluate.realistic_report import realistic_figures
from app.evaluate.rule_alarms import GRIDS, NOMINAL
from app.evaluate.scoring import delays_of, per_month

Results = Mapping[str, dict[str, Any]]

#: A rule that no threshold keeps to the rate gets one that it never reaches.
NEVER: Final = 1e9
#: With no false alarm at all the reference is taken at half an alarm in the time that was looked at.
LEAST_EVENTS: Final = 0.5

NOT_MEASURED: Final = (
    "click-level proof (whether clicks whose own request failed bought): the explanation works without it here",
    "time to un-pause, and pauses later than 30 minutes after an alarm",
    "recovery: a stream that fired starts afresh at once instead of being held by an open incident",
)


def thresholds(plan: Plan, results: Results) -> dict[str, dict[str, dict[str, float]]]:
    """For each world (`ideal 100`, `realistic`) and rule: the threshold as people write it, and the one at the detector's measured rate."""
    healthy = clean_tasks(plan)
    found = {}
    for clicks in plan.ideal_clicks:
        found[f"ideal {clicks}"] = _levels(chosen(healthy, results, "ideal_clean", clicks=clicks))
    if plan.days:
        found["realistic"] = _levels(chosen(healthy, results, "clean", stress=None))
    return found


def figures(plan: Plan, results: Results) -> dict[str, Any]:
    """Everything that was measured."""
    healthy, broken = clean_tasks(plan), incident_tasks(plan)
    found: dict[str, Any] = {
        "idealised": [_ideal(plan, results, clicks) for clicks in plan.ideal_clicks],
    }
    if plan.days:
        clean = chosen(healthy, results, "clean", stress=None)
        found["realistic"] = realistic_figures(
            clean,
            [r for task in broken if task.name == "incident" and (r := results.get(task.key)) is not None],
            rules=_rules(clean, months=sum(r["campaign_months"] for r in clean)),
        )
        found["stresses"] = _stresses(plan, results)
    found["not_measured"] = list(NOT_MEASURED)
    return found


def _levels(clean: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    wanted = sum(result["shipped"] for result in clean)
    return {rule: {"nominal": NOMINAL[rule], "matched": _matched(clean, rule, wanted)} for rule in GRIDS}


def _matched(clean: Sequence[dict[str, Any]], rule: str, wanted: int) -> float:
    """The lowest threshold at which the rule raised no more episodes than the detector on the same healthy stretches."""
    counts = _counts(clean, rule)
    quiet = np.flatnonzero(counts <= wanted)
    return round(float(GRIDS[rule][quiet[0]]), 6) if len(quiet) else NEVER


def _counts(clean: Sequence[dict[str, Any]], rule: str) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = np.asarray([result["rules"][rule] for result in clean], dtype=np.int64).sum(axis=0)
    return counts


def _rules(clean: Sequence[dict[str, Any]], *, months: float) -> dict[str, Any]:
    """False alarms of every rule at its two thresholds."""
    levels = _levels(clean)
    found: dict[str, Any] = {}
    for rule, grid in GRIDS.items():
        counts = _counts(clean, rule)
        found[rule] = {}
        for which, level in levels[rule].items():
            reached = int(counts[int(np.argmin(np.abs(grid - level)))]) if level < NEVER else 0
            found[rule][which] = {"threshold": level, "false_alarms": per_month(reached, months)}
    return found


def _ideal(plan: Plan, results: Results, clicks: int) -> dict[str, Any]:
    clean = chosen(clean_tasks(plan), results, "ideal_clean", clicks=clicks)
    months = sum(result["months"] for result in clean)
    alarms = sum(result["shipped"] for result in clean)
    run_length = MINUTES_PER_MONTH * months / max(alarms, LEAST_EVENTS)
    return {
        "clicks_per_minute": clicks,
        "rate": IDEAL_RATE,
        "false_alarms": per_month(alarms, months),
        "rules": _rules(clean, months=months),
        "drops": [_ideal_drop(plan, results, clicks, drop, run_length) for drop in plan.drops],
    }


def _ideal_drop(plan: Plan, results: Results, clicks: int, drop: float, run_length: float) -> dict[str, Any]:
    [result] = chosen(incident_tasks(plan), results, "ideal_drop", clicks=clicks, drop=drop)
    pace = clicks * IDEAL_RATE
    measured, nominal = (minutes_needed(pace, drop, length) for length in (run_length, MINUTES_PER_MONTH))
    ours = delays_of(_finite(result["shipped"]))
    return {
        "drop": drop,
        "optimum_at_one_a_month": round(nominal, 2),
        "optimum_at_measured_rate": round(measured, 2),
        "shipped": ours,
        "ratio": round(ours.mean / measured, 3),
        "ratio_at_one_a_month": round(ours.mean / nominal, 3),
        "rules": {
            rule: {which: delays_of(_finite(delays)) for which, delays in levels.items()}
            for rule, levels in result["rules"].items()
        },
    }


def _finite(delays: Sequence[float | None]) -> list[float]:
    return [np.inf if delay is None else delay for delay in delays]


def _stresses(plan: Plan, results: Results) -> dict[str, Any]:
    """False alarms per campaign-month under each stress, beside the same world without it."""
    healthy = clean_tasks(plan)
    found: dict[str, Any] = {}
    for stress in dict.fromkeys(task.arguments["stress"] for task in healthy if "stress" in task.arguments):
        runs = chosen(healthy, results, "clean", stress=stress)
        found[stress] = per_month(sum(r["shipped"] for r in runs), sum(r["campaign_months"] for r in runs))
    return found
