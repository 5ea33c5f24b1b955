"""When it began, how sure that is, and which click ages lose (theory.md 2.7).

Two alternatives at an onset nu: *arrival* (conversions that would happen after nu fail, whatever their click's age: checkout, tag) and
*cohort* (clicks after nu convert less: page, redirect, audience). The cells {click < nu <= arrival} tell them apart. Failing traces and
lost hits share the onset and are far sharper in time, so their likelihood is added to both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from correlator.explanation.window import LEVEL_PRIOR, Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Half the 95 % quantile of chi-square with one degree of freedom: the likelihood interval of one parameter.
INTERVAL_NATS = 1.92
#: Nats by which one hypothesis about time must lead to be named.
DECISIVE_NATS = 1.5
#: Nats from which shares alone place an onset.
SHARP_NATS = 4.0
#: A usual share of failures is not believed to be smaller than this.
LEAST_SHARE = 0.002


class Onset(NamedTuple):
    """Times in milliseconds; `log_likelihood` is that of a change at `at` against none, in nats."""

    at: int
    low: int
    high: int
    hypothesis: str  # arrival | cohort | unknown
    arrival_against_cohort: float
    log_likelihood: float


def find_onset(window: Window, chosen: Mask, *, before: int, not_before: int = 0, sharp_only: bool = False) -> Onset:
    """The most likely onset in `chosen` cells among buckets that start in [not_before, before).

    With `sharp_only` conversions tell the two alternatives apart but not the moment: what fired was a share of requests or hits.
    """
    arrival = poisson_change(window.observed[chosen].sum(0), window.expected[chosen].sum(0))
    cohort = poisson_change(window.observed_by_click[chosen].sum(0), window.expected_by_click[chosen].sum(0))
    sharp = sum(
        share_change(hits[chosen].sum(0), trials[chosen].sum(0))
        for hits, trials in (
            (window.failed, window.traced),
            (window.slow, window.traced),
            (window.lost, window.hits),
            (np.maximum(window.hits - window.lost - window.clicks, 0.0), window.hits),
        )
    )
    starts = window.starts
    allowed = (starts < before) & (starts >= not_before)
    if not allowed.any():
        allowed = starts == starts[window.bucket_of(before)]
    by_arrival = np.where(allowed, arrival + sharp, -np.inf)
    by_cohort = np.where(allowed, cohort + sharp, -np.inf)
    difference = float(by_arrival.max() - by_cohort.max())
    best = by_arrival if difference >= 0 else by_cohort
    if sharp_only and np.asarray(sharp)[allowed].max() >= SHARP_NATS:
        best = np.where(allowed, sharp, -np.inf)
    peak = int(best.argmax())
    inside = np.flatnonzero(best >= best[peak] - INTERVAL_NATS)
    return Onset(
        at=int(starts[peak]),
        low=int(starts[inside[0]]),
        high=int(starts[inside[-1]]) + window.bucket_ms,
        hypothesis="unknown" if abs(difference) < DECISIVE_NATS else ("arrival" if difference > 0 else "cohort"),
        arrival_against_cohort=difference,
        log_likelihood=float(best[peak]),
    )


def poisson_change(observed: Array, expected: Array) -> Array:
    """Log-likelihood ratio of a drop from each bucket on, at its best size, against one level for the whole window.

    The level before is shrunk towards the baseline by `LEVEL_PRIOR` conversions: a day that converts worse than the baseline throughout
    is not an onset at the window's beginning.
    """
    seen, due = _suffix(observed), _suffix(expected)
    before, due_before = LEVEL_PRIOR + observed.sum() - seen, LEVEL_PRIOR + expected.sum() - due
    usual, kept = before / due_before, seen / np.maximum(due, 1e-12)
    level = (LEVEL_PRIOR + observed.sum()) / (LEVEL_PRIOR + expected.sum())
    gain = _poisson(before, due_before, usual) + _poisson(seen, due, kept)
    gain -= _poisson(before + seen, due_before + due, np.full(len(seen), level))
    change: Array = np.where(kept < usual, np.maximum(gain, 0.0), 0.0)
    return change


def _poisson(count: Array, due: Array, ratio: Array) -> Array:
    value: Array = np.where(count > 0, count * np.log(np.maximum(ratio, 1e-12)), 0.0) - due * ratio
    return value


def share_change(hits: Array, trials: Array) -> Array:
    """Log-likelihood ratio of a risen share from each bucket on, against the share of all that came before it."""
    after_hits, after_trials = _suffix(hits), _suffix(trials)
    before_hits, before_trials = hits.sum() - after_hits, trials.sum() - after_trials
    usual = np.maximum((before_hits + LEAST_SHARE * 50) / (before_trials + 50), LEAST_SHARE)
    raised = np.clip(after_hits / np.maximum(after_trials, 1), 1e-9, 1 - 1e-9)
    # Against one share for the whole window: only so does moving the onset later cost what it should.
    whole = np.clip(hits.sum() / max(trials.sum(), 1), 1e-9, 1 - 1e-9)
    gain = (
        _bernoulli(after_hits, after_trials, raised)
        + _bernoulli(before_hits, before_trials, np.clip(usual, 1e-9, 1 - 1e-9))
        - _bernoulli(hits.sum(), trials.sum(), whole)
    )
    change: Array = np.where(raised > usual, np.maximum(gain, 0.0), 0.0)
    return change


def _bernoulli(hits: Array, trials: Array, share: Array) -> Array:
    value: Array = hits * np.log(share) + (trials - hits) * np.log1p(-share)
    return value


def _suffix(values: Array) -> Array:
    sums: Array = np.cumsum(values[::-1])[::-1]
    return sums
