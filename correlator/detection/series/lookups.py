"""Rows one, two, … seasons before: found by time, so that gaps and irregular spacing do no harm."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Seasons looked back.
DEPTH: Final = 4


class Season(msgspec.Struct, frozen=True, kw_only=True):
    """A season in milliseconds and in typical rows."""

    length_ms: float
    rows: int


def rows_before(times_ms: Ints, *, low: int, high: int, season: Season, least_rows: int) -> Ints:
    """For each row of [low, high) the rows nearest to 1, 2, … seasons earlier, shape (DEPTH, rows); -1 where there is none.

    Only seasons that reach back `least_rows` or more rows are used, so that what is looked up is known already.
    """
    begin = max(1, -(-least_rows // season.rows))
    wanted = times_ms[low:high] - season.length_ms * np.arange(begin, begin + DEPTH)[:, None]
    after = np.clip(np.searchsorted(times_ms[:high], wanted), 1, high - 1)
    nearer = np.where(wanted - times_ms[after - 1] <= times_ms[after] - wanted, after - 1, after)
    tolerance = 1.5 * season.length_ms / season.rows + 0.02 * season.length_ms
    fits = np.abs(times_ms[nearer] - wanted) <= tolerance
    return np.where(fits & (nearer <= np.arange(low, high) - least_rows), nearer, -1)


def mean_over(found: Ints, looked_up: Floats) -> Floats:
    """Mean over the seasons that exist; 0 where none does."""
    there = found >= 0
    return np.asarray(np.where(there, looked_up, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
