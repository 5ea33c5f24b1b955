"""The same world event by event: every click at its own instant, converting or not by its own draw, after its own delay.

Far too slow for months; it exists so that a test can hold the counts against it. Clicks are a thinned Poisson process, delays are drawn by
another route than the counts' (an interval by its weight, then log-uniform inside).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.delays import DelayOf
from app.evaluate.incidents import Incident
from app.evaluate.rates import Rates

Array = npt.NDArray[np.float64]


class SegmentEvents(NamedTuple):
    """One segment's clicks, and its conversions that took place and know their click; minutes of the live part."""

    clicks: Array
    clicked: Array
    happened: Array


def draw_segment(
    rates: Rates,
    segment: int,
    *,
    start: int,
    end: int,
    random: np.random.Generator,
    incidents: Sequence[Incident] = (),
) -> SegmentEvents:
    """Arrival and cohort incidents only: what else goes wrong is counted in the redirect, not in conversions."""
    minutes = np.arange(start, end, dtype=np.int64)
    expected, probability = rates.clicks(minutes)[segment], rates.converting(minutes)[segment]
    busiest = float(expected.max())
    candidates = random.uniform(start, end, random.poisson(busiest * len(minutes)))
    clicks = candidates[random.random(len(candidates)) * busiest < expected[(candidates - start).astype(np.int64)]]
    own = [i for i in incidents if i.inside[segment]]
    chance = probability[(clicks - start).astype(np.int64)]
    for incident in own:
        if incident.cause.law == "cohort":
            chance = chance * (1 - incident.strength(clicks))
    clicked = clicks[random.random(len(clicks)) < chance]
    happened = clicked + _delays(rates.fleet.segments[segment].delay, len(clicked), random)
    for incident in own:
        if incident.cause.law == "arrival":
            stays = random.random(len(happened)) >= incident.strength(happened)
            clicked, happened = clicked[stays], happened[stays]
    return SegmentEvents(clicks, clicked, happened)


def _delays(law: DelayOf, number: int, random: np.random.Generator) -> Array:
    if law.mean_min:
        return random.exponential(law.mean_min, number)
    piece = random.choice(len(law.shares) - 1, number, p=np.diff(law.shares))
    ends = np.log(law.minutes)
    delays: Array = np.exp(random.uniform(ends[piece], ends[piece + 1]))
    return delays
