"""What a forecast gets wrong without anything being broken: a level, and a few per cent for each attribute value.

Forecasts err together: all leaves of a country are 3 % high because its trend was missed. Leaf by leaf that is within the noise, over a
thousand leaves it is "certain". So each value's own bias is estimated (medians, fitted in turn: Tukey's median polish), shrunk by
how far values scatter, and taken out; a value that lies far outside its siblings' scatter keeps its deviation, for that is a finding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from correlator.explanation.localize.leaves import Codes
from correlator.explanation.localize.noise import Array, Mask, Noise, surprise

#: A level up to this far from 1 (log units) is the forecast's bias; beyond it, the finding "everything".
MOST_LEVEL = 0.06
#: Nats that a level must save over 5,000 leaves before there is one.
LEVEL_PRICE = 5.0
#: Values whose bias scatters less than this many standard errors have none.
SCATTERED = 1.6
#: A value this many standard deviations out is a finding and keeps its deviation.
OUTSIDE = 4.5
#: Leaves a value needs for its median, values a table needs, and sweeps of the polish.
LEAVES, VALUES, SWEEPS = 8, 6, 5
#: Relative variance of a leaf from which its ratio says too little.
VAGUE = 0.25


class Bias(NamedTuple):
    """`of`: log bias by leaf. `spread`: standard deviation of values' biases, 0 where there is none."""

    of: Array
    spread: float = 0.0


def level_of(actual: Array, expected: Array, noise: Noise) -> float:
    """What unaffected leaves are of their forecast, 1 where it is too far off to be a bias."""
    if len(actual) < 10:
        return 1.0
    chosen = np.linspace(0, len(actual) - 1, min(len(actual), 5000)).astype(np.int64)
    grid = np.exp(np.linspace(-2 * MOST_LEVEL, 2 * MOST_LEVEL, 49))
    costs = np.array([surprise(actual[chosen], expected[chosen] * level, noise).sum() for level in grid])
    best = int(np.argmin(costs))
    unbiased = costs[best] > costs[len(grid) // 2] - LEVEL_PRICE
    return 1.0 if unbiased or abs(np.log(grid[best])) > MOST_LEVEL else float(grid[best])


def biases(codes: Codes, actual: Array, expected: Array, *, noise: Noise, free: Mask) -> Bias:
    """The bias of every leaf's forecast, from the leaves `free` of causes."""
    none = Bias(np.zeros(len(expected)))
    variance = noise.tau**2 + noise.phi / np.maximum(np.abs(expected), 1e-12)
    told = free & (actual > 0) & (expected > 0) & (variance < VAGUE)
    if int(told.sum()) < LEAVES * VALUES:
        return none
    ratios = np.log(actual[told] / (expected[told] * noise.level))
    cells = _cells(codes[told], variance[told])
    if len(cells) < VALUES:
        return none
    errors = np.array([cell.error for cell in cells])
    found = _polished(ratios, cells, errors)
    if found is None:
        return none
    spread = float(np.sqrt(max(np.median(found**2) / 0.4549 - np.median(errors**2), 1e-12)))
    of = np.zeros(len(expected))
    for cell, bias in zip(cells, found, strict=True):
        if abs(bias) < OUTSIDE * np.hypot(spread, cell.error):
            of[codes[:, cell.attribute] == cell.value] += bias * spread**2 / (spread**2 + cell.error**2)
    return Bias(of, spread)


class _Cell(NamedTuple):
    attribute: int
    value: int
    rows: Codes
    error: float


def _cells(codes: Codes, variance: Array) -> list[_Cell]:
    """The attribute values with enough leaves; the standard error of a median is 1.25 times that of a mean."""
    cells = []
    for attribute in range(codes.shape[1]):
        column = codes[:, attribute]
        leaves = np.bincount(column)
        sums = np.bincount(column, variance)
        order = np.argsort(column, kind="stable")
        starts = np.concatenate(([0], np.cumsum(leaves)))
        cells += [
            _Cell(attribute, int(v), order[starts[v] : starts[v + 1]], float(1.25 * np.sqrt(sums[v]) / leaves[v]))
            for v in np.flatnonzero(leaves >= LEAVES)
        ]
    return cells


def _polished(ratios: Array, cells: list[_Cell], errors: Array) -> Array | None:
    """Each cell's bias beside its attribute's median; None where cells scatter no more than their errors."""
    left = ratios.copy()
    found = np.zeros(len(cells))
    for sweep in range(SWEEPS):
        for at, cell in enumerate(cells):
            step = float(np.median(left[cell.rows]))
            left[cell.rows] -= step
            found[at] += step
        if sweep == 0 and 1.4826 * np.median(np.abs(found - np.median(found)) / errors) < SCATTERED:
            return None
    attributes = np.array([cell.attribute for cell in cells])
    for attribute in np.unique(attributes):
        found[attributes == attribute] -= np.median(found[attributes == attribute])
    return found
