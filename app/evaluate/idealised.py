"""The idealised world: one stream, a known rate, no delay, no season (theory.md 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.evaluate.naive import Counts
from app.evaluate.rates import DAY_MIN
from app.evaluate.rule_alarms import delays_by_rule, episodes_by_threshold, plain
from app.evaluate.scoring import LONGEST_DELAY_MINUTES, MINUTES_PER_MONTH, episodes, first_delays
from app.evaluate.shipped import Replicas

Mask = npt.NDArray[np.bool_]

#: Conversion rate of the idealised world (theory.md 4.3).
IDEAL_RATE: Final = 0.024
#: The onset in the idealised world: a day and two hours in, so that every rule has its yesterday.
IDEAL_ONSET: Final = DAY_MIN + 120
#: The sequential test starts this long before an onset, and is looked at in such steps.
WARM_UP: Final = 60


def ideal_clean(*, seed: int, clicks: int, months: int) -> dict[str, Any]:
    """Healthy months of one known stream: episodes of the shipped detector, and of every rule at every threshold."""
    random = np.random.default_rng([seed, 11, clicks])
    counts = _ideal_counts(random, runs=months, minutes=MINUTES_PER_MONTH, clicks=clicks)
    alarms = Replicas(months, base_rate=IDEAL_RATE, start=_a_start(seed)).run(counts.clicks, counts.conversions)
    return {"months": months, "shipped": int(episodes(alarms).sum()), "rules": episodes_by_threshold(counts)}


def ideal_drop(
    *, seed: int, clicks: int, drop: float, runs: int, thresholds: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Delays in minutes after a drop of a known stream; null where there was no alarm in 72 hours."""
    random = np.random.default_rng([seed, 12, clicks, round(100 * drop)])
    minutes = IDEAL_ONSET + LONGEST_DELAY_MINUTES
    counts = _ideal_counts(random, runs=runs, minutes=minutes, clicks=clicks, drop=drop)
    start = IDEAL_ONSET - WARM_UP
    replicas = Replicas(runs, base_rate=IDEAL_RATE, start=_a_start(seed))
    seen: list[Mask] = []
    for since in range(start, minutes, WARM_UP):
        seen.append(
            replicas.run(counts.clicks[:, since : since + WARM_UP], counts.conversions[:, since : since + WARM_UP])
        )
        if len(seen) > 1 and np.hstack(seen[1:]).any(1).all():
            break
    delays = first_delays(np.hstack(seen), WARM_UP)
    return {"shipped": plain(delays), "rules": delays_by_rule(counts, IDEAL_ONSET, thresholds)}


def _ideal_counts(random: np.random.Generator, *, runs: int, minutes: int, clicks: int, drop: float = 0.0) -> Counts:
    """Poisson clicks, each converting at the known rate, at once; from `IDEAL_ONSET` on a drop where there is one."""
    drawn = random.poisson(clicks, (runs, minutes))
    rate = np.full(minutes, IDEAL_RATE)
    rate[IDEAL_ONSET:] *= 1 - drop
    converted = random.binomial(drawn, rate[None, :]).astype(np.float64)
    came = drawn.astype(np.float64)
    usual = np.full(came.shape, float(clicks))
    return Counts(came, converted, usual, came * IDEAL_RATE, usual * IDEAL_RATE)


def _a_start(seed: int) -> int:
    return (29_000_000 + seed * DAY_MIN) * 60_000
