"""What ratio two steps usually stand in, learned from earlier days, and whether today's is still that: pure.

The usual ratio is the median over the days, because a broken day among them must not move it. How far a day may be off without being
news has two parts that add up: how much the days differ among each other (median absolute deviation, times 1.4826 to estimate a
standard deviation: Rousseeuw and Croux 1993, doi:10.1080/01621459.1993.10476408) and how much a ratio of today's size is off by chance
(binomial; Poisson where a step counts more than the one before).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final, Literal, Protocol

import msgspec

from core.metric_catalogue import value

#: first = nothing stands before it; short = less than a day; few, unlearned = too little to judge by, today or before.
State = Literal["first", "short", "few", "unlearned", "usual", "low", "high"]
#: Standard deviations that are news. Steps times campaigns are looked at every day (2,000 x 12): 4.5 is one false word in six days.
DEVIATIONS: Final = 4.5
#: A spread learned from few days is itself uncertain: the limit is this many days' share wider.
_UNSURE_DAYS: Final = 3.0
_MAD_TO_SD: Final = 1.4826
#: Fewer than this many counts expected are too few to call their absence news.
_LEAST_EXPECTED: Final = 10.0


class Rules(Protocol):
    """What `correlator.config.ReconciliationConfig` sets."""

    @property
    def least_days(self) -> int: ...
    @property
    def least_count(self) -> int: ...
    @property
    def least_change(self) -> float: ...


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """The usual ratio and the band [low, high] that a ratio of today's size stays in, from `days` days."""

    ratio: float
    low: float
    high: float
    days: int


def usual_of(days: Sequence[tuple[float, float]], before: float, *, rules: Rules) -> Usual | None:
    """What is usual for a step with `before` counts in the step before it; None while too few days are known.

    Args:
        days: (count of the step before, count of the step) of earlier days; days with too little traffic do not count.
        before: today's count of the step before.
    """
    ratios = [ratio for base, count in days if base >= rules.least_count and (ratio := _ratio(count, base)) is not None]
    if len(ratios) < rules.least_days or before <= 0:
        return None
    middle = median(ratios)
    spread = _MAD_TO_SD * median(abs(ratio - middle) for ratio in ratios)
    by_chance = math.sqrt(middle * (1 - middle) / before if middle < 1 else middle / before)
    limit = DEVIATIONS * (1 + _UNSURE_DAYS / len(ratios)) * math.hypot(spread, by_chance)
    width = max(limit, rules.least_change * middle)
    return Usual(ratio=middle, low=max(0.0, middle - width), high=middle + width, days=len(ratios))


def state_of(count: float, before: float, usual: Usual | None, *, rules: Rules) -> State:
    """Whether a step's ratio is news. What is too small to be sure of is never news."""
    if before < rules.least_count:
        return "few"
    if usual is None:
        return "unlearned"
    if max(count, usual.ratio * before) < _LEAST_EXPECTED:
        return "few"
    ratio = _ratio(count, before)
    if ratio is None:
        return "few"
    return "low" if ratio < usual.low else "high" if ratio > usual.high else "usual"


def _ratio(count: float, before: float) -> float | None:
    return value("step_ratio", step_count=count, step_before=before)
