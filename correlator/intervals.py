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
    """Wilson score interval of a binomial rate; None without trials, because there is no rate then."""
    return around(min(successes, trials) / trials if trials > 0 else None, trials, z=z)


def around(share: float | None, trials: int, *, z: float = Z95) -> Interval | None:
    """Wilson score interval of a share that was seen in so many trials; None where there is none.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.
    """
    if share is None or trials <= 0:
        return None
    denominator = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / denominator
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / denominator
    return Interval(rate=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def difference(now: Interval, then: Interval) -> Interval:
    """How far one rate lies above another, with 95 % limits, from the Wilson limits of both.

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17 (1998),
    873-890, method 10.
    """
    apart = now.rate - then.rate
    return Interval(
        rate=apart,
        low=apart - math.hypot(now.rate - now.low, then.high - then.rate),
        high=apart + math.hypot(now.high - now.rate, then.rate - then.low),
    )
