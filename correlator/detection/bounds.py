"""What is mathematically possible: the least mean delay at a given false-alarm rate (theory.md 2.1 to 2.3).

Moustakides (Ann. Statist. 14:1379, 1986): for every mean run length gamma the CUSUM with E_inf T = gamma minimises the worst-case
mean delay. D* below is that minimum: in closed form (about 1 % off) and by the exact recursion that tests compare it with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Array = npt.NDArray[np.float64]

#: Drop sizes of the mixture (theory.md 2.4).
DROPS: tuple[float, ...] = (0.2, 0.3, 0.5, 0.8, 0.98)
MINUTES_PER_MONTH = 30 * 24 * 60


def bernoulli_information(base_rate: float, drop: float) -> tuple[float, float]:
    """(I1, I0) in nats per click: KL(after, before) and KL(before, after)."""
    before, after = base_rate, base_rate * (1 - drop)
    return _kl(after, before), _kl(before, after)


def poisson_information(drop: float) -> tuple[float, float]:
    """(I1, I0) in nats per expected conversion; I0 is infinite for a total outage."""
    if drop >= 1:
        return 1.0, math.inf
    log_kept = math.log1p(-drop)
    return drop + (1 - drop) * log_kept, -log_kept - drop


def optimal_delay(i1: float, i0: float, mean_run_length: float) -> float:
    """D*: least worst-case mean delay, in the unit (click, minute) that `i1`, `i0` and `mean_run_length` share.

    Solves e^h - h - 1 = gamma I0, then D* = (h - 1 + e^-h) / I1 (theory.md 2.2, Siegmund-type; h absorbs the overshoot).
    """
    target = mean_run_length * i0
    high = math.log(target + 2) + 2
    threshold = float(brentq(lambda h: math.expm1(h) - h - target, 1e-12, high + math.log(high + 1)))
    return (threshold + math.expm1(-threshold)) / i1


def optimal_delay_clicks(base_rate: float, drop: float, mean_run_length: float) -> float:
    """D* in clicks for a known rate and drop, a decision after every click."""
    if drop >= 1:
        return math.log1p(mean_run_length * base_rate) / -math.log1p(-base_rate)
    i1, i0 = bernoulli_information(base_rate, drop)
    return optimal_delay(i1, i0, mean_run_length)


def optimal_delay_minutes(expected_per_minute: float, drop: float, mean_run_length: float) -> float:
    """D* in minutes for a stream that expects `expected_per_minute` conversions; `mean_run_length` in minutes."""
    if expected_per_minute <= 0:
        return math.inf
    i1, i0 = poisson_information(min(drop, 0.999))
    return optimal_delay(expected_per_minute * i1, expected_per_minute * i0, mean_run_length)


def exact_delay_clicks(base_rate: float, drop: float, mean_run_length: float) -> float:
    """D* in clicks by the exact recursion of the CUSUM's run length (theory.md 2.2), for tests."""
    low, high = 1.0, 1.0
    while _run_length(base_rate, drop, base_rate, high) < mean_run_length:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _run_length(base_rate, drop, base_rate, middle) < mean_run_length else (low, middle)
        )
    return _run_length(base_rate, drop, base_rate * (1 - drop), high)


def _run_length(base_rate: float, drop: float, rate: float, threshold: float) -> float:
    """Mean run length of the CUSUM from 0 to `threshold`, in steps of one non-conversion, when the true rate is `rate`.

    The number of non-converting steps to the threshold may be fractional: interpolated between the two integers.
    """
    after = base_rate * (1 - drop)
    step = math.log((1 - after) / (1 - base_rate))
    fall = math.log(base_rate / after) / step
    whole = math.floor(threshold)
    lengths = _run_lengths(rate, fall, whole + 2)
    return -(lengths[whole] + (threshold - whole) * (lengths[whole + 1] - lengths[whole]))


def _run_lengths(rate: float, fall: float, steps: int) -> Sequence[float]:
    values = [0.0]
    for s in range(steps):
        back = max(0.0, s - fall)
        below = int(back)
        rest = back - below
        at_back = values[below] if rest == 0 else values[below] + rest * (values[below + 1] - values[below])
        values.append((values[s] - 1 - rate * at_back) / (1 - rate))
    return values


def neutral_point(drop: float) -> float:
    """r*(d) = d / -ln(1 - d): a component tuned to `drop` drifts upwards when true / model is below this."""
    return drop / -math.log1p(-drop)


def smallest_usable_drop(baseline_error: float, drops: Sequence[float] = DROPS) -> float:
    """The smallest component whose neutral point a baseline error (3 SE + misfit, relative) cannot reach (theory.md 2.4)."""
    for drop in drops:
        if baseline_error < 1 - neutral_point(drop):
            return drop
    return drops[-1]


def minimum_detectable_drop(
    expected_per_minute: float, *, mean_run_length: float, within_minutes: float = 120.0, floor: float = 0.0
) -> float | None:
    """The smallest drop that the optimum finds within the time at this traffic, or None when not even an outage can be.

    Args:
        expected_per_minute: conversions expected per minute.
        mean_run_length: minutes between false alarms of this stream.
        within_minutes: how long the reader is willing to wait.
        floor: smaller drops drown in the baseline's error, whatever the traffic.
    """
    low, high = max(floor, 0.01), 0.999
    if optimal_delay_minutes(expected_per_minute, high, mean_run_length) > within_minutes:
        return None
    if optimal_delay_minutes(expected_per_minute, low, mean_run_length) <= within_minutes:
        return low
    excess = lambda d: optimal_delay_minutes(expected_per_minute, d, mean_run_length) - within_minutes  # noqa: E731 - one formula for the root finder
    return float(brentq(excess, low, high, xtol=1e-4))


def minimum_detectable_drops(
    expected_per_minute: npt.ArrayLike, *, mean_run_length: npt.ArrayLike, within_minutes: float = 120.0
) -> Array:
    """`minimum_detectable_drop` of many streams at once, to a ten-thousandth; NaN where it says None.

    One by one, ten thousand streams would take more than a second of a tick.
    """
    pace, run_length = np.broadcast_arrays(
        np.asarray(expected_per_minute, dtype=np.float64), np.asarray(mean_run_length, dtype=np.float64)
    )
    low, high = np.full(pace.shape, 0.01), np.full(pace.shape, 0.999)
    hopeless = _optimal_delays(pace, high, run_length) > within_minutes
    for _ in range(14):
        middle = (low + high) / 2
        late = _optimal_delays(pace, middle, run_length) > within_minutes
        low, high = np.where(late, middle, low), np.where(late, high, middle)
    drops: Array = np.where(hopeless, np.nan, high)
    return drops


def _optimal_delays(expected_per_minute: Array, drop: Array, mean_run_length: Array) -> Array:
    """`optimal_delay_minutes`, elementwise, for drops below one."""
    log_kept = np.log1p(-drop)
    i1, i0 = drop + (1 - drop) * log_kept, -log_kept - drop
    target = mean_run_length * expected_per_minute * i0
    threshold = np.log(target + 2) + 2
    for _ in range(12):  # Newton from above on a convex function: never past the root
        threshold -= (np.expm1(threshold) - threshold - target) / np.expm1(threshold)
    with np.errstate(divide="ignore"):
        delays: Array = (threshold + np.expm1(-threshold)) / (expected_per_minute * i1)
    return np.where(expected_per_minute > 0, delays, np.inf)


def _kl(p: float, q: float) -> float:
    first = 0.0 if p <= 0 else p * math.log(p / q)
    return first + (1 - p) * math.log((1 - p) / (1 - q))
