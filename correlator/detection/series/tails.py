"""From a statistic to a probability, by the statistic's own past: how often was it this high?"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Probabilities at which the past is read off.
LADDER: Final = np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003])
#: The last rung has at least this many rows of the past above it.
ROWS_ABOVE: Final = 5
#: Shape of the generalised Pareto tail before anything is known (0 = exponential, Gaussian tails are lighter), and the weight of that
#: opinion in rows.
SHAPE: Final = 0.12
SHAPE_ROWS: Final = 60.0
HEAVIEST: Final = 0.6


class Tail:
    """The upper tail of one statistic: quantiles inside the past, a generalised Pareto tail beyond (Pickands 1975)."""

    def __init__(self, past: Floats, *, least: float) -> None:
        """`least`: the smallest fall-off (in the statistic's unit per factor e) that is believed."""
        rows = len(past)
        rungs = LADDER[LADDER * rows >= ROWS_ABOVE]
        self.rungs = rungs if len(rungs) >= 2 else LADDER[:2]
        heights = np.quantile(past, 1 - self.rungs) if rows else np.zeros(len(self.rungs))
        # A step up for each rung keeps log-probabilities of tied quantiles apart.
        self.heights = np.maximum.accumulate(heights + 1e-9 * np.arange(len(heights)) * max(least, 1e-9))
        self.evidence = -np.log(self.rungs)
        self.slope, self.shape = self._beyond(rows, least=least)
        self.most = 2.0 * np.log(max(rows, 2)) + np.log(10)

    def _beyond(self, rows: int, *, least: float) -> tuple[float, float]:
        """Scale and shape beyond the last rung, from the two halves of the ladder's upper part."""
        last = len(self.rungs) - 1
        half = max(0, last - 3)
        slope = (self.heights[last] - self.heights[half]) / (self.evidence[last] - self.evidence[half])
        slope = max(float(slope), least)
        low = max(0, half - 3)
        if low == half:
            return slope, SHAPE
        before = (self.heights[half] - self.heights[low]) / (self.evidence[half] - self.evidence[low])
        gap = (self.evidence[last] - self.evidence[low]) / 2
        shape = float(np.log(slope / max(float(before), least)) / gap)
        above = rows * float(self.rungs[half])
        shape = (above * shape + SHAPE_ROWS * SHAPE) / (above + SHAPE_ROWS)
        return slope, float(np.clip(shape, 0.02, HEAVIEST))

    def surprise(self, statistic: Floats) -> Floats:
        """-log10 of the probability of a value at least this high, at most what so short a past can show."""
        inside = np.interp(statistic, self.heights, self.evidence)
        excess = np.maximum(statistic - self.heights[-1], 0.0) / self.slope
        inside = inside + np.log1p(self.shape * excess) / self.shape
        below = statistic < self.heights[0]
        inside = np.where(below, 0.5 * self.evidence[0], inside)
        return np.asarray(np.minimum(inside, self.most) / np.log(10), dtype=np.float64)
