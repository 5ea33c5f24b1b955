"""Which combinations of attribute values explain a table best: several causes, each with its own multiplier, by description length.

A cause pays for what it says (`lattice.Prices`) and must save more than that in surprise. Steps:

1. Fit the noise, the level and the forecast's biases on leaves that no cause covers (all, at first).
2. Take the best combination, then the best among the leaves that are left, until none pays. Leaves of a cause speak neither for nor
   against later ones: where two overlap, either multiplier may rule.
3. Take a combination apart when its parts, at the same multiplier, save more than it does: two of three devices, not "all devices".
4. Begin again at 1 with the leaves that are left over, until the noise stays as it is.
5. Look for each cause once more, given the others.

Small tables start from quiet noise, too, and the shorter description of the two wins: of sixty leaves, ten broken ones look like noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from correlator.explanation.localize.bias import Bias, biases, level_of
from correlator.explanation.localize.lattice import Box, Prices, Search, Single
from correlator.explanation.localize.leaves import Leaves
from correlator.explanation.localize.noise import Array, Mask, Noise, fit, log_likelihood, surprise

DROPS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
#: Multipliers that are tried, rises mirroring drops. Less than 5 % is no cause that anybody can mend.
GRID = np.array(sorted([1 - drop for drop in DROPS] + [1 / (1 - drop) for drop in DROPS]))
#: Where forecasts are biased, a cause's multiplier lies this many times their spread from 1.
BEYOND_BIAS = 5.0
#: Price of any cause, in nats, on top of what it says: 0 had the best F1 of -2 .. 5 on development seeds.
BASE = 0.0
#: Parts must explain so much more than the whole: a few rows that happen to lie near their forecast take no cause apart.
PARTS_BETTER = 1.1
MOST_CAUSES = 12
PASSES = 4
DEPTH = 3
#: A cause within another is one of its own where its multiplier is this factor, and this much, from the other's.
OTHERWISE = 1.5
APART = 0.2
#: What the rest around a cause must save to be a cause of its own.
AROUND_PRICE = 10.0
#: Tables up to this many leaves start from quiet noise, too.
SMALL = 2000


class Explanation(NamedTuple):
    """The causes, best first, and what was held against them."""

    causes: list[Box]
    noise: Noise
    bias: Bias
    compared: int


class _State(NamedTuple):
    """One pass: expected values without bias, the gains by leaf and multiplier, the causes found and the leaves they do not cover."""

    noise: Noise
    bias: Bias
    expected: Array
    grid: Array
    gains: Single
    found: list[Box]
    free: Mask


def explain(leaves: Leaves) -> Explanation:
    """The causes that explain how `leaves` deviate."""
    finder = _Finder(leaves)
    starts: list[Noise | None] = [None]
    if len(leaves.actual) <= SMALL:
        unit = 1.0 if leaves.whole else 1e-3 * float(np.median(np.abs(leaves.expected)))
        starts.append(Noise(unit, 0.02, 50.0))
    states = [finder.passes(start) for start in starts]
    best = max(states, key=finder.described) if len(states) > 1 else states[0]
    return Explanation(sorted(best.found, key=lambda box: -box.net), best.noise, best.bias, finder.compared)


class _Finder:
    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._prices = Prices(tuple(len(values) for values in leaves.values), BASE)
        self.compared = 0

    def passes(self, start: Noise | None) -> _State:
        """Steps 1 to 5."""
        state = self._found(start or self._noise(self._everywhere))
        for _ in range(PASSES - 1):
            noise = self._noise(state.free) if int(state.free.sum()) >= 10 else state.noise
            again = self._held(noise, state.free)
            if _alike(again, state):
                break
            state = self._found(noise, state.free, state.found)
        return state._replace(found=self._polished(state)) if len(state.found) > 1 else state

    def described(self, state: _State) -> float:
        """Log-likelihood of the whole table less the price of the causes."""
        mean = state.expected * state.noise.level
        free = self._everywhere
        for box in sorted(state.found, key=lambda box: -len(box.pairs)):
            own = self._inside(box) & free
            mean[own] *= box.multiplier
            free &= ~own
        return log_likelihood(self._leaves.actual, mean, state.noise) - sum(box.price for box in state.found)

    @property
    def _everywhere(self) -> Mask:
        return np.ones(len(self._leaves.actual), dtype=np.bool_)

    def _noise(self, free: Mask) -> Noise:
        return fit(self._leaves.actual[free], self._leaves.expected[free], whole=self._leaves.whole)

    def _held(self, noise: Noise, free: Mask) -> tuple[Noise, Bias, Array]:
        """The noise with its level, the biases, and what is expected once they are taken out."""
        actual, expected = self._leaves.actual, self._leaves.expected
        noise = noise._replace(level=level_of(actual[free], expected[free], noise))
        bias = biases(self._leaves.codes, actual, expected, noise=noise, free=free)
        if bias.spread == 0:
            return noise, bias, expected.copy()
        unbiased = expected * np.exp(bias.of)
        noise = fit(actual[free], unbiased[free] * noise.level, whole=self._leaves.whole)
        return noise._replace(level=level_of(actual[free], unbiased[free], noise)), bias, unbiased

    def _found(self, noise: Noise, free: Mask | None = None, known: Sequence[Box] = ()) -> _State:
        """Steps 1 to 3; `known`: the causes of the pass before."""
        noise, bias, expected = self._held(noise, self._everywhere if free is None else free)
        grid = GRID[np.abs(np.log(GRID)) >= max(0.05, BEYOND_BIAS * bias.spread)]
        usual = expected * noise.level
        nothing = surprise(self._leaves.actual, usual, noise)
        gains = np.stack(
            [(nothing - surprise(self._leaves.actual, usual * m, noise)).astype(np.float32) for m in grid], axis=1
        )
        state = _State(noise, bias, expected, grid, gains, [], self._everywhere)
        left = self._everywhere
        while len(state.found) < MOST_CAUSES:
            box = self._best(state, left, known=known)
            if box is None:
                break
            for part in self._apart(state, box, left, DEPTH):
                state.found.append(part)
                left &= ~self._inside(part)
        return state._replace(free=left)

    def _best(
        self,
        state: _State,
        left: Mask,
        *,
        fixed: tuple[tuple[int, int], ...] = (),
        whole: bool = True,
        columns: slice = slice(None),
        known: Sequence[Box] = (),
    ) -> Box | None:
        """The best combination of the leaves `left`; `known` ones are compared first, so that the search can leave out more."""
        search = Search(
            self._leaves.codes[left], state.gains[left][:, columns], state.grid[columns], self._prices, fixed=fixed
        )
        box = search.run(known=self._known(state, left, known), whole=whole)
        self.compared += search.compared
        return box

    def _known(self, state: _State, left: Mask, known: Sequence[Box]) -> Box | None:
        best: Box | None = None
        for box in known:
            own = self._inside(box) & left
            sums = state.gains[own].sum(axis=0, dtype=np.float64)
            price = self._prices.of([attribute for attribute, _ in box.pairs], float(own.sum()))
            column = int(np.argmax(sums))
            again = Box(box.pairs, float(sums[column]), price, float(state.grid[column]))
            if best is None or again.net > best.net:
                best = again
        return best

    def _apart(self, state: _State, box: Box, free: Mask, depth: int) -> list[Box]:
        """The box, or its parts where they explain more at the box's own multiplier.

        At its own: a part that another multiplier fits better belongs to a second cause that overlaps, and is no reason to take this one apart.
        """
        if depth == 0:
            return [box]
        column = int(np.argmin(np.abs(state.grid - box.multiplier)))
        parts = self._parts(state, box, free, slice(column, column + 1))
        if sum(part.net for part in parts) <= box.net * PARTS_BETTER:
            return [box]
        finer: list[Box] = []
        left = free.copy()
        for part in parts:
            refitted = self._best(state, left & self._inside(part), fixed=part.pairs)
            if refitted is None:
                continue
            for piece in self._apart(state, refitted, left, depth - 1):
                finer.append(piece)
                left &= ~self._inside(piece)
        return finer if sum(part.net for part in finer) > box.net * PARTS_BETTER else [box]

    def _parts(self, state: _State, box: Box, free: Mask, columns: slice) -> list[Box]:
        left = free & self._inside(box)
        parts: list[Box] = []
        while len(parts) < MOST_CAUSES and left.any():
            part = self._best(state, left, fixed=box.pairs, whole=False, columns=columns)
            if part is None:
                break
            parts.append(part)
            left &= ~self._inside(part)
        return parts

    def _polished(self, state: _State) -> list[Box]:
        """Each cause looked for again given the others; one that they leave nothing for is dropped.

        One that lies within another stays where it changed quite otherwise, and is a part of the other where it did not.
        """
        found = list(state.found)
        at = 0
        while at < len(found):
            around = [other for other in found if _lies_within(found[at], other)]
            if any(_alike_in_size(found[at], other) for other in around):
                del found[at]
                continue
            if around:
                at += 1
                continue
            left = self._everywhere
            for other, box in enumerate(found):
                if other != at:
                    left &= ~self._inside(box)
            better = self._best(state, left, known=[found[at]]) if left.any() else None
            encloses = better is not None and any(_lies_within(other, better) for other in found)
            if better is None or (encloses and better.net < AROUND_PRICE):
                del found[at]
                continue
            found[at] = better
            at += 1
        return found

    def _inside(self, box: Box) -> Mask:
        inside = self._everywhere
        for attribute, value in box.pairs:
            inside &= self._leaves.codes[:, attribute] == value
        return inside


def _lies_within(box: Box, other: Box) -> bool:
    return box is not other and set(other.pairs) < set(box.pairs)


def _alike_in_size(box: Box, other: Box) -> bool:
    return (
        abs(math.log(box.multiplier / other.multiplier)) < math.log(OTHERWISE)
        or abs(box.multiplier - other.multiplier) < APART
    )


def _alike(held: tuple[Noise, Bias, Array], state: _State) -> bool:
    """Whether the noise stayed as it was, so that another pass would find the same."""
    noise, bias, _ = held
    return (
        abs(math.log(noise.tau / state.noise.tau)) < 0.1
        and (noise.phi, noise.tail) == (state.noise.phi, state.noise.tail)
        and abs(noise.level - state.noise.level) < 0.003
        and abs(bias.spread - state.bias.spread) < 0.003
    )
