"""The reference: the least mean delay that any detector can have at a given false-alarm rate.

Written apart from the detector, by another route than its own bounds. Moustakides (Ann. Statist. 14:1379, 1986): the CUSUM that knows the
rate and the drop minimises the worst-case mean delay at every mean run length. Its run length is computed exactly, click by click.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Array = npt.NDArray[np.float64]

MINUTES_PER_MONTH = 30 * 24 * 60
#: Largest drop for which the log-likelihood ratio of one conversion is finite enough to be summed.
NEARLY_ALL = 0.999


def information(base_rate: float, drop: float) -> tuple[float, float]:
    """(KL(after, before), KL(before, after)) of one click, in nats."""
    after = base_rate * (1 - drop)
    lost = math.log((1 - after) / (1 - base_rate))
    kept = math.log(after / base_rate) if after > 0 else -math.inf
    forward = (1 - after) * lost + (after * kept if after > 0 else 0.0)
    return forward, -(1 - base_rate) * lost - base_rate * kept


def closed_form(forward: float, backward: float, run_length: float) -> float:
    """D* from the two informations of one step and the mean run length in steps.

    e^h - h - 1 = run_length x backward, D* = (h - 1 + e^-h) / forward: Siegmund's approximation with the overshoot inside h.
    """
    wanted = math.log(run_length * backward + 1)
    level = float(brentq(lambda h: math.expm1(h) - h - run_length * backward, 1e-12, wanted + math.log(wanted + 2) + 2))
    return (level + math.expm1(-level)) / forward


def clicks_needed(base_rate: float, drop: float, run_length: float) -> float:
    """D* in clicks by the closed form; a total outage has an exact one."""
    if drop >= 1:
        return math.log1p(run_length * base_rate) / -math.log1p(-base_rate)
    return closed_form(*information(base_rate, drop), run_length)


def clicks_needed_exactly(base_rate: float, drop: float, run_length: float) -> float:
    """D* in clicks by the run length of the CUSUM itself.

    A click that does not convert lifts the statistic by one unit, one that does lowers it by `fall` units, never below zero. From that
    follow the mean run lengths to every height, without search for a threshold: the height is read off where the healthy one
    reaches `run_length`.
    """
    after = base_rate * (1 - drop)
    unit = math.log((1 - after) / (1 - base_rate))
    fall = math.log(base_rate / after) / unit
    steps = 64
    while (healthy := _mean_run_lengths(base_rate, fall, steps))[-1] < run_length:
        steps *= 2
    height = float(np.interp(run_length, healthy, np.arange(len(healthy))))
    return float(np.interp(height, np.arange(len(healthy)), _mean_run_lengths(after, fall, steps)))


def _mean_run_lengths(rate: float, fall: float, steps: int) -> Array:
    """Mean clicks from 0 to height 0, 1 ... `steps`."""
    reached = np.zeros(steps + 1)
    for height in range(steps):
        landed = max(0.0, height - fall)
        floor = int(landed)
        share = landed - floor
        back = reached[floor] if not share else (1 - share) * reached[floor] + share * reached[floor + 1]
        reached[height + 1] = (reached[height] + 1 - rate * back) / (1 - rate)
    return reached


def minutes_needed(expected_per_minute: float, drop: float, run_length_minutes: float) -> float:
    """D* in minutes of a Poisson stream that expects so many conversions a minute."""
    if expected_per_minute <= 0:
        return math.inf
    drop = min(drop, NEARLY_ALL)
    log_kept = math.log1p(-drop)
    forward, backward = drop + (1 - drop) * log_kept, -log_kept - drop
    return closed_form(expected_per_minute * forward, expected_per_minute * backward, run_length_minutes)


def minutes_needed_when_delayed(
    expected_per_minute: float, drop: float, run_length_minutes: float, *, arrived: Callable[[Array], Array]
) -> float:
    """The bound for losses that hit new clicks only: minutes until their *arrived* share carries D*'s information (theory.md 2.7).

    Args:
        expected_per_minute: conversions a minute of clicks brings in the end.
        drop: relative drop.
        run_length_minutes: minutes between false alarms.
        arrived: share of conversions that has arrived by an age in minutes.
    """
    at_once = minutes_needed(expected_per_minute, drop, run_length_minutes)
    if not math.isfinite(at_once):
        return at_once
    span = 4 * at_once + 60
    for _ in range(12):
        ages = np.linspace(0.0, span, 4001)
        shares = arrived(ages)
        carried = np.concatenate([[0.0], np.cumsum((shares[1:] + shares[:-1]) / 2 * np.diff(ages))])
        if carried[-1] >= at_once:
            return float(np.interp(at_once, carried, ages))
        span *= 2
    return math.inf
