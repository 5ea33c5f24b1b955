"""Intervals that stand beside rates."""

from __future__ import annotations

import math

import msgspec

#: Two-sided 95 % quantile of the standard normal distribution.
Z95 = 1.959963984540054


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A rate with its 95 % limits, all fractions of one."""

    rate: float
    low: float
    high: float


def wilson(successes: int, trials: int, *, z: float = Z95) -> Interval | None:
    """Wilson score interval of a binomial rate; None without trials, because there is no rate then.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.
    """
    if trials <= 0:
        return None
    successes = min(
        successes, trials
    )  # a click's conversions count once, yet clocks may put one before its click's period
    p = successes / trials
    denominator = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / denominator
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials)) / denominator
    return Interval(rate=p, low=max(0.0, centre - half), high=min(1.0, centre + half))
