"""How a period's figures fill up: the share of what it will come to that is known at each age, learned from past days. Pure; times in ms.

Facts come late and are restated, so a young period shows less than it will. How much less is learned as insurers learn how claims come in
(chain ladder): of every past day we have what was known of it at each age (`correlator.learned`), a day that is not old enough yet tells its
young ages only, and the ratio from each age to the next is taken over all days that tell both.

The interval is for the period in question, not for the mean of the past: days differ, and a small period differs more. The variance of a
day's share is taken as inversely proportional to its size.

Sources: T. Mack, Distribution-free calculation of the standard error of chain ladder reserve estimates, ASTIN Bulletin 23 (1993), 213-225
(the ratios, and variance against volume).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from scipy.special import stdtrit

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS

#: Ages (ms) at which the past is looked at. After the last one a fact counts as final.
AGES_MS: Final[tuple[int, ...]] = (
    *(minutes * MINUTE_MS for minutes in (1, 5, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 3, 5, 7, 10, 14, 21, 30)),
)
#: Fewer days than this teach nothing: every day of them may have been an odd one.
MIN_DAYS: Final = 3


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of one past day at the first ages of `AGES_MS`, as many as the day is old enough for."""

    known: tuple[float, ...]


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the final amount known at each age, from `days` days that came to `final` together.

    `spread[i]` x 1 / a period's final amount = the variance of that period's share at `ages_ms[i]`.
    """

    ages_ms: tuple[int, ...]
    shares: tuple[float, ...]
    spread: tuple[float, ...]
    final: float
    days: int


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a period's amount that should be known by now; `final` = what the period should come to."""

    share: float
    variance: float
    final: float
    days: int


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """Share known so far with its 95 % limits, learned from so many days. Above one: the figure is usually corrected downwards."""

    share: float
    low: float
    high: float
    days: int


def learn(days: Sequence[Day], *, counted: bool) -> Pattern | None:
    """The pattern of past days; None when there are too few of them, or nothing happened on them.

    Args:
        days: in any order.
        counted: the amounts are numbers of events, which vary at least as a binomial share does.
    """
    told = [day for day in days if day.known]
    if len(told) < MIN_DAYS:
        return None
    lengths = np.array([len(day.known) for day in told])
    ages = int(lengths.max())
    known = np.full((len(told), ages), np.nan)
    for row, day in enumerate(told):
        known[row, : len(day.known)] = day.known
    shares = _shares(known)
    last = shares[lengths - 1]
    final = np.divide(known[np.arange(len(told)), lengths - 1], last, out=np.zeros(len(told)), where=last > 0)
    if final.sum() <= 0:
        return None
    return Pattern(
        ages_ms=AGES_MS[:ages],
        shares=tuple(shares.tolist()),
        spread=tuple(_spread(known, shares, final, counted=counted)),
        final=float(final.sum()),
        days=int((final > 0).sum()),
    )


def _shares(known: np.ndarray) -> np.ndarray:
    """Backwards from the last age, where all is known: the share at an age is the next one's times known / known at the next."""
    shares = np.ones(known.shape[1])
    for age in range(known.shape[1] - 2, -1, -1):
        both = ~np.isnan(known[:, age + 1])
        later = known[both, age + 1].sum()
        shares[age] = shares[age + 1] * (known[both, age].sum() / later if later > 0 else 1.0)
    return shares


def _spread(known: np.ndarray, shares: np.ndarray, final: np.ndarray, *, counted: bool) -> Iterable[float]:
    """Of each age, sum of final x (share of the day - share)^2 / (days - 1), over days that are older than that age."""
    for age, share in enumerate(shares):
        older = (final > 0) & ~np.isnan(known[:, min(age + 1, len(shares) - 1)])
        least = max(0.0, share * (1 - share)) if counted else 0.0
        if older.sum() < 2:
            yield max(least, 1.0)
            continue
        off = known[older, age] / final[older] - share
        yield max(least, float((final[older] * off * off).sum() / (older.sum() - 1)))


def share_of(pattern: Pattern, *, since: int, until: int, at: int, known: float = 0.0) -> Share | None:
    """The share known at `at` of what happened in [since, until), evenly spread over it; None when it has not begun.

    Args:
        known: what the period shows, in the pattern's unit; it tells how far the period's share may lie from the past's. 0 = the usual.
    """
    youngest, oldest = max(0, at - until), at - since
    if oldest <= 0:
        return None
    share = _mean(pattern.ages_ms, pattern.shares, youngest, oldest)
    usual = pattern.final / pattern.days * (min(until, at) - since) / DAY_MS
    final = known / share if known > 0 and share > 0 else usual
    if final <= 0:
        return None
    spread = _mean(pattern.ages_ms, pattern.spread, youngest, oldest)
    return Share(share=share, variance=spread / final + spread / pattern.final, final=final, days=pattern.days)


def _mean(ages: Sequence[int], values: Sequence[float], youngest: int, oldest: int) -> float:
    """Mean over the ages between two of the line through the values, which begins at nothing and ends at the last value."""
    points = ((0, 0.0), *zip(ages, values, strict=True))
    if oldest <= youngest:
        return _value(points, youngest)
    cuts = sorted({youngest, oldest, *(age for age in ages if youngest < age < oldest)})
    area = sum((right - left) * (_value(points, left) + _value(points, right)) / 2 for left, right in pairwise(cuts))
    return area / (oldest - youngest)


def _value(points: Sequence[tuple[int, float]], age: int) -> float:
    place = bisect_right(points, age, key=lambda point: point[0])
    if place == len(points):
        return points[-1][1]
    (left, low), (right, high) = points[place - 1], points[place]
    return low + (high - low) * (age - left) / (right - left)


def completeness(parts: Iterable[Share | None]) -> Completeness | None:
    """Several shares of one figure as one, by what each should come to; None where nothing was learned."""
    told = [part for part in parts if part is not None]
    final = sum(part.final for part in told)
    if final <= 0:
        return None
    share = sum(part.final * part.share for part in told) / final
    deviation = math.sqrt(sum(part.final**2 * part.variance for part in told)) / final
    days = min(part.days for part in told)
    half = float(stdtrit(max(1, days - 1), 0.975)) * deviation
    return Completeness(share=share, low=max(0.0, share - half), high=min(max(1.0, share), share + half), days=days)
