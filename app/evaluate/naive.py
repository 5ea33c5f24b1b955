"""What people build first: each rule gives every minute a number that is higher where it is nearer to an alarm.

So a rule's false-alarm rate is chosen by one threshold, and all of them can be set to the rate that was measured for the detector.
Arrays are runs x minutes; a rule looks back only. What is usual is known in the idealised world, and a profile of the past in the
realistic one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr

Array = npt.NDArray[np.float64]

HOUR: Final = 60
DAY: Final = 1440
#: The literal rule's clicks.
FIXED_RULE_CLICKS: Final = 1000


class Counts(NamedTuple):
    """Runs x minutes: what came, and what is usual."""

    clicks: Array
    conversions: Array
    usual_clicks: Array
    due: Array  # conversions of these clicks at the usual rate
    profile: Array  # conversions that this minute of the week usually has


class Rule(NamedTuple):
    """A rule as people write it: its score and the threshold they write down."""

    name: str
    score: Callable[[Counts], Array]
    nominal: float


def fixed_rule(counts: Counts) -> Array:
    """Relative drop from the expected over the newest minutes, as many as usually hold 1,000 clicks."""
    since = _start_of(_running(counts.usual_clicks), FIXED_RULE_CLICKS)
    seen, due = _between(_running(counts.conversions), since), _between(_running(counts.due), since)
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = np.where((since >= 0) & (due > 0), 1 - seen / due, -np.inf)
    return drop


def rolling_z(counts: Counts) -> Array:
    """How many standard deviations the last 60 minutes lie below the expected."""
    seen, due = _last(counts.conversions, HOUR), _last(counts.due, HOUR)
    clicks = np.maximum(_last(counts.clicks, HOUR), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (due - seen) / np.sqrt(due * np.maximum(1 - due / clicks, 0.01))
    return np.where(due > 0, z, -np.inf)


def same_hour_yesterday(counts: Counts) -> Array:
    """Relative drop of the last hour's conversion rate from the same hour a day before."""
    seen, clicks = _last(counts.conversions, HOUR), _last(counts.clicks, HOUR)
    score = np.full_like(seen, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = seen / clicks
        drop = 1 - rate[:, DAY:] / rate[:, :-DAY]
    score[:, DAY:] = np.where(np.isfinite(drop), drop, -np.inf)
    return score


def seasonal_band(counts: Counts) -> Array:
    """At every full hour: -log10 of the probability of so few conversions in it, or fewer."""
    score = np.full_like(counts.conversions, -np.inf)
    ends = np.arange(HOUR - 1, counts.conversions.shape[1], HOUR)
    seen, due = _last(counts.conversions, HOUR)[:, ends], _last(counts.profile, HOUR)[:, ends]
    score[:, ends] = np.where(due > 0, -np.log10(np.maximum(pdtr(seen, np.maximum(due, 1e-9)), 1e-300)), -np.inf)
    return score


RULES: Final = (
    Rule("fixed rule: 30 % below over 1,000 clicks", fixed_rule, 0.30),
    Rule("rolling 60-min z", rolling_z, 3.0),
    Rule("same hour yesterday, -30 %", same_hour_yesterday, 0.30),
    Rule("hourly 99.7 % band", seasonal_band, float(-np.log10(0.0015))),
)


def _running(values: Array) -> Array:
    """Sums before each minute, one column more than `values`."""
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _last(values: Array, minutes: int) -> Array:
    """Sum of the newest `minutes` at every minute's end; of fewer where there are not so many."""
    running = _running(values)
    ends = np.arange(1, running.shape[1])
    sums: Array = running[:, ends] - running[:, np.maximum(ends - minutes, 0)]
    sums[:, : minutes - 1] = 0.0
    return sums


def _start_of(running: Array, wanted: float) -> npt.NDArray[np.int64]:
    """The latest minute from which at least `wanted` were counted, for every minute's end; -1 where there were not so many."""
    found = [np.searchsorted(row, row[1:] - wanted + 1e-9, side="right") - 1 for row in running]
    return np.asarray(found, dtype=np.int64)


def _between(running: Array, since: npt.NDArray[np.int64]) -> Array:
    """Sum from minute `since` to every minute's end."""
    sums: Array = running[:, 1:] - np.take_along_axis(running, np.maximum(since, 0), axis=1)
    return sums
