"""Where it broke: the combination of campaign x device x page x platform x account x browser that explains best (design §7.5; theory.md 0.9).

An exhaustive likelihood-ratio scan over combinations. Each observed thing adds its part: conversions missing (Poisson), traces failing,
requests waiting, hits lost (Bernoulli), clicks in excess (Poisson). A combination pays for what it says, ln(number of values) + 1 nats
per value named, so the simplest one that explains as much wins: a device rather than the list of its browsers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DIMENSIONS: tuple[str, ...] = ("campaign", "device", "page", "platform", "account", "browser")
MOST_CONDITIONS = 3
#: Combinations that are tried to be widened by further values.
BEAM = 12
#: Share of the best score that a simpler combination may lack.
ALMOST_AS_GOOD = 0.05
#: A usual share is believed to lie between these.
LEAST_USUAL, MOST_USUAL = 0.001, 0.95


class Channel(NamedTuple):
    """One kind of evidence by cell. `drop`: fewer than due; `share`: hits among trials above `usual`; `rise`: more than due."""

    kind: str
    hits: Array
    trials: Array  # expected count for drop and rise
    usual: float | Array = 0.0  # of all cells, or by cell
    known: Array | None = None  # drop: conversions that the level of each cell rests on; none = the level is certain
    dispersion: float = 1.0  # nats are divided by it


class Finding(NamedTuple):
    """A combination, its penalised score in nats, and the gain before the penalty."""

    scope: dict[str, tuple[str, ...]]
    score: float
    gain: float


def as_text(scope: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """The scope as it travels: several values of a dimension joined by commas."""
    return {name: ",".join(values) for name, values in scope.items()}


def scan(
    values: Mapping[str, Sequence[str]],
    channels: Sequence[Channel],
    *,
    most: int = 5,
    alarmed: Mask | None = None,
) -> list[Finding]:
    """The best combinations, best first.

    Args:
        values: dimension -> value of every cell.
        channels: what was seen in every cell.
        most: how many are returned.
        alarmed: cells that the detector raised the alarm for, which saw more than these channels: that combination pays no price.
    """
    coded = {name: np.unique(np.asarray(cells, dtype=object), return_inverse=True) for name, cells in values.items()}
    coded = {name: pair for name, pair in coded.items() if len(pair[0]) > 1}
    size = len(next(iter(values.values()), []))
    table = _Table(
        {name: (list(map(str, names)), codes) for name, (names, codes) in coded.items()}, list(channels), size
    )
    found = [Finding({}, table.gain(np.ones(size, dtype=np.bool_)), table.gain(np.ones(size, dtype=np.bool_)))]
    for number in range(1, MOST_CONDITIONS + 1):
        for names in combinations(coded, number):
            found += table.single_values(names)
    found.sort(key=lambda f: f.score, reverse=True)
    found += [table.widen(finding) for finding in found[:BEAM]] + table.value_sets()
    found = [f._replace(score=f.gain) if alarmed is not None and table.is_exactly(f, alarmed) else f for f in found]
    found.sort(key=lambda f: f.score, reverse=True)
    return _simplest_first(_distinct(found))[:most]


def _simplest_first(found: list[Finding]) -> list[Finding]:
    """The finding with the fewest values among those that explain about as much as the best moves to the front.

    With very many observations every accident of the draw pays for one more condition; nobody wants to read them.
    """
    enough = found[0].score - ALMOST_AS_GOOD * max(found[0].score, 0.0)
    near = [f for f in found if f.score >= enough]
    chosen = min(near, key=lambda f: (sum(len(values) for values in f.scope.values()), -f.score))
    return [chosen, *(f for f in found if f is not chosen)]


def _distinct(found: list[Finding]) -> list[Finding]:
    seen: set[tuple[tuple[str, tuple[str, ...]], ...]] = set()
    kept = []
    for finding in found:
        key = tuple(sorted(finding.scope.items()))
        if key not in seen:
            seen.add(key)
            kept.append(finding)
    return kept


class _Table:
    def __init__(
        self, coded: dict[str, tuple[list[str], npt.NDArray[np.intp]]], channels: list[Channel], size: int
    ) -> None:
        self._coded = coded
        self._channels = channels
        self._size = size

    def gain(self, chosen: Mask) -> float:
        everything = np.zeros(int(chosen.sum()), dtype=np.int64)
        return float(sum(_gain_of_groups(c, everything, chosen).sum() for c in self._channels))

    def single_values(self, names: tuple[str, ...]) -> list[Finding]:
        """Every combination of one value of each of `names` that occurs."""
        groups, first = _groups([self._coded[name][1] for name in names], self._size)
        gains = sum(_gain_of_groups(c, groups, np.ones(self._size, dtype=np.bool_)) for c in self._channels)
        cost = sum(self._price(name) for name in names)
        order = np.argsort(-np.asarray(gains))[: 2 * BEAM]
        return [
            Finding(
                {name: (self._coded[name][0][self._coded[name][1][first[g]]],) for name in names},
                float(np.asarray(gains)[g]) - cost,
                float(np.asarray(gains)[g]),
            )
            for g in order
            if np.asarray(gains)[g] > 0
        ]

    def widen(self, finding: Finding) -> Finding:
        """Add values of the finding's own dimensions while that pays."""
        best = finding
        for _ in range(8):
            tried = [
                self._with(best, name, value)
                for name in best.scope
                for value in self._coded[name][0]
                if value not in best.scope[name]
            ]
            better = max(tried, key=lambda f: f.score, default=best)
            if better.score <= best.score:
                return best
            best = better
        return best

    def value_sets(self) -> list[Finding]:
        """Sets of values of one dimension, alone or within one value of another: all that stand out by themselves, pooled."""
        found = []
        for name in self._coded:
            contexts: list[dict[str, tuple[str, ...]]] = [{}]
            contexts += [{other: (v,)} for other in self._coded if other != name for v in self._coded[other][0]]
            for context in contexts:
                alone = [(v, self._finding({**context, name: (v,)})) for v in self._coded[name][0]]
                outstanding = tuple(v for v, f in alone if f.gain > self._price(name) + math.log(self._size) / 2)
                if 1 < len(outstanding) < len(self._coded[name][0]):
                    found.append(self._finding({**context, name: outstanding}))
        return found

    def _with(self, finding: Finding, name: str, value: str) -> Finding:
        return self._finding({**finding.scope, name: tuple(sorted((*finding.scope[name], value)))})

    def is_exactly(self, finding: Finding, cells: Mask) -> bool:
        """Whether a finding holds these cells and no others."""
        return bool((self._chosen(finding.scope) == cells).all())

    def _chosen(self, scope: dict[str, tuple[str, ...]]) -> Mask:
        chosen = np.ones(self._size, dtype=np.bool_)
        for name, wanted in scope.items():
            names, codes = self._coded[name]
            chosen &= np.isin(codes, [names.index(v) for v in wanted])
        return chosen

    def _finding(self, scope: dict[str, tuple[str, ...]]) -> Finding:
        gain = self.gain(self._chosen(scope))
        return Finding(scope, gain - sum(self._price_of(name, v) for name, v in scope.items()), gain)

    def _price_of(self, name: str, wanted: tuple[str, ...]) -> float:
        """Every further value of a list is a cause of its own: half ln(cells) more, as for a further parameter (BIC)."""
        return self._price(name) * len(wanted) + (len(wanted) - 1) * math.log(max(self._size, 2)) / 2

    def _price(self, name: str) -> float:
        return math.log(len(self._coded[name][0])) + 1


def _groups(codes: list[npt.NDArray[np.intp]], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Group number of every cell, and one cell of every group."""
    joined = np.zeros(size, dtype=np.int64)
    for code in codes:
        joined = joined * (int(code.max(initial=0)) + 1) + code
    _, first, groups = np.unique(joined, return_index=True, return_inverse=True)
    return groups.astype(np.int64), first.astype(np.int64)


def _gain_of_groups(channel: Channel, groups: npt.NDArray[np.int64], chosen: Mask) -> Array:
    """Log-likelihood ratio of each group of the chosen cells at its own best size against nothing wrong."""
    hits, trials = (np.bincount(groups, c[chosen]).astype(np.float64) for c in (channel.hits, channel.trials))
    if channel.kind == "share":
        usual = np.bincount(groups, np.broadcast_to(channel.usual, channel.hits.shape)[chosen] * channel.trials[chosen])
        gain = _gain_of_shares(hits, trials, usual / np.maximum(trials, 1e-9))
    else:
        gain = _gain_of_counts(hits, trials, sign=-1 if channel.kind == "drop" else 1)
    if channel.known is not None:
        # The level is itself an estimate: its variance adds to that of the count.
        gain = gain / (1 + trials / np.maximum(np.bincount(groups, channel.known[chosen]), 1e-9))
    found: Array = gain / channel.dispersion
    return found


def _gain_of_shares(hits: Array, trials: Array, usual: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(hits / np.maximum(trials, 1e-9), 1e-9, 1 - 1e-9)
        usual = np.clip(usual, LEAST_USUAL, MOST_USUAL)
        gain = hits * np.log(share / usual) + (trials - hits) * np.log((1 - share) / (1 - usual))
    counted: Array = np.where(share > usual, gain, 0.0)
    return counted


def _gain_of_counts(hits: Array, due: Array, *, sign: int) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = hits / np.maximum(due, 1e-9)
        gain = np.where(hits > 0, hits * np.log(np.maximum(ratio, 1e-12)), 0.0) - (hits - due)
    counted: Array = np.where(sign * (ratio - 1) > 0, gain, 0.0)
    return counted
