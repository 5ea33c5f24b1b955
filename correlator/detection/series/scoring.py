"""The way of a series through the detector: blocks of rows, each judged by models that know only the rows before the block.

Within a block a row's statistics use that row and those before it. So the score of a row never depends on a later one, and a file that is
cut off has the scores it had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from correlator.detection.series.innovations import Memory
from correlator.detection.series.lookups import Season
from correlator.detection.series.outlook import Levels, Outlook
from correlator.detection.series.record import ALARM, Record
from correlator.detection.series.seasons import SHORTEST_ROWS, find_seasons, typical_step
from correlator.detection.series.shapes import Shapes
from correlator.detection.series.statistics import REACH, Stillness, looks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rows that are learned from before the first score; these score 0.
WARM_UP: Final = 24
#: Rows before seasons are looked for.
SEASONS_FROM: Final = 48
#: Rows of a block: models change between blocks only. At most a season, so that last season's rows are known.
LONGEST_BLOCK: Final = 128
SHORTEST_BLOCK: Final = 16
#: Models are fitted again after a sixth more rows, seasons looked for after a quarter more, at most so many.
FIT_ROWS: Final = 1024
SEASON_ROWS: Final = 4096
#: Rows ahead of the two outlooks: a dozen for what lasts a while, six dozen for what lasts long.
NEAR: Final = 12
FAR: Final = 72


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A series in time order. `values` are numbers or rates, NaN where missing; `trials` only where they are rates."""

    times_ms: Ints
    values: Floats
    trials: Floats | None = None


def score(series: Series, *, told: Callable[[int], None] = lambda _: None) -> Floats:
    """A score in [0, 1] for each row (0.5 = the evidence of an alarm), 0 for the warm-up and where the value is missing. `told` hears how many rows are done."""
    detector = Detector(series)
    rows, low = len(series.values), 0
    with np.errstate(all="ignore"):  # values near the largest float overflow in squares: such a row scores 0
        while low < rows:
            low = detector.step(low)
            told(low)
    squares = np.nan_to_num(detector.record.evidence) ** 2
    # Rounded: sums over more or fewer rows may differ in their last bits.
    scores = np.round(squares / (squares + ALARM**2), 6)
    return np.where(detector.memory.weight > 0, scores, 0.0)


class Detector:
    """What is learned of one series, block by block."""

    def __init__(self, series: Series) -> None:
        self.times_ms = series.times_ms
        self.memory = Memory(series.times_ms, series.values, series.trials)
        self.levels = Levels(self.memory)
        self.near = Outlook(self.levels, horizon=NEAR)
        self.far = Outlook(self.levels, horizon=FAR)
        self.shapes = Shapes(self.memory)
        self.still = Stillness(len(series.values))
        self.record = Record(len(series.values))
        self._block = SHORTEST_BLOCK
        self._next_fit, self._next_seasons = WARM_UP, SEASONS_FROM

    def step(self, low: int) -> int:
        """Learns from the rows before `low`, scores the block that begins there; its end."""
        self._learn(low)
        high = min(len(self.times_ms), max(low + min(self._block, max(8, low // 4)), WARM_UP))
        self.memory.advance(low, high, block=self._block)
        self.levels.extend(low, high)
        self.still.advance(self.memory.values, low=low, high=high)
        if low >= WARM_UP:
            self.near.advance(low, high, block=self._block)
            self.far.advance(low, high, block=self._block)
            self.shapes.advance(low, high)
            self.record.add(self._looks(low, high), low=low)
        return high

    def _learn(self, low: int) -> None:
        if low < self._next_fit:
            return
        if low >= self._next_seasons:
            self._find_seasons(low)
            self._next_seasons = low + min(low // 4, SEASON_ROWS)
        self.memory.fit(low, block=self._block)
        self.near.fit(low)
        self.far.fit(low)
        self.shapes.fit(low)
        self.record.fit(low)
        self._next_fit = low + int(np.clip(low // 6, 8, FIT_ROWS))

    def _find_seasons(self, low: int) -> None:
        step = typical_step(self.times_ms[:low])
        found = find_seasons(self.times_ms[:low], self.memory.clean[:low])
        rows = [max(SHORTEST_ROWS, round(each / step)) for each in found]
        self.memory.seasons = tuple(Season(length_ms=each, rows=count) for each, count in zip(found, rows, strict=True))
        self._block = int(np.clip(min(rows, default=LONGEST_BLOCK), SHORTEST_BLOCK, LONGEST_BLOCK))

    def _looks(self, low: int, high: int) -> Floats:
        begin = max(0, low - REACH)
        return looks(
            self.memory.noise[begin:high],
            self.near.noise[begin:high],
            self.far.noise[begin:high],
            still=self.still.rows[low:high],
            shape=self.shapes.distance[low:high],
        )
