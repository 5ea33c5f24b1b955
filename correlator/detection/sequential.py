"""The sequential test: mixture Shiryaev-Roberts e-detectors over many streams at once (theory.md 2.4, 2.6, 2.7).

An e-detector satisfies E[M at tau] <= E[tau] for every stopping time while all is healthy, so stopping at M >= c has a mean run
length of at least c, whatever the dependence (Shin, Ramdas, Rinaldo, arXiv 2203.03532). Averages of e-detectors are e-detectors: over
drop sizes, over the two hypotheses about time, and over streams. Everything is kept in logarithms: e^(d mu) of one busy minute
overflows a float.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from correlator.detection.bounds import DROPS, neutral_point

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LOG_KEPT = np.log1p(-np.asarray(DROPS))
_DROPS = np.asarray(DROPS)
#: Below this log value a detector starts again: it is as good as empty and would only lose precision.
EMPTY = -np.inf


def drop_log_ratios(observed: Array, expected: Array, *, dispersion: float = 1.0) -> Array:
    """log L(d) for every stream (first axes) and drop size (last axis).

    L(d) = (1-d)^c exp(d mu); its mean is at most 1 when the true mean is mu or more. Divided by the overdispersion `dispersion`, which
    restores control when counts vary more than Poisson (theory.md 2.6, measured).
    """
    ratios: Array = (observed[..., None] * _LOG_KEPT + expected[..., None] * _DROPS) / dispersion
    return ratios


def advance(log_values: Array, log_ratios: Array) -> Array:
    """One step of the Shiryaev-Roberts recursion M <- L (1 + M), in logarithms."""
    stepped: Array = np.logaddexp(0.0, log_values) + log_ratios
    return stepped


def usable_drops(baseline_error: Array) -> Mask:
    """Which components each stream may use: those whose neutral point its relative baseline error cannot reach (theory.md 2.4)."""
    room = np.asarray([1 - neutral_point(d) for d in DROPS])
    usable: Mask = baseline_error[:, None] < room
    return usable


def mixture(log_values: Array, usable: Mask) -> Array:
    """log of the mean over all components; one that may not be used counts as zero, which keeps the promise."""
    masked = np.where(usable, log_values, EMPTY)
    with np.errstate(divide="ignore"):
        mean: Array = logsumexp(masked, axis=-1) - np.log(masked.shape[-1])
    return mean


def cohort_log_values(
    observed: Array, expected: Array, weights_minutes: Array, *, active: Mask, dispersion: float = 1.0
) -> Array:
    """The detector for losses that hit new clicks only, per stream and drop size.

    Args:
        observed: conversions so far by stream and bucket of *click* time, oldest bucket first.
        expected: expected so far, same shape.
        weights_minutes: width of each bucket in minutes.
        active: buckets that count as possible onsets, by stream.

    Sum over possible onsets nu of prod over clicks since nu of L: each onset's product is an e-process, so the sum is an e-detector with
    one unit a minute. Needs no memory but the exposure itself.
    """
    # A log ratio is linear in both counts: they are summed from the newest bucket back once, not again for every drop size.
    observed_since = np.cumsum(observed[:, ::-1], axis=1)[:, ::-1] / dispersion
    expected_since = np.cumsum(expected[:, ::-1], axis=1)[:, ::-1] / dispersion
    onsets = np.where(active, np.log(weights_minutes)[None, :], EMPTY)
    return np.stack(
        [
            _log_sums(onsets + kept * observed_since + drop * expected_since)
            for drop, kept in zip(DROPS, _LOG_KEPT, strict=True)
        ],
        axis=1,
    )


def _log_sums(values: Array) -> Array:
    """log of each row's sum of exponentials, EMPTY for a row of nothing else; `values` is used up.

    As scipy's `logsumexp`, without its copies: a minute of ten thousand streams is a million values for every drop size.
    """
    top = values.max(axis=1, initial=EMPTY)
    values -= np.where(np.isfinite(top), top, 0.0)[:, None]
    with np.errstate(divide="ignore"):
        sums: Array = np.log(np.exp(values, out=values).sum(axis=1)) + top
    return sums


def log_mean(first: Array, second: Array) -> Array:
    """log of the mean of two detectors given as logarithms."""
    mean: Array = np.logaddexp(first, second) - np.log(2.0)
    return mean


def fleet_log_value(log_values: Array, log_weights: Array) -> float:
    """log of the weighted mean over all streams: itself an e-detector, so one threshold holds for the whole fleet.

    It is at least every single stream's weighted value, and several moderately high streams confirm each other.
    """
    if log_values.size == 0:
        return float(EMPTY)
    return float(logsumexp(log_values + log_weights))


def rise_log_ratios(hits: Array, trials: Array, usual: Array, raised: Array, *, dispersion: float = 1.0) -> Array:
    """log L for a share that rose from `usual` (streams) to `raised` (streams x sizes): Bernoulli likelihood ratio.

    With raised > usual its mean is at most 1 whenever the true share is `usual` or less.
    """
    up = np.log(raised / usual[:, None])
    down = np.log1p(-raised) - np.log1p(-usual)[:, None]
    ratios: Array = (hits[:, None] * up + (trials - hits)[:, None] * down) / dispersion
    return ratios
