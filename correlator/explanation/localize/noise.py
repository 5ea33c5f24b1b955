"""How far leaves stray from their forecast when nothing is wrong, and what a multiplier is worth against that.

A leaf with forecast f varies by phi * f (counting, with overdispersion phi) plus (tau * f) squared (the forecast's own error). The
deviance of a multiplier m is the negative-binomial one in units of phi: y log(y/mu) - (y+r) log((y+r)/(mu+r)), y = actual/phi,
mu = m f / phi, r = 1/tau^2 (McCullagh & Nelder 1989, 8.2, 9.2.4): Poisson where tau is small, gamma where counts are large. Tails are
Student's, with as many degrees of freedom as the leaves show, so that no single leaf outvotes a combination where leaves stray far.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Candidates of the fit. Nobody forecasts better than LEAST_TAU.
LEAST_TAU = 0.003
TAUS = np.geomspace(LEAST_TAU, 0.8, 22)
TAILS = (2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 200.0)
OVERDISPERSIONS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
FLOAT_UNITS = (1e-6, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Leaves that the fit looks at, at most.
SAMPLE = 5000
#: Neighbouring leaves are pooled until this much is expected before overdispersion is judged: single sparse counts cannot tell it.
POOLED = 25.0


class Noise(NamedTuple):
    """`phi`: variance over mean of the counting part (in the measure's unit), `tau`: relative error of the forecast, `tail`: degrees of
    freedom of Student's law, `level`: what unaffected leaves are of their forecast (1 when it has no bias)."""

    phi: float
    tau: float
    tail: float
    level: float = 1.0


QUIET = Noise(1.0, LEAST_TAU, TAILS[-1])


def fit(actual: Array, expected: Array, *, whole: bool) -> Noise:
    """The noise of leaves of which most are unaffected, by penalised maximum likelihood: plain noise unless the leaves say otherwise.

    Args:
        actual, expected: one value per leaf; expected > 0 or < 0.
        whole: counts, whose overdispersion is at least 1.
    """
    if len(actual) == 0:
        return QUIET
    if whole:
        a, f = pooled(actual, expected)
        units: tuple[float, ...] = OVERDISPERSIONS
    else:
        chosen = _sample(len(actual))
        a, f = actual[chosen], expected[chosen]
        typical = float(np.median(np.abs(expected)))
        units = tuple(typical * unit for unit in FLOAT_UNITS)
    best = (-np.inf, QUIET)
    for phi in units:
        variance = phi * np.abs(f)[None, :] + (TAUS[:, None] * f[None, :]) ** 2
        squared = (a - f)[None, :] ** 2 / variance
        scale = np.log(variance).sum(axis=1) / 2
        for tail in TAILS:
            constant = float(gammaln((tail + 1) / 2) - gammaln(tail / 2) - math.log(tail) / 2)
            likelihood = len(a) * constant - (tail + 1) / 2 * np.log1p(squared / tail).sum(axis=1) - scale
            likelihood -= (math.log(TAILS[-1] / tail) + 6 * np.log1p(TAUS / 0.05)) + (
                1.5 * math.log(phi) if whole else 0.0
            )
            at = int(np.argmax(likelihood))
            if likelihood[at] > best[0]:
                best = (float(likelihood[at]), Noise(phi, float(TAUS[at]), tail))
    return best[1]


def _sample(size: int) -> npt.NDArray[np.int64]:
    if size <= SAMPLE:
        return np.arange(size)
    return np.random.default_rng(0).choice(size, SAMPLE, replace=False)


def log_likelihood(actual: Array, mean: Array, noise: Noise) -> float:
    """Of all leaves, constants included: what makes two descriptions of one table comparable."""
    scale = np.log(noise.phi * np.abs(mean) + (noise.tau * mean) ** 2) / 2
    constant = float(gammaln((noise.tail + 1) / 2) - gammaln(noise.tail / 2) - math.log(noise.tail) / 2)
    return float(len(actual) * constant - (surprise(actual, mean, noise) + scale).sum())


def pooled(actual: Array, expected: Array) -> tuple[Array, Array]:
    """Neighbouring leaves summed until POOLED is expected; large leaves stay alone."""
    group = np.floor(np.cumsum(np.abs(expected)) / POOLED).astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    sums: Array = np.bincount(group, expected).astype(np.float64)
    kept = np.abs(sums) >= POOLED / 2
    if not kept.any():
        return np.array([actual.sum()]), np.array([expected.sum()])
    return np.bincount(group, actual).astype(np.float64)[kept], sums[kept]


def surprise(actual: Array, mean: Array, noise: Noise) -> Array:
    """Minus the log-likelihood of each leaf given its mean, up to what does not depend on the mean, in nats."""
    deviance = np.where((actual < 0) | (mean < 0), _gaussian(actual, mean, noise), _counting(actual, mean, noise))
    heavy: Array = (noise.tail + 1) / 2 * np.log1p(2 * deviance / noise.tail)
    return heavy


def _counting(actual: Array, mean: Array, noise: Noise) -> Array:
    y = np.maximum(actual, 0.0) / noise.phi
    mu = np.maximum(mean, 1e-12) / noise.phi
    r = 1 / noise.tau**2
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(y > 0, y * np.log(y / mu), 0.0)
    deviance: Array = np.maximum(seen - (y + r) * np.log((y + r) / (mu + r)), 0.0)
    return deviance


def _gaussian(actual: Array, mean: Array, noise: Noise) -> Array:
    size = np.abs(mean)
    variance = noise.phi * size + (noise.tau * np.maximum(size, np.abs(actual))) ** 2
    deviance: Array = (actual - mean) ** 2 / (2 * np.maximum(variance, 1e-12))
    return deviance
