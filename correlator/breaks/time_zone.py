"""A system whose hours or days are those of another time zone: shifting them by h hours makes the break go away. Pure."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Final

import numpy as np

from core.clock import HOUR_MS
from correlator.breaks.model import Break, Cause, Signs, cause_of, within

#: Offsets of the world's zones: -12 h to +14 h, in half hours.
OFFSETS_MS: Final = tuple(half * HOUR_MS // 2 for half in range(-24, 29))
#: Nats that a shift must gain: 7 for being believed at all (as elsewhere), and the logarithm of how many were tried.
_LEAST_GAIN: Final = 7.0 + math.log(len(OFFSETS_MS))
#: Fewer buckets than this can be shifted into agreement by chance.
_LEAST_PIECES: Final = 3
_LEAST_COUNT: Final = 30.0
#: No bucket is impossible: somebody may count what the believed system missed.
_LEAST_MEAN: Final = 0.5
#: The right shift leaves at most this share of the difference, over at least so many buckets: few shifts of few buckets do by chance.
_LEFT_OVER: Final = 0.2
_EXACT_PIECES: Final = 5
#: Of each bucket of the system.
Counts = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def time_zone(found: Break, signs: Signs) -> Cause | None:
    """Whether the system's buckets look like the believed one's, told in another zone.

    Two tests, either of which is enough. The counts of its buckets are taken as Poisson about the believed counts of the same, shifted span,
    scaled to the same total: a shape of the day that fits better is found although something else is missing, too. And since both count the
    same events, the right shift leaves hardly any difference: found in days as well, where shapes say little.
    """
    if found.kind != "system" or not signs.true or len(signs.told) < _LEAST_PIECES:
        return None
    counts = np.array([piece.count for piece in signs.told])
    if counts.sum() < _LEAST_COUNT:
        return None
    means = _believed(signs)
    best = _by_shape(counts, means) or _by_difference(counts, means)
    if not best:
        return None
    moved = within(signs.true, found.since_ms - best, found.until_ms - best)
    here = within(signs.true, found.since_ms, found.until_ms)
    said = (
        f"{found.system} fits {found.believed} when its clock is taken as UTC{best / HOUR_MS:+g} h:"
        f" {moved:g} instead of {here:g} for this period, over {len(signs.told)} buckets"
    )
    return cause_of("time_zone", moved - here, found, said)


def _by_shape(counts: Counts, means: dict[int, Counts]) -> int:
    """The offset (ms) with the highest likelihood when it gains enough on none, else 0."""
    scores = {}
    for offset, mean in means.items():
        scaled = mean * counts.sum() / mean.sum()
        scores[offset] = float(np.sum(counts * np.log(scaled) - scaled))
    best = max(scores, key=lambda offset: (scores[offset], -abs(offset)))
    return best if scores[best] - scores[0] >= _LEAST_GAIN else 0


def _by_difference(counts: Counts, means: dict[int, Counts]) -> int:
    """The offset (ms) that leaves the least difference when that is hardly any of what there is without, else 0."""
    left = {offset: float(np.abs(counts - mean).sum()) for offset, mean in means.items()}
    best = min(left, key=lambda offset: (left[offset], abs(offset)))
    return best if len(counts) >= _EXACT_PIECES and left[best] <= _LEFT_OVER * left[0] else 0


def _believed(signs: Signs) -> dict[int, Counts]:
    """For every offset the believed counts of the system's buckets, taken that much earlier."""
    begins = np.array([piece.begins_ms for piece in signs.told])
    ends = np.array([piece.ends_ms for piece in signs.told])
    edges = [edge for piece in signs.true for edge in (piece.begins_ms, piece.ends_ms)]
    totals = list(accumulate(piece.count for piece in signs.true))
    sums = [sum_ for piece, total in zip(signs.true, totals, strict=True) for sum_ in (total - piece.count, total)]
    between = {
        offset: np.interp(ends - offset, edges, sums) - np.interp(begins - offset, edges, sums) for offset in OFFSETS_MS
    }
    return {offset: np.maximum(counts, _LEAST_MEAN) for offset, counts in between.items()}
