"""How a run is judged: episodes, rates with exact intervals, delays (theory.md 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import beta, chi2

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: An alarm within so many minutes of an episode's first belongs to it.
COOL_DOWN_MINUTES: Final = 60
#: An incident that has raised no alarm by then was missed.
LONGEST_DELAY_MINUTES: Final = 72 * 60
MINUTES_PER_MONTH: Final = 30 * 24 * 60


class PerMonth(msgspec.Struct, frozen=True):
    """A rate with its exact Poisson interval (95 %)."""

    events: int
    months: float
    rate: float
    low: float
    high: float


class Share(msgspec.Struct, frozen=True):
    """A share with its exact binomial interval (95 %); `share` is null where nothing was counted."""

    hits: int
    trials: int
    share: float | None
    low: float
    high: float


class Delays(msgspec.Struct, frozen=True):
    """Minutes from onset to alarm. Mean, median and p95 are over all runs, with what was missed counted at the longest delay."""

    runs: int
    missed: int
    mean: float
    median: float
    p95: float


def per_month(events: int, months: float) -> PerMonth:
    """Events a month with the interval of Garwood (Biometrika 28:437, 1936)."""
    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    high = float(chi2.ppf(0.975, 2 * events + 2)) / 2
    return PerMonth(events, round(months, 4), *(round(x / months, 4) for x in (float(events), low, high)))


def share(hits: int, trials: int) -> Share:
    """Hits among trials with the interval of Clopper and Pearson (Biometrika 26:404, 1934)."""
    if trials == 0:
        return Share(0, 0, None, 0.0, 1.0)
    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return Share(hits, trials, round(hits / trials, 4), round(low, 4), round(high, 4))


def lower_bound(hits: int, trials: int) -> float | None:
    """One-sided 95 % lower bound of a share: what pause precision is held against."""
    if trials == 0:
        return None
    return float(beta.ppf(0.05, hits, trials - hits + 1)) if hits else 0.0


def episodes(alarms: Mask, *, quiet: int = COOL_DOWN_MINUTES) -> Mask:
    """The minutes in which an episode begins, runs x minutes: an alarm that comes `quiet` minutes or more after the last beginning."""
    begun = np.zeros_like(alarms)
    for row, minutes in enumerate(alarms):
        found = np.flatnonzero(minutes)
        at = 0
        while at < len(found):
            begun[row, found[at]] = True
            at = int(np.searchsorted(found, found[at] + quiet))
    return begun


def first_delays(alarms: Mask, onset: int) -> Array:
    """Minutes from the onset's minute to the first alarm at or after it, counted from 1; infinite where there is none."""
    after = alarms[:, onset:]
    found = after.any(1)
    delays: Array = np.where(found, after.argmax(1) + 1.0, np.inf)
    return delays


def delays_of(minutes: Sequence[float] | Array, *, longest: float = LONGEST_DELAY_MINUTES) -> Delays:
    """A summary of delays."""
    values = np.asarray(minutes, dtype=np.float64)
    missed = ~(values <= longest)
    clipped = np.where(missed, longest, values)
    if not len(clipped):
        return Delays(0, 0, 0.0, 0.0, 0.0)
    figures = (clipped.mean(), np.median(clipped), np.quantile(clipped, 0.95))
    return Delays(len(values), int(missed.sum()), *(round(float(x), 2) for x in figures))


def calibrated(count: Callable[[float], int], *, wanted: float, low: float, high: float) -> float:
    """The lowest threshold in [low, high] at which a rule raises at most `wanted` episodes; `count` falls with the threshold."""
    if count(low) <= wanted:
        return low
    for _ in range(22):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) > wanted else (low, middle)
    return high
