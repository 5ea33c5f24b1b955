"""Limits that stay valid however often one looks (Howard, Ramdas, McAuliffe, Sekhon, Ann. Statist. 49(2), 2021; theory.md 2.5).

For the figures shown after an alarm and for the gates before and after a pause; not for the alarm itself, because a sequence
from a fixed start dilutes a later change.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import betaln, gammaln

_TINY = 1e-12


def ratio_limits(observed: float, expected: float, *, alpha: float = 0.05, a: float = 1.0) -> tuple[float, float]:
    """Always-valid limits of true rate / baseline from `observed` conversions where `expected` were expected.

    Poisson with exposure `expected`, mixed over Gamma(a, a): {r: Gamma(a+S) a^a / (Gamma(a) (a+E)^(a+S)) e^(rE) r^-S < 1/alpha}.
    """
    if expected <= 0:
        return 0.0, math.inf
    constant = float(gammaln(a + observed) - gammaln(a) + a * math.log(a) - (a + observed) * math.log(a + expected))

    def excess(ratio: float) -> float:
        return constant + ratio * expected - observed * math.log(ratio) + math.log(alpha)

    best = max(observed / expected, _TINY)
    low = 0.0 if observed == 0 or excess(_TINY) < 0 else float(brentq(excess, _TINY, best))
    high = best + 1.0
    while excess(high) < 0:
        high *= 2
    return low, float(brentq(excess, best, high))


def share_limits(
    hits: float, trials: float, *, alpha: float = 0.05, a: float = 0.5, b: float = 0.5
) -> tuple[float, float]:
    """Always-valid limits of a share from `hits` among `trials`, mixed over Beta(a, b)."""
    if trials <= 0:
        return 0.0, 1.0
    misses = trials - hits
    constant = float(betaln(a + hits, b + misses) - betaln(a, b))

    def excess(share: float) -> float:
        return constant - hits * math.log(share) - misses * math.log1p(-share) + math.log(alpha)

    best = min(max(hits / trials, 1e-9), 1 - 1e-9)
    low = 0.0 if excess(_TINY) < 0 or hits == 0 else float(brentq(excess, _TINY, best))
    high = 1.0 if excess(1 - _TINY) < 0 or misses == 0 else float(brentq(excess, best, 1 - _TINY))
    return low, high
