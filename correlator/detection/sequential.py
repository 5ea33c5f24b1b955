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
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LOG_KEPT = np.log1p(-np.asarray(DROPS))
_DROPS = np.asarray(DROPS)
#: Below this log value a detector starts again: it is as good as empty and would only lose precision.
EMPTY = -np.inf
#: Levels of days are never believed to vary less: 1 / kappa must stay a number that logarithms can tell from nothing.
LEAST_MISFIT = 1e-4


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
    observed: Array,
    expected: Array,
    weights_minutes: Array,
    *,
    active: Mask,
    dispersion: float = 1.0,
    dead_zone: float = 0.0,
    misfit: Array | None = None,
    days: Ints | None = None,
) -> Array:
    """The detector for losses that hit new clicks only, per stream and drop size.

    Args:
        observed: conversions so far by stream and bucket of *click* time, oldest bucket first.
        expected: expected so far, same shape.
        weights_minutes: width of each bucket in minutes; of each stream's, where their onsets are weighed differently.
        active: buckets that count as possible onsets, by stream.
        dead_zone: share by which what follows an onset may fall short unpunished.
        misfit: relative standard deviation of the level of a day, streams x days in their order; 0 when left out.
        days: day of each bucket, one for all when left out.

    Sum over possible onsets nu of prod over clicks since nu of L: each onset's product is an e-process, so the sum is an e-detector with
    one unit a minute. Needs no memory but the exposure itself.

    The level of a day is not known: Gamma distributed with mean one and variance misfit^2 = 1 / kappa, given what the day's clicks brought
    before nu (C0 of E0). A day that brings C of E since then has, with both hypotheses averaged over that level,
    L = (1-d)^C ((kappa + E0 + E) / (kappa + E0 + (1-d) E))^(kappa + C0 + C), whose mean is one; where kappa is large it is
    (1-d)^C exp(d E). An onset early in a day so tests the day's level as far as such levels are rare, and a later one compares
    with the same day before: the level and the step statistic of theory.md 2.6 in one.
    """
    kappa = 1 / np.maximum(np.zeros((len(observed), 1)) if misfit is None else misfit, LEAST_MISFIT) ** 2
    of_day = np.unique(np.zeros(observed.shape[1]) if days is None else days, return_inverse=True)[1]
    first = np.searchsorted(of_day, np.arange(of_day[-1] + 1)) if len(of_day) else np.zeros(0, dtype=np.int64)
    # Sums from each bucket to the end of its day, once and not again for every drop size.
    observed_since, seen = _since(observed / dispersion, of_day, first)
    expected_since, due = _since(expected / dispersion, of_day, first)
    level = (kappa + seen)[:, of_day]
    whole = (kappa + due)[:, of_day] - dead_zone * expected_since
    fraction = (1 - dead_zone) * expected_since / whole
    onsets = np.where(active, np.log(np.atleast_2d(weights_minutes)), EMPTY)
    return np.stack(
        [
            _log_sums(
                onsets + _with_later_days(kept * observed_since - level * np.log1p(-drop * fraction), of_day, first)
            )
            for drop, kept in zip(DROPS, _LOG_KEPT, strict=True)
        ],
        axis=1,
    )


def _since(counts: Array, of_day: Ints, first: Ints) -> tuple[Array, Array]:
    """Sums from each bucket to the end of its day, and whole days'; streams x buckets and streams x days."""
    from_end = np.zeros((counts.shape[0], counts.shape[1] + 1))
    from_end[:, :-1] = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    ends = np.append(first[1:], counts.shape[1])
    return from_end[:, :-1] - from_end[:, ends][:, of_day], from_end[:, first] - from_end[:, ends]


def _with_later_days(log_ratios: Array, of_day: Ints, first: Ints) -> Array:
    """Each onset's log ratio within its day and those of all whole days after it."""
    whole = log_ratios[:, first]
    later = np.cumsum(whole[:, ::-1], axis=1)[:, ::-1] - whole
    summed: Array = log_ratios + later[:, of_day]
    return summed


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
