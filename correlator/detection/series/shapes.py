"""Was there ever a stretch like this one? Distance of the newest rows to the nearest stretches of the past (a left discord, Lu et al., DAMP 2022)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from correlator.detection.series.innovations import Memory

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rows of a stretch where there is no season; with one it is the season.
ROWS: Final = 32
LONGEST: Final = 512
#: Stretches are pooled to at most about this many numbers.
NUMBERS: Final = 32
#: Past stretches that are compared, and the rows they are taken from.
REFERENCES: Final = 512
REACH: Final = 6144
#: The nearest of so many counts: one freak twin in the past is no excuse.
NEAREST: Final = 2
#: Spread of log distances that is believed at least.
LEAST_SPREAD: Final = 0.1


class Shapes:
    """Log distances by row; 0 until there are stretches to compare with."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.rows, self._pool = ROWS, 1
        self._ends = np.zeros(0, dtype=np.int64)
        self._references = np.zeros((0, 0))
        self._usual, self._spread = 0.0, 1.0
        self.distance = np.zeros(len(memory.values))

    def fit(self, until: int) -> None:
        """Takes stretches of the rows before `until` as the references."""
        seasons = [season.rows for season in self.memory.seasons if season.rows <= LONGEST]
        self.rows = max(12, seasons[0]) if seasons else ROWS
        self._pool = max(1, self.rows // NUMBERS)
        first = max(self.rows, until - REACH)
        if until - first < 2 * self.rows:
            self._references = np.zeros((0, 0))
            return
        step = max(1, -(-(until - first) // REFERENCES))
        while math.gcd(step, self.rows) > 1:  # else some times of the season would have no reference at all
            step += 1
        self._ends = np.arange(until - 1, first, -step)
        self._references = self._stretches(self._ends)
        inside = self._nearest(self._references, ends=self._ends)
        inside = inside[np.isfinite(inside)]
        low_half, middle, high_half = np.quantile(inside, [0.25, 0.5, 0.9]) if len(inside) else (0.0, 0.0, 0.0)
        self._usual, self._spread = float(middle), max(float(high_half - low_half), LEAST_SPREAD)

    def _stretches(self, ends: Ints) -> Floats:
        """Pooled stretches that end at these rows, without their level, shape (ends, numbers)."""
        low = max(0, int(ends.min()) - self.rows)
        high = int(ends.max()) + 1
        values = self.memory.values[low:high]
        values = np.where(np.isnan(values), self.memory.clean[low:high], values)
        sums = np.concatenate(([0.0], np.cumsum(values - values[0])))
        count = self.rows // self._pool
        starts = ends[:, None] + 1 - low - self._pool * np.arange(count, 0, -1)
        pooled = (sums[starts + self._pool] - sums[starts]) / self._pool
        return np.asarray(pooled - pooled.mean(axis=1, keepdims=True))

    def advance(self, low: int, high: int) -> None:
        """Distances of the stretches that end in [low, high)."""
        if not len(self._references):
            return
        rows = np.arange(low, high)
        found = self._nearest(self._stretches(rows), ends=rows)
        self.distance[low:high] = np.where(np.isfinite(found), (found - self._usual) / self._spread, 0.0)

    def _nearest(self, stretches: Floats, *, ends: Ints) -> Floats:
        """Log distance of each to the references that do not overlap it; infinite where there are too few."""
        own = (self._references**2).sum(axis=1)
        squares = (stretches**2).sum(axis=1)[:, None] + own - 2 * stretches @ self._references.T
        squares[np.abs(self._ends[None, :] - ends[:, None]) < self.rows] = np.inf
        if squares.shape[1] < NEAREST:
            return np.full(len(ends), np.inf)
        nearest = np.partition(squares, NEAREST - 1, axis=1)[:, NEAREST - 1]
        typical = float(own.mean())
        if typical <= 0:
            return np.full(len(ends), np.inf)
        return np.asarray(0.5 * np.log(np.maximum(nearest, 0.0) / typical + 1e-4))
