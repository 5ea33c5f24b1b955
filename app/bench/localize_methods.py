"""What `clicktrace localize` is measured beside: two published methods, written anew from their papers' descriptions.

Adtributor (Bhagwan et al., NSDI 2014): one attribute; its values by surprise until they explain enough. Squeeze (Li et al., ISSRE 2019):
leaves clustered by deviation score, each cluster explained by the cuboid whose values reproduce it best (generalised potential score).
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from app.bench.localize_tables import Array, Codes, Combination, LabelledTable
from correlator.explanation.localize.causes import explain
from correlator.explanation.localize.leaves import Leaves, Measure, leaves_of

#: Adtributor's thresholds as published: explanatory power of the set and of each element.
SET_POWER: Final = 0.67
ELEMENT_POWER: Final = 0.1
#: Squeeze: bins of the deviation scores, good enough, values of a cuboid that are tried, price of a value and attribute.
BINS: Final = 60
ENOUGH: Final = 0.9
VALUES: Final = 8
SUCCINCT: Final = 0.01


def clicktrace(table: LabelledTable) -> list[Combination]:
    """The product's own answer, best first."""
    leaves = as_leaves(table)
    found = []
    for box in explain(leaves).causes:
        found.append(frozenset((int(leaves.names[a]), int(leaves.values[a][v])) for a, v in box.pairs))
    return found


def as_leaves(table: LabelledTable) -> Leaves:
    """The table through the door that files take."""
    columns = {str(at): [str(code) for code in column] for at, column in enumerate(table.codes.T)}
    columns |= {"actual": _cells(table.actual), "expected": _cells(table.expected)}
    if table.actual_total is None or table.expected_total is None:
        return leaves_of(columns, Measure(actual="actual", expected="expected"))
    columns |= {"trials": _cells(table.actual_total), "expected trials": _cells(table.expected_total)}
    measure = Measure(actual="actual", expected="expected", actual_total="trials", expected_total="expected trials")
    return leaves_of(columns, measure)


def _cells(values: Array) -> list[str]:
    return [repr(float(value)) for value in values]


def adtributor(table: LabelledTable) -> list[Combination]:
    """The attribute with the most surprise, and its values."""
    actual, expected = _compared(table)
    gap = actual.sum() - expected.sum()
    best: tuple[float, list[Combination]] = (-1.0, [])
    for attribute, column in enumerate(table.codes.T):
        a, f = np.bincount(column, actual), np.bincount(column, expected)
        surprise = _surprise(f / max(expected.sum(), 1e-12), a / max(actual.sum(), 1e-12))
        power = (a - f) / gap if gap else np.zeros(len(a))
        chosen: list[int] = []
        for value in np.argsort(-surprise):
            if power[value] > ELEMENT_POWER:
                chosen.append(int(value))
            if power[chosen].sum() > SET_POWER:
                break
        if power[chosen].sum() > SET_POWER and surprise[chosen].sum() > best[0]:
            best = (float(surprise[chosen].sum()), [frozenset({(attribute, value)}) for value in chosen])
    return best[1]


def _surprise(prior: Array, posterior: Array) -> Array:
    """Half the Jensen-Shannon divergence of each value (equation 3 of the paper)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = prior + posterior
        first = np.where(prior > 0, prior * np.log(2 * prior / middle), 0.0)
        second = np.where(posterior > 0, posterior * np.log(2 * posterior / middle), 0.0)
    half: Array = (first + second) / 2
    return half


def squeeze(table: LabelledTable) -> list[Combination]:
    """Bottom up: clusters of deviating leaves; top down: the cuboid values behind each."""
    actual, expected = _compared(table)
    total = np.abs(actual) + np.abs(expected)
    score = np.divide(2 * (expected - actual), total, out=np.zeros(len(total)), where=total > 0)
    abnormal = _abnormal(np.abs(expected - actual))
    found: list[Combination] = []
    for members in _clusters(score, abnormal):
        found += [
            cause for cause in _explained(table.codes, actual, expected, members, ~abnormal) if cause not in found
        ]
    return found


def _compared(table: LabelledTable) -> tuple[Array, Array]:
    if table.actual_total is None or table.expected_total is None:
        return table.actual, table.expected
    rate = np.divide(
        table.expected, table.expected_total, out=np.zeros(len(table.expected)), where=table.expected_total > 0
    )
    return table.actual, table.actual_total * rate


def _abnormal(gap: Array) -> npt.NDArray[np.bool_]:
    """Leaves beyond the knee of the sorted gaps: the point farthest from the chord."""
    order = np.sort(gap[gap > 0])
    if len(order) < 3:
        return gap > 0
    height = np.log(order)
    chord = np.linspace(height[0], height[-1], len(height))
    return np.asarray(gap >= order[int(np.argmax(np.abs(height - chord)))])


def _clusters(score: Array, abnormal: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """Ranges of deviation scores between the minima of their smoothed histogram."""
    density, edges = np.histogram(score[abnormal], bins=BINS, range=(-2, 2))
    smooth = np.convolve(density, [0.25, 0.5, 0.25], "same")
    cuts, last = [edges[0]], 0
    for at in range(1, BINS - 1):
        if smooth[at] <= smooth[at - 1] and smooth[at] < smooth[at + 1] and smooth[last : at + 1].max() > 0:
            cuts.append(edges[at])
            last = at
    cuts.append(edges[-1] + 1e-9)
    ranges = [abnormal & (score >= low) & (score < high) for low, high in pairwise(cuts)]
    return [members for members in ranges if members.sum() >= max(2, 0.01 * abnormal.sum())]


def _explained(
    codes: Codes, actual: Array, expected: Array, members: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_]
) -> list[Combination]:
    best: tuple[float, list[Combination]] = (-np.inf, [])
    for depth in range(1, codes.shape[1] + 1):
        for cuboid in combinations(range(codes.shape[1]), depth):
            score, causes = _cuboid(codes, cuboid, actual, expected, members, normal)
            if score > best[0]:
                best = (score, causes)
        if best[0] > ENOUGH:
            break
    return best[1]


def _cuboid(
    codes: Codes,
    cuboid: tuple[int, ...],
    actual: Array,
    expected: Array,
    members: npt.NDArray[np.bool_],
    normal: npt.NDArray[np.bool_],
) -> tuple[float, list[Combination]]:
    unique, group = np.unique(codes[:, cuboid], axis=0, return_inverse=True)
    group = group.ravel()
    inside = np.bincount(group, members, minlength=len(unique))
    outside = np.bincount(group, normal & (expected > 0), minlength=len(unique))
    order = np.argsort(
        -np.divide(inside, inside + outside, out=np.zeros(len(inside)), where=inside + outside > 0), kind="stable"
    )
    best: tuple[float, list[Combination]] = (-np.inf, [])
    chosen = np.zeros(len(unique), dtype=np.bool_)
    for number, value in enumerate(order[:VALUES], start=1):
        if inside[value] == 0:
            break
        chosen[value] = True
        score = _potential(chosen[group], actual, expected, members | normal) - SUCCINCT * number * len(cuboid)
        if score > best[0]:
            causes = [frozenset(zip(cuboid, map(int, unique[v]), strict=True)) for v in order[:number]]
            best = (score, causes)
    return best


def _potential(
    chosen: npt.NDArray[np.bool_], actual: Array, expected: Array, looked_at: npt.NDArray[np.bool_]
) -> float:
    """Generalised potential score (equation 6 of the paper)."""
    inside, outside = chosen & looked_at, ~chosen & looked_at
    if not inside.any():
        return -np.inf
    rippled = expected[inside] * actual[inside].sum() / max(expected[inside].sum(), 1e-12)
    left = np.abs(actual[outside] - expected[outside]).mean() if outside.any() else 0.0
    before = np.abs(actual[inside] - expected[inside]).mean()
    return float(1 - (np.abs(actual[inside] - rippled).mean() + left) / max(before + left, 1e-12))


METHODS: Final = {"clicktrace": clicktrace, "adtributor": adtributor, "squeeze": squeeze}
