"""Figures of the realistic world: false alarms, delays against the delay-aware bound, misses, telemetry's gain, dollars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.evaluate.cause_report import cause_figures
from app.evaluate.delays import LAWS
from app.evaluate.optimum import MINUTES_PER_MONTH, minutes_needed, minutes_needed_when_delayed
from app.evaluate.scoring import LONGEST_DELAY_MINUTES, delays_of, per_month, share

Array = npt.NDArray[np.float64]
Run = Mapping[str, Any]

LEAST_EVENTS: Final = 0.5
#: Somebody looks at the reports at nine.
MORNING_MIN: Final = 9 * 60
DAY_MIN: Final = 1440
#: A drop must last so many times the bound before silence about it is a miss.
LASTING: Final = 3.0
#: Causes that telemetry sees directly.
SEEN_BY_TELEMETRY: Final = ("bad deploy", "form errors in one browser", "page latency", "redirect failure")
#: Nothing that a detector of drops should speak about.
SILENT: Final = ("innocent deploy", "mix shift")


def realistic_figures(clean: Sequence[Run], incidents: Sequence[Run], *, rules: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of the realistic world."""
    months = sum(r["campaign_months"] for r in clean)
    fleet_months = sum(r["fleet_months"] for r in clean)
    fleet = sum(r["shipped_fleet"] for r in clean)
    run_length = MINUTES_PER_MONTH * fleet_months / max(fleet, LEAST_EVENTS)
    bounded = [(run, bound_of(run, run_length)) for run in incidents if run["law"] in ("arrival", "cohort")]
    due = [(run, bound) for run, bound in bounded if _must_be_seen(run, bound)]
    return {
        "false_alarms": per_month(sum(r["shipped"] for r in clean), months),
        "false_alarms_of_the_fleet": per_month(fleet, fleet_months),
        "rules": rules,
        "incidents": len(incidents),
        "due": len(due),
        "missed": share(sum(run["delay"] is None for run, _ in due), len(due)),
        "against_bound": {law: _against_bound(due, law) for law in ("arrival", "cohort")},
        "by_cause": {cause: _by_cause(incidents, cause) for cause in sorted({r["cause"] for r in incidents})},
        "spoke_about_nothing": share(
            sum(r["delay"] is not None for r in incidents if r["cause"] in SILENT),
            sum(r["cause"] in SILENT for r in incidents),
        ),
        "telemetry": _telemetry(incidents),
        "causes": cause_figures(incidents),
        "dollars": _dollars([(run, bound) for run, bound in bounded if not run["ramp"] and run["loses_sales"]]),
    }


def bound_of(run: Run, run_length: float) -> float:
    """Minutes that the best detector needs for this incident at that false-alarm rate, as a step (theory.md 2.7)."""
    pace, size = run["expected_per_minute"], run["size"]
    if run["law"] == "arrival":
        return minutes_needed(pace, size, run_length)
    return minutes_needed_when_delayed(pace, size, run_length, arrived=_mixed_law(run["delay_laws"]))


def _mixed_law(weights: Mapping[str, float]) -> Callable[[Array], Array]:
    known = {law.name: law for law in LAWS}
    total = sum(weights.values()) or 1.0

    def arrived(ages: Array) -> Array:
        mixed: Array = np.sum([known[name].arrived(ages) * weight / total for name, weight in weights.items()], axis=0)
        return mixed

    return arrived


def _must_be_seen(run: Run, bound: float) -> bool:
    """A step at or above what its stream states that it can find, which lasts long enough."""
    stated = run["minimum_drop"]
    lasting = min(run["minutes"], LONGEST_DELAY_MINUTES)
    return stated is not None and run["size"] >= stated and not run["ramp"] and lasting > LASTING * bound


def _against_bound(due: Sequence[tuple[Run, float]], law: str) -> dict[str, Any]:
    """Mean delay over mean bound, conversions alone; what was not seen counts as long as it was looked for."""
    own = [(run, bound) for run, bound in due if run["law"] == law]
    delays = [_lasted(run, run["delay_of_conversions"]) for run, _ in own]
    bounds = [bound for _, bound in own]
    ratio = round(sum(delays) / sum(bounds), 3) if own else None
    return {
        "delays": delays_of(delays),
        "bound_mean": round(float(np.mean(bounds)), 2) if own else None,
        "ratio": ratio,
    }


def _lasted(run: Run, delay: float | None) -> float:
    if delay is not None:
        return float(delay)
    return float(min(run["followed"], run["minutes"], LONGEST_DELAY_MINUTES))


def _by_cause(incidents: Sequence[Run], cause: str) -> dict[str, Any]:
    own = [r for r in incidents if r["cause"] == cause]
    seen = [r["delay"] for r in own if r["delay"] is not None]
    return {"seen": share(len(seen), len(own)), "delays": delays_of(seen)}


def _telemetry(incidents: Sequence[Run]) -> dict[str, Any]:
    """Where both saw it: how many times sooner telemetry and conversions together were than conversions alone."""
    own = [r for r in incidents if r["cause"] in SEEN_BY_TELEMETRY and r["delay"] is not None]
    both = [r for r in own if r["delay_of_conversions"] is not None]
    factor = sum(r["delay_of_conversions"] for r in both) / max(sum(r["delay"] for r in both), 1e-9)
    return {
        "seen": len(own),
        "never_seen_by_conversions": len(own) - len(both),
        "faster": round(factor, 2) if both else None,
    }


def _dollars(steps: Sequence[tuple[Run, float]]) -> dict[str, Any]:
    """Waste until somebody acts: 0 = found at nine the next morning, 1 = found by the optimum (theory.md 4.2.6)."""
    if not steps:
        return {"incidents": 0}
    none = sum(_waste(run, _next_morning(run)) for run, _ in steps)
    best = sum(_waste(run, bound) for run, bound in steps)
    ours = sum(_waste(run, run["delay"]) for run, _ in steps)
    rules = {rule: sum(_waste(run, run["rules"][rule]["matched"]) for run, _ in steps) for rule in steps[0][0]["rules"]}
    return {
        "incidents": len(steps),
        "without_monitor": round(none),
        "optimum": round(best),
        "shipped": round(ours),
        "shipped_position": _position(ours, none=none, best=best),
        "rules": {
            rule: {"wasted": round(wasted), "position": _position(wasted, none=none, best=best)}
            for rule, wasted in rules.items()
        },
    }


def _position(wasted: float, *, none: float, best: float) -> float | None:
    return round((none - wasted) / (none - best), 3) if none > best else None


def _next_morning(run: Run) -> float:
    return float(DAY_MIN - run["onset_minute_of_day"] + MORNING_MIN)


def _waste(run: Run, acted: float | None) -> float:
    """Dollars of lost spend until it is acted on, found in the morning or over, whichever is first."""
    morning = min(_next_morning(run), run["minutes"])
    until = morning if acted is None else min(acted, morning)
    return float(run["spend_per_minute"] * run["size"] * until)
