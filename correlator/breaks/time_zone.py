"""A system whose hours or days are those of another time zone: shifting them by h hours makes the break go away. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from core.clock import HOUR_MS
from correlator.breaks.model import Break, Cause, Piece, Signs, cause_of, within

#: Offsets of the world's zones: -12 h to +14 h, in half hours.
OFFSETS_MS: Final = tuple(half * HOUR_MS // 2 for half in range(-24, 29))
#: Nats that a shift must gain: 7 for being believed at all (as elsewhere), and the logarithm of how many were tried.
_LEAST_GAIN: Final = 7.0 + math.log(len(OFFSETS_MS))
#: Fewer buckets than this can be shifted into agreement by chance.
_LEAST_PIECES: Final = 3
_LEAST_COUNT: Final = 30.0
#: No bucket is impossible: somebody may count what the believed system missed.
_LEAST_MEAN: Final = 0.5


def time_zone(found: Break, signs: Signs) -> Cause | None:
    """Whether the system's buckets look like the believed one's, told in another zone.

    The counts of its buckets are taken as Poisson about the believed counts of the same, shifted span, scaled to the same total: the two
    count the same events, so this is rather too careful. The shift with the highest likelihood is named when it gains enough on none.
    """
    if (
        found.kind != "system"
        or not signs.true
        or len(signs.told) < _LEAST_PIECES
        or sum(p.count for p in signs.told) < _LEAST_COUNT
    ):
        return None
    scores = _scores(signs.told, signs.true)
    best = max(scores, key=lambda offset: (scores[offset], -abs(offset)))
    if scores[best] - scores[0] < _LEAST_GAIN:
        return None
    moved = within(signs.true, found.since_ms - best, found.until_ms - best)
    here = within(signs.true, found.since_ms, found.until_ms)
    said = (
        f"{found.system} fits {found.believed} when its clock is taken as UTC{best / HOUR_MS:+g} h:"
        f" {moved:g} instead of {here:g} for this period, over {len(signs.told)} buckets"
    )
    return cause_of("time_zone", moved - here, found, said)


def _scores(told: Sequence[Piece], true: Sequence[Piece]) -> dict[int, float]:
    """Log-likelihood of the told buckets for every offset, under the believed counts of the span that offset earlier."""
    counts = np.array([piece.count for piece in told])
    begins = np.array([piece.begins_ms for piece in told])
    ends = np.array([piece.ends_ms for piece in told])
    edges = [edge for piece in true for edge in (piece.begins_ms, piece.ends_ms)]
    sums = [
        total
        for piece, total in zip(true, accumulate(p.count for p in true), strict=True)
        for total in (total - piece.count, total)
    ]
    found = {}
    for offset in OFFSETS_MS:
        between = np.interp(ends - offset, edges, sums) - np.interp(begins - offset, edges, sums)
        means = np.maximum(between, _LEAST_MEAN)
        scaled = means * counts.sum() / means.sum()
        found[offset] = float(np.sum(counts * np.log(scaled) - scaled))
    return found
