"""How noisy a time of the season is: deviations are judged against those at the same time of earlier seasons."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from correlator.detection.series.lookups import Season, rows_before

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Mean size of a Gaussian deviation, and the rows for which that opinion counts.
USUAL: Final = 0.8
USUAL_ROWS: Final = 20


def seasonal_swing(running: Floats, *, times_ms: Ints, low: int, high: int, season: Season, least_rows: int) -> Floats:
    """Mean size around the same time of earlier seasons, over the usual. `running[i]` is the sum of the sizes of the rows before i;
    `least_rows` is at least the length of a block, whose own sizes are not known yet."""
    found = rows_before(times_ms, low=low, high=high, season=season, least_rows=least_rows)
    reach = max(1, season.rows // 24)
    at = np.maximum(found, 0)
    end, begin = np.minimum(at + reach + 1, low), np.maximum(at - reach, 0)
    there = found >= 0
    sums = np.where(there, running[end] - running[begin], 0.0).sum(axis=0)
    counts = np.where(there, end - begin, 0).sum(axis=0)
    return np.asarray((sums + USUAL_ROWS * USUAL) / (counts + USUAL_ROWS) / USUAL)
