"""The best combination of attribute values: every one of them is compared, or proven not to be worth comparing.

Each leaf brings a gain (in nats) under each of a grid of multipliers; a combination's gain is the best column of its leaves' sums. No part
of a combination can gain more than the sum of its leaves' positive gains, at one multiplier: where that bound (taken over neighbouring
multipliers together) is not above what was found already, the combination's parts are not looked at (branch and bound over the lattice of cuboids, depth first; a cuboid's leaves that are left
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
Single = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


#: Neighbouring multipliers that share a bound.
SHARED = 5
#: Leaves are copied for deeper cuboids when no more than this share of them is left.
WORTH_COPYING = 0.7


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


class _Part(NamedTuple):
    """Some of the leaves, grouped by the values of some attributes: group numbers without gaps, and how many there are."""

    codes: Codes
    gains: Single
    positive: Single
    groups: Codes
    number: int

    def finer(self, attribute: int, values: int) -> _Part:
        """Grouped by one more attribute."""
        groups, number = _joined(self.groups, self.codes[:, attribute], self.number, values)
        return self._replace(groups=groups, number=number)

    def only(self, kept: npt.NDArray[np.bool_]) -> _Part:
        """Without the groups that are not kept; as it is where that would be copied for little."""
        inside = kept[self.groups]
        if inside.mean() > WORTH_COPYING:
            return self
        groups = (np.cumsum(kept) - 1)[self.groups[inside]]
        return _Part(self.codes[inside], self.gains[inside], self.positive[inside], groups, int(kept.sum()))

    def sums(self, of: Single) -> Single:
        size = len(self.groups)
        members = csc_matrix(
            (np.ones(size, dtype=np.float32), self.groups, np.arange(size + 1)), shape=(self.number, size)
        )
        summed: Single = members @ of
        return summed


class Search:
    """One search over leaves.

    Args:
        codes: leaves x attributes, value numbers.
        gains: leaves x multipliers, nats.
        multipliers: the grid.
        fixed: pairs that every combination found contains (the leaves given lie in it).
    """

    def __init__(
        self,
        codes: Codes,
        gains: Single,
        multipliers: Array,
        prices: Prices,
        *,
        fixed: tuple[tuple[int, int], ...] = (),
    ) -> None:
        starts = np.arange(0, gains.shape[1], SHARED)
        positive = np.maximum(np.maximum.reduceat(gains, starts, axis=1), 0.0)
        self._all = _Part(codes, gains, positive, np.zeros(len(codes), dtype=np.int64), 1)
        self._multipliers = multipliers
        self._prices = prices
        self._fixed = fixed
        self._free = [a for a in range(codes.shape[1]) if a not in dict(fixed) and prices.values[a] > 1]
        self.compared = 0
        self.best: Box | None = None

    def run(self, *, known: Box | None = None, whole: bool = True) -> Box | None:
        """The combination with the highest net gain above 0.

        Args:
            known: one that is at hand already, with its gain over these leaves; what is no better than it is not looked at.
            whole: all leaves given are a candidate, too.
        """
        self.best = known if known is not None and known.net > 0 else None
        self._least = self.best.net if self.best is not None else 0.0
        if len(self._all.groups) == 0:
            return None
        if whole:
            self._compare((), self._all)
        self._descend((), self._all, 0)
        return self.best

    def _descend(self, attributes: tuple[int, ...], part: _Part, start: int) -> None:
        for at in range(start, len(self._free)):
            deeper = (*attributes, self._free[at])
            finer = part.finer(self._free[at], self._prices.values[self._free[at]])
            self.compared += finer.number
            kept = finer.sums(finer.positive).max(axis=1) - self._base(deeper) > self._least
            if not kept.any():
                continue
            finer = finer.only(kept)
            self._compare(deeper, finer)
            if at + 1 < len(self._free):
                self._descend(deeper, finer, at + 1)

    def _base(self, attributes: tuple[int, ...]) -> float:
        return self._prices.of([a for a, _ in self._fixed] + list(attributes), 1.0)

    def _compare(self, attributes: tuple[int, ...], part: _Part) -> None:
        """Remember the best combination of one cuboid if it is better than what is known."""
        sums = part.sums(part.gains)
        leaves = np.bincount(part.groups, minlength=part.number)
        prices = self._base(attributes) + np.log(leaves) / 2
        net = sums.max(axis=1) - prices
        top = int(np.argmax(net))
        if net[top] <= self._least:
            return
        self._least = float(net[top])
        column = int(np.argmax(sums[top]))
        row = part.codes[int(np.argmax(part.groups == top))]
        pairs = tuple(sorted((*self._fixed, *((a, int(row[a])) for a in attributes))))
        self.best = Box(pairs, float(sums[top, column]), float(prices[top]), float(self._multipliers[column]))


def _joined(groups: Codes, codes: Codes, number: int, values: int) -> tuple[Codes, int]:
    """Groups split by one more attribute, numbered without gaps."""
    joined = groups * values + codes
    if number * values <= 8 * len(groups) + 100_000:
        seen = np.zeros(number * values, dtype=np.bool_)
        seen[joined] = True
        return (np.cumsum(seen) - 1)[joined], int(seen.sum())
    left, again = np.unique(joined, return_inverse=True)
    return again, len(left)
