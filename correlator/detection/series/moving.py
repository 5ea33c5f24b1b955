"""What is carried from row to row: moving means and a moving deviation, as plain floats. At one row a time they are faster than arrays."""

from __future__ import annotations

from typing import Final

#: Weights of the newest row in the moving means.
SHARES: Final = (0.5, 0.2, 0.06, 0.015)
#: Weights of the newest residual in the fast and the slow scale.
FAST: Final = 0.05
SLOW: Final = 0.004
#: Rows before the scale is believed.
FIRST_ROWS: Final = 3
#: A row further than this many deviations from its forecast is cleaned to that distance, at most so many times in a row: then it is the new level.
CLEAN_AT: Final = 4.0
CLEAN_ROWS: Final = 5
#: A residual counts up to this many deviations in the scale.
LIMIT: Final = 3.0
#: Size of the first move of a series that never moved.
FIRST_MOVE: Final = 10.0
#: Mean size of Gaussian residuals to their standard deviation.
DEVIATION: Final = 1.25
#: Differences smaller than this share of a value are rounding.
ROUNDING: Final = 1e-11


class Means:
    """Exponential moving means, each row with a weight (its trials; 1 for a plain value)."""

    def __init__(self, level: float) -> None:
        self.now = (level, level, level, level)
        self._sums = (0.0, 0.0, 0.0, 0.0)
        self._weights = (0.0, 0.0, 0.0, 0.0)

    def add(self, value: float, *, weight: float) -> None:
        g0, g1, g2, g3 = SHARES
        s0, s1, s2, s3 = self._sums
        w0, w1, w2, w3 = self._weights
        mass = weight * value
        s0, s1, s2, s3 = s0 + g0 * (mass - s0), s1 + g1 * (mass - s1), s2 + g2 * (mass - s2), s3 + g3 * (mass - s3)
        w0, w1, w2, w3 = (
            w0 + g0 * (weight - w0),
            w1 + g1 * (weight - w1),
            w2 + g2 * (weight - w2),
            w3 + g3 * (weight - w3),
        )
        self._sums, self._weights = (s0, s1, s2, s3), (w0, w1, w2, w3)
        self.now = (s0 / w0, s1 / w1, s2 / w2, s3 / w3)

    @property
    def weighed(self) -> float:
        """About how much weight the longest mean rests on."""
        return self._weights[3] / SHARES[3]


class Deviation:
    """The usual size of residuals: lately and in the long run. Wild ones count in part, and are cleaned."""

    def __init__(self) -> None:
        self._fast = self._slow = 0.0
        self._seen = self._cleaned = 0

    def judge(self, residual: float) -> tuple[float, float]:
        """The residual in deviations, and what is left of it after cleaning; learns from it."""
        size = abs(residual)
        scale = DEVIATION * (0.4 * self._fast + 0.6 * self._slow)
        if self._seen < FIRST_ROWS:
            self._learn(size)
            return 0.0, residual
        if scale <= 0:
            self._learn(size)
            return (0.0 if size == 0 else FIRST_MOVE if residual > 0 else -FIRST_MOVE), residual
        self._learn(min(size, LIMIT * scale))
        if size <= CLEAN_AT * scale:
            self._cleaned = 0
        elif self._cleaned < CLEAN_ROWS:
            self._cleaned += 1
            return residual / scale, CLEAN_AT * scale if residual > 0 else -CLEAN_AT * scale
        return residual / scale, residual

    def _learn(self, size: float) -> None:
        self._seen += 1
        first = 1.0 / self._seen
        self._fast += max(FAST, first) * (size - self._fast)
        self._slow += max(SLOW, first) * (size - self._slow)
