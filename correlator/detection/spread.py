"""How far healthy counts stray from the baseline, taken apart by scale (theory.md 2.6).

Three things make a stream stray, and each calls for another remedy. Within a day, hours of a campaign vary more than Poisson: the
`dispersion` that divides likelihood ratios. A day of one campaign is better or worse than the profile says (`campaign`), and so is a day of
all of them together (`shared`): neither gets smaller with more clicks, so they bound what a level can claim. A stream over many
campaigns averages the second away and keeps the third.

Days are told apart by medians, so that incidents and holidays in the history count as what they are: rare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Median of a squared standard normal.
MEDIAN_SQUARE = 0.4549
#: A campaign's day with fewer expected conversions says little about effects of the day, a campaign's hour little about dispersion.
LEAST_PER_DAY = 20.0
LEAST_PER_HOUR = 2.0
#: Below so many days, or days of campaigns, effects of the day are assumed instead.
LEAST_DAYS = 10
ASSUMED_SHARED = 0.03
ASSUMED_CAMPAIGN = 0.05
LARGEST = 1.0


class Spread(NamedTuple):
    """Overdispersion of a campaign's hour, and relative standard deviations of the effects of a day."""

    dispersion: float
    shared: float
    campaign: float


def spread_of(campaign: Ints, hour: Ints, due: Array, seen: Array, *, robust: bool = False) -> Spread:
    """Estimate from cells.

    Args:
        campaign: number of each cell's campaign.
        hour: since the epoch.
        due: conversions expected in the cell.
        seen: conversions seen.
        robust: the cells have not been freed of incidents yet, so the dispersion is a median as well.
    """
    day = hour // 24 - int(hour.min()) // 24
    hourly, of_hour = np.unique(campaign * 1_000_000 + hour - hour.min(), return_inverse=True)
    daily, of_day = np.unique(campaign * 10_000 + day, return_inverse=True)
    due_hour, seen_hour = _sums(of_hour, due, len(hourly)), _sums(of_hour, seen, len(hourly))
    due_day, seen_day = _sums(of_day, due, len(daily)), _sums(of_day, seen, len(daily))
    day_of_hour = np.zeros(len(hourly), dtype=np.int64)
    day_of_hour[of_hour] = of_day
    level = (seen_day + 1) / (due_day + 1)
    dispersion = _dispersion(due_hour * level[day_of_hour], seen_hour, robust=robust)
    of_campaign = _campaign_effect(daily // 10_000, due_day, seen_day, dispersion)
    shared = _shared_effect(daily % 10_000, due_day, seen_day, dispersion, of_campaign)
    return Spread(dispersion, shared, of_campaign)


def _dispersion(due: Array, seen: Array, *, robust: bool) -> float:
    enough = due >= (10 if robust else LEAST_PER_HOUR)
    if enough.sum() < 30:
        return 1.0
    squares = (seen[enough] - due[enough]) ** 2 / due[enough]
    # An hour is compared with its own day's level: one degree of freedom of some twenty hours is spent on it.
    found = float(np.median(squares)) / MEDIAN_SQUARE if robust else float(np.mean(squares)) * 24 / 23
    return max(found, 1.0)


def _campaign_effect(campaign: Ints, due: Array, seen: Array, dispersion: float) -> float:
    enough = due >= LEAST_PER_DAY
    if enough.sum() < LEAST_DAYS:
        return ASSUMED_CAMPAIGN
    own, ratios = campaign[enough], np.log((seen[enough] + 0.5) / (due[enough] + 0.5))
    for each in np.unique(own):
        ratios[own == each] -= np.median(ratios[own == each])
    return _deviation(ratios, dispersion / due[enough])


def _shared_effect(day: Ints, due: Array, seen: Array, dispersion: float, of_campaign: float) -> float:
    due_day, seen_day, squares = _sums(day, due), _sums(day, seen), _sums(day, due**2)
    full = due_day >= 50
    days = int(full.sum())
    if days < LEAST_DAYS:
        return ASSUMED_SHARED
    due_day, seen_day, squares = due_day[full], seen_day[full], squares[full]
    ratios = np.log((seen_day + 0.5) / (due_day + 0.5))
    known = dispersion / due_day + of_campaign**2 * squares / due_day**2
    # Seven of the degrees of freedom went into the days of the week.
    return _deviation(ratios - np.median(ratios), known * (days - 7) / days) * float(np.sqrt(days / (days - 7)))


def _deviation(ratios: Array, known: Array) -> float:
    """Standard deviation s that, with the variances `known`, makes the median of ratio^2 / (s^2 + known) that of a squared normal."""
    excess: Callable[[float], float] = lambda s: float(np.median(ratios**2 / (s**2 + known))) - MEDIAN_SQUARE  # noqa: E731
    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, LARGEST
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _sums(group: Ints, values: Array, size: int = 0) -> Array:
    return np.bincount(group, values, size).astype(np.float64)
