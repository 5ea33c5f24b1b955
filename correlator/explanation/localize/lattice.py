"""The best combination of attribute values: every one of them is compared, or proven not to be worth comparing.

Each leaf brings a gain (in nats) under each of a grid of multipliers; a combination's gain is the best column of its leaves' sums. No part
of a combination can gain more than the sum of its leaves' best positive gains: where that bound is not above what was found already, the
combination's parts are not looked at (branch and bound over the lattice of cuboids, depth first; a cuboid's leaves that are left
shrink with depth, and so does the work).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Box(NamedTuple):
    """A combination: (attribute, value) pairs by number, the gain of its leaves, its price, and the multiplier that fits."""

    pairs: tuple[tuple[int, int], ...]
    gain: float
    price: float
    multiplier: float

    @property
    def net(self) -> float:
        return self.gain - self.price


class Prices(NamedTuple):
    """What a combination must explain before it is believed, in nats: a code for the cuboid, one for each value, one for the size."""

    values: tuple[int, ...]
    base: float

    def of(self, attributes: Sequence[int], leaves: float) -> float:
        cuboid = math.log(math.comb(len(self.values), len(attributes)))
        return (
            self.base + cuboid + sum(math.log(self.values[a]) + 1 for a in attributes) + math.log(max(leaves, 1.0)) / 2
        )


class Search:
    """One search over the leaves `rows`.

    Args:
        codes: leaves x attributes, value numbers.
        gains: leaves x multipliers, nats.
        multipliers: the grid.
        fixed: pairs that every combination found contains (the leaves given lie in it).
    """

    def __init__(
        self, codes: Codes, gains: Array, multipliers: Array, prices: Prices, *, fixed: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self._codes = codes
        self._gains = gains
        self._multipliers = multipliers
        self._prices = prices
        self._fixed = fixed
        self._free = [a for a in range(codes.shape[1]) if a not in dict(fixed) and prices.values[a] > 1]
        self._positive: Array = np.maximum(gains.max(axis=1, initial=0.0), 0.0)
        self.compared = 0
        self.best: Box | None = None

    def run(self, *, least: float, whole: bool = True) -> Box | None:
        """The combination with the highest net gain above `least`; `whole` = all leaves given are a candidate, too."""
        self._least = least
        rows = np.arange(len(self._codes))
        if len(rows) == 0:
            return None
        if whole:
            self._consider((), np.zeros(len(rows), dtype=np.int64), rows, 1)
        self._descend((), np.zeros(len(rows), dtype=np.int64), rows, 1, 0)
        return self.best

    def _descend(self, attributes: tuple[int, ...], groups: Codes, rows: Codes, number: int, start: int) -> None:
        for at in range(start, len(self._free)):
            attribute = self._free[at]
            finer, count = _joined(groups, self._codes[rows, attribute], number, self._prices.values[attribute])
            deeper = (*attributes, attribute)
            kept = self._consider(deeper, finer, rows, count)
            if at + 1 < len(self._free) and kept.any():
                inside = kept[finer]
                if inside.all():
                    self._descend(deeper, finer, rows, count, at + 1)
                else:
                    left, again = np.unique(finer[inside], return_inverse=True)
                    self._descend(deeper, again, rows[inside], len(left), at + 1)

    def _consider(self, attributes: tuple[int, ...], groups: Codes, rows: Codes, count: int) -> npt.NDArray[np.bool_]:
        """Compare the combinations of one cuboid; which of them may have parts that are better than the best so far."""
        self.compared += count
        size = len(rows)
        whole = csc_matrix((np.ones(size), groups, np.arange(size + 1)), shape=(count, size))
        sums = whole @ self._gains[rows]
        leaves = np.bincount(groups, minlength=count)
        named = [a for a, _ in self._fixed] + list(attributes)
        base = self._prices.of(named, 1.0)
        net = sums.max(axis=1) - base - np.log(leaves) / 2
        top = int(np.argmax(net))
        if net[top] > self._least:
            self._least = float(net[top])
            column = int(np.argmax(sums[top]))
            row = rows[int(np.argmax(groups == top))]
            pairs = tuple(sorted((*self._fixed, *((a, int(self._codes[row, a])) for a in attributes))))
            gain = float(sums[top, column])
            self.best = Box(pairs, gain, gain - self._least, float(self._multipliers[column]))
        bound = np.bincount(groups, self._positive[rows], minlength=count)
        return bound - base > self._least


def _joined(groups: Codes, codes: Codes, number: int, values: int) -> tuple[Codes, int]:
    """Groups split by one more attribute, numbered without gaps."""
    joined = groups * values + codes
    if number * values <= 8 * len(groups) + 100_000:
        seen = np.zeros(number * values, dtype=np.bool_)
        seen[joined] = True
        return (np.cumsum(seen) - 1)[joined], int(seen.sum())
    left, again = np.unique(joined, return_inverse=True)
    return again, len(left)
