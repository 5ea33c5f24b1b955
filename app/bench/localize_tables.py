"""Labelled tables in the style of the published benchmarks of multidimensional root causes, drawn by seed.

Each family follows a description, never a copied file: `horizontal` is Squeeze's B family (Li et al., ISSRE 2019; one attribute's ripple: all
leaves of a cause change by one factor, 1 to 3 causes in cuboids of 1 to 3 attributes, long-tailed forecasts of which most are 0 or 1, relative
noise), `spread` breaks its assumption (leaves of a cause differ), `risk` and `leaf` are RiskLoc's S and L (Kalander 2022: Weibull sizes, up to a
quarter of zero rows, up to 25 % noise, causes of any depth; single leaves), `counts` are Poisson or overdispersed, `ratio` is a derived measure,
`tails` has Student noise with 3 degrees of freedom, `biased` a forecast that is wrong by 2 % for each attribute value, `small` tables of
tens to hundreds of rows, `clean` no cause at all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Combination = frozenset[tuple[int, int]]


class LabelledTable(NamedTuple):
    """Leaf rows; `truth` holds the causes as (attribute, value) pairs. Totals are None where the measure is no ratio."""

    codes: Codes
    actual: Array
    expected: Array
    truth: frozenset[Combination]
    actual_total: Array | None = None
    expected_total: Array | None = None


def horizontal(seed: int, noise: float, *, spread: float = 0.0, rise: bool = False) -> LabelledTable:
    """6 x 35 x 10 x 10 leaves as in B0; causes by turns: 1 to 3 of them, 1 to 3 attributes each."""
    rng = np.random.default_rng(seed)
    codes, expected = _long_tailed(rng, (6, 35, 10, 10))
    actual = expected * np.maximum(1 + rng.normal(0, noise, len(expected)), 0)
    truth: set[Combination] = set()
    while len(truth) < 1 + seed // 3 % 3:
        cause, inside = _cause(rng, codes, 1 + seed % 3)
        if expected[inside].sum() < 0.0015 * expected.sum() or cause in truth:
            continue
        lost = rng.uniform(0.15 + 2 * noise, 1) * (-2 if rise else 1)
        kept = np.maximum(
            (1 - lost - rng.normal(0, spread, inside.sum())) * (1 + rng.normal(0, noise, inside.sum())), 0
        )
        actual[inside] = expected[inside] * kept
        truth.add(cause)
    return LabelledTable(codes, actual, expected, frozenset(truth))


def risk(seed: int, *, leaf: bool = False) -> LabelledTable:
    """RiskLoc's S, or with `leaf` its L. Affected rows carry no noise of their own, as published."""
    rng = np.random.default_rng(seed)
    codes = _all((10, 24, 10, 15) if leaf else (10, 12, 10, 8, 5))
    noise, zeros = rng.uniform(0, 0.1 if leaf else 0.25), rng.uniform(0, 0.25)
    actual = rng.weibull(rng.uniform(0.5, 1), len(codes)) * 100 * (rng.uniform(size=len(codes)) > zeros)
    expected = np.maximum(actual * (1 + rng.normal(0, noise, len(codes))), 0)
    swapped = rng.integers(0, 2, len(codes)) == 1
    actual, expected = np.where(swapped, expected, actual), np.where(swapped, actual, expected)
    rises = actual.sum() > expected.sum()
    truth: set[Combination] = set()
    for _ in range(int(rng.integers(1, 6 if leaf else 4))):
        depth = codes.shape[1] if leaf else int(rng.integers(1, codes.shape[1] + 1))
        attributes = _attributes(rng, codes, depth)
        severity, spread = rng.uniform(0.5 if leaf else 0.2, 1) + noise, 0 if leaf else rng.uniform(0, 0.1)
        for _ in range(1 if leaf else int(rng.integers(1, 4))):
            cause, inside = _cause(rng, codes, depth, attributes)
            if not np.any(actual[inside] * expected[inside] > 0) or _touches(cause, truth):
                continue
            kept = np.maximum(1 - rng.normal(severity, spread, inside.sum()), 0)
            if rises:
                expected[inside] = actual[inside] * kept
            else:
                actual[inside] = expected[inside] * kept
            truth.add(cause)
    return LabelledTable(codes, actual, expected, frozenset(truth))


def counts(
    seed: int, mean: float, overdispersion: float = 1.0, *, sizes: tuple[int, ...] = (12, 4, 8, 6)
) -> LabelledTable:
    """1 to 3 causes, drops and rises, each with the evidence to be found (25 nats)."""
    rng = np.random.default_rng(seed)
    codes = _all(sizes)
    expected = np.exp(
        sum(rng.normal(0, 0.7, size)[codes[:, at]] for at, size in enumerate(sizes)) + rng.normal(0, 0.5, len(codes))
    )
    expected *= mean / expected.mean()
    due, truth = expected.copy(), set[Combination]()
    wanted = int(rng.integers(1, 4))
    for _ in range(200):
        cause, inside = _cause(rng, codes, int(rng.integers(1, 4)))
        lost = rng.uniform(0.2, 1)
        if len(truth) == wanted or expected[inside].sum() * lost**2 / 2 < 25 * overdispersion or _touches(cause, truth):
            continue
        due[inside] *= 1 - lost if rng.uniform() < 0.8 else 1 + 2 * lost
        truth.add(cause)
    return LabelledTable(codes, _drawn(rng, due, overdispersion), expected, frozenset(truth))


def ratio(seed: int) -> LabelledTable:
    """Successes of trials; the mix of trials moves, causes change the ratio."""
    rng = np.random.default_rng(seed)
    planned = counts(seed, 2000.0)
    shares = np.clip(0.04 * np.exp(rng.normal(0, 0.4, len(planned.codes))), 0, 0.5)
    trials = rng.poisson(planned.expected * np.exp(rng.normal(0, 0.4, len(planned.codes)))).astype(np.float64)
    factor = np.ones(len(planned.codes))
    truth = set[Combination]()
    for cause in planned.truth:
        inside = _inside(planned.codes, cause)
        lost = rng.uniform(0.3, 1)
        if (trials * shares)[inside].sum() * lost**2 / 2 >= 25:
            factor[inside] *= 1 - lost
            truth.add(cause)
    actual = rng.binomial(trials.astype(np.int64), np.clip(shares * factor, 0, 1)).astype(np.float64)
    return LabelledTable(planned.codes, actual, planned.expected * shares, frozenset(truth), trials, planned.expected)


def tails(seed: int) -> LabelledTable:
    """4 % Student noise with 3 degrees of freedom on everything."""
    table = horizontal(seed, 1e-9)
    stray = 1 + 0.04 * np.random.default_rng(seed + 1).standard_t(3, len(table.actual))
    return table._replace(actual=np.maximum(table.actual * stray, 0))


def biased(seed: int) -> LabelledTable:
    """4 % noise, and a forecast that is off by 2 % for each value of each attribute."""
    table = horizontal(seed, 0.04)
    rng = np.random.default_rng(seed + 1)
    off = sum(rng.normal(0, 0.02, column.max() + 1)[column] for column in table.codes.T)
    return table._replace(actual=table.actual * np.exp(off))


def small(seed: int) -> LabelledTable:
    """2 to 4 attributes of 2 to 5 values, counts."""
    sizes = np.random.default_rng(seed).integers(2, 6, 2 + seed % 3)
    return counts(seed, 80.0, sizes=tuple(int(size) for size in sizes))


def clean(seed: int) -> LabelledTable:
    """Noise alone: half of them relative, half Poisson."""
    rng = np.random.default_rng(seed)
    codes, expected = _long_tailed(rng, (6, 35, 10, 10))
    drawn = expected * np.maximum(1 + rng.normal(0, 0.06, len(expected)), 0) if seed % 2 else rng.poisson(expected)
    return LabelledTable(codes, np.asarray(drawn, dtype=np.float64), expected, frozenset())


FAMILIES: Final[dict[str, Callable[[int], LabelledTable]]] = {
    "horizontal 0.8 %": lambda seed: horizontal(seed, 0.008),
    "horizontal 4 %": lambda seed: horizontal(seed, 0.04),
    "horizontal 8 %": lambda seed: horizontal(seed, 0.08),
    "horizontal 12 %, rises": lambda seed: horizontal(seed, 0.12, rise=True),
    "spread": lambda seed: horizontal(seed, 0.04, spread=0.1),
    "risk": risk,
    "leaf": lambda seed: risk(seed, leaf=True),
    "counts of 3": lambda seed: counts(seed, 3.0),
    "counts of 30": lambda seed: counts(seed, 30.0),
    "counts, overdispersed": lambda seed: counts(seed, 200.0, 2.5),
    "ratio": ratio,
    "tails": tails,
    "biased": biased,
    "small": small,
    "clean": clean,
}


def _all(sizes: tuple[int, ...]) -> Codes:
    return np.array(list(product(*(range(size) for size in sizes))), dtype=np.int64)


def _long_tailed(rng: np.random.Generator, sizes: tuple[int, ...]) -> tuple[Codes, Array]:
    codes = _all(sizes)
    size = sum(rng.normal(0, 1.3, n)[codes[:, at]] for at, n in enumerate(sizes)) + rng.normal(0.3, 1.2, len(codes))
    size = size + rng.normal(0, 1, sizes[:2])[codes[:, 0], codes[:, 1]]
    return codes, np.minimum(np.floor(np.exp(size)), 5000.0)


def _attributes(rng: np.random.Generator, codes: Codes, depth: int) -> Codes:
    return np.sort(rng.choice(codes.shape[1], min(depth, codes.shape[1]), replace=False)).astype(np.int64)


def _cause(
    rng: np.random.Generator, codes: Codes, depth: int, attributes: Codes | None = None
) -> tuple[Combination, npt.NDArray[np.bool_]]:
    chosen = _attributes(rng, codes, depth) if attributes is None else attributes
    row = codes[rng.integers(len(codes))]
    cause = frozenset((int(at), int(row[at])) for at in chosen)
    return cause, _inside(codes, cause)


def _inside(codes: Codes, cause: Combination) -> npt.NDArray[np.bool_]:
    inside = np.ones(len(codes), dtype=np.bool_)
    for attribute, value in cause:
        inside &= codes[:, attribute] == value
    return inside


def _touches(cause: Combination, others: set[Combination]) -> bool:
    """Whether a row can lie in the cause and in another: none differs from it in an attribute that both name."""
    return any(not any(dict(cause).get(a, v) != v for a, v in other) for other in others)


def _drawn(rng: np.random.Generator, mean: Array, overdispersion: float) -> Array:
    if overdispersion == 1:
        return rng.poisson(mean).astype(np.float64)
    size = np.maximum(mean, 1e-9) / (overdispersion - 1)
    return rng.negative_binomial(size, 1 / overdispersion).astype(np.float64)
