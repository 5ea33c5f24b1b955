"""The nearest control campaign: the one whose hours went up and down with a campaign's over the past weeks.

Nearness is the correlation of log(1 + hits) hour by hour, less each campaign's own mean at that hour of the day: two campaigns that are only
both quiet at night are not alike. A campaign that has too little history, or an incident of its own, is no control.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator import queries
from correlator.incident_list import incidents
from correlator.period import Question

HISTORY_DAYS: Final = 28
#: Of the hours of the history, how many must have had a hit.
LEAST_ACTIVE: Final = 0.25
#: Under half, its ups and downs explain less than a quarter of the campaign's.
LEAST_SCORE: Final = 0.5


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """`score` = correlation over `days` days, at most 1."""

    campaign: str
    score: float
    days: int


def find_control(store: Store, question: Question) -> Control | None:
    """The nearest control of the question's campaign by the whole days before its period; None without one that is near enough."""
    before = question.since - question.since % DAY_MS
    history = question.about(before - HISTORY_DAYS * DAY_MS, before)
    rows = queries.read(
        store, queries.compose("control_from_click", {"period": queries.text("period")}), history.params()
    )
    everywhere = msgspec.structs.replace(question, campaign="")
    troubled = {one.campaign for view in incidents(store, everywhere, state="") for one in view.payload.campaigns}
    return nearest(rows, campaign=question.campaign, days=HISTORY_DAYS, excluded=troubled)


def nearest(
    rows: Sequence[dict[str, Any]], *, campaign: str, days: int, excluded: Collection[str] = ()
) -> Control | None:
    """The most alike of the rows of control_from_click.sql; of equals the first by name."""
    active = [row for row in rows if int(row["active_hours"]) >= LEAST_ACTIVE * 24 * days]
    mine = next((row for row in active if row["campaign"] == campaign), None)
    if mine is None:
        return None
    others = [row for row in active if row["campaign"] != campaign and row["campaign"] not in excluded]
    scored = [(correlation(mine, row, days=days), str(row["campaign"])) for row in others]
    score, name = min(((-score, name) for score, name in scored), default=(0.0, ""))
    return Control(campaign=name, score=-score, days=days) if -score >= LEAST_SCORE else None


def correlation(mine: dict[str, Any], other: dict[str, Any], *, days: int) -> float:
    """Pearson's, of what is left when each one's mean at the hour of the day is taken off; 0 where one of them never varies."""

    def left(total: float, first: dict[int, float], second: dict[int, float]) -> float:
        # The sum of products about the means of the 24 hours, of which each was seen `days` times.
        return total - sum(value * second.get(hour, 0.0) for hour, value in first.items()) / days

    my_hours, its_hours = _hours(mine), _hours(other)
    spread = left(mine["own"], my_hours, my_hours) * left(other["own"], its_hours, its_hours)
    return left(other["with_it"], my_hours, its_hours) / math.sqrt(spread) if spread > 1e-12 else 0.0


def _hours(row: dict[str, Any]) -> dict[int, float]:
    return {int(hour): float(value) for hour, value in dict(row["by_hour"]).items()}
