"""Which seasons a series has, from its past only: hour, day and week by the clock, others by autocorrelation."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
#: Slots of the regular grid that is looked at: at most this many of the newest.
SLOTS: Final = 16_384
#: Past needed to believe in a season, in seasons.
REPEATS: Final = 2.5
#: A season has at least this many rows.
SHORTEST_ROWS: Final = 8
#: Autocorrelation that a season needs, beside three standard errors.
CLEAR: Final = 0.25
#: A longer season counts beside a shorter one when its autocorrelation is higher by this.
BETTER: Final = 0.08


def find_seasons(times_ms: Ints, values: Floats) -> tuple[float, ...]:
    """At most two season lengths in milliseconds, the shorter first; none when nothing repeats clearly."""
    step = typical_step(times_ms)
    grid = _grid(times_ms, values, step=step)
    if len(grid) < 3 * SHORTEST_ROWS or np.ptp(grid) <= 0:
        return ()
    correlation = _autocorrelation(grid)
    found = [lag for lag in _peaks(correlation, slots=len(grid)) if _repeats(correlation, lag=lag, step=step)]
    if not found:
        return ()
    highest = max(correlation[lag] for lag in found)
    good = [lag for lag in found if correlation[lag] >= 0.85 * highest]
    meant = [lag for lag in good if _by_the_clock(lag * step, step=step) != lag * step]
    first = (meant or good)[0]
    seasons = [_by_the_clock(first * step, step=step)]
    second = _second(correlation, first=first, found=found, step=step)
    if second is not None:
        seasons.append(_by_the_clock(second * step, step=step))
    return tuple(seasons)


def typical_step(times_ms: Ints) -> float:
    """Median time between rows in milliseconds, at least 1."""
    steps = np.diff(times_ms[-SLOTS:])
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0


def _grid(times_ms: Ints, values: Floats, *, step: float) -> Floats:
    """The newest values at even distances (the last known where there is none), without wild ones and without a slow trend."""
    values, times_ms = values[-SLOTS:], times_ms[-SLOTS:]
    slot = np.round((times_ms - times_ms[0]) / step).astype(np.int64)
    slot -= max(0, int(slot[-1]) - SLOTS + 1)
    values, slot = values[slot >= 0], slot[slot >= 0]
    grid = np.full(int(slot[-1]) + 1, np.nan)
    grid[slot] = values
    known = np.maximum.accumulate(np.where(np.isnan(grid), 0, np.arange(len(grid))))
    grid = np.nan_to_num(grid[known], nan=float(values[0]))
    at = np.linspace(-1, 1, len(grid))
    grid = grid - np.polynomial.polynomial.polyval(at, np.polynomial.polynomial.polyfit(at, grid, 2))
    low, high = np.percentile(grid, [2, 98])
    return np.asarray(np.clip(grid, low - 0.5 * (high - low), high + 0.5 * (high - low)))


def _autocorrelation(grid: Floats) -> Floats:
    """Unbiased autocorrelation by lag, up to the longest lag with enough repeats."""
    rows = len(grid)
    centred = grid - grid.mean()
    spectrum = np.fft.rfft(centred, 1 << (2 * rows - 1).bit_length())
    products = np.fft.irfft(spectrum * np.conj(spectrum))[:rows]
    longest = int(rows / REPEATS)
    biased = products / max(float(products[0]), 1e-300)
    return np.asarray((biased * rows / (rows - np.arange(rows)))[: longest + 2], dtype=np.float64)


def _peaks(correlation: Floats, *, slots: int) -> list[int]:
    """Lags that are higher than their neighbourhood and clearly above noise, after the first fall of the curve."""
    # A slow series is like itself at every short lag: a season shows only after the curve has fallen.
    fallen = np.flatnonzero(correlation < 0.7 * CLEAR)
    begin = max(SHORTEST_ROWS, int(fallen[0]) if len(fallen) else len(correlation))
    inner = np.arange(begin, len(correlation) - 1)
    if not len(inner):
        return []
    clear = max(CLEAR, 3 / np.sqrt(slots))
    higher = (correlation[inner] >= correlation[inner - 1]) & (correlation[inner] >= correlation[inner + 1])
    lags = inner[higher & (correlation[inner] > clear)]
    return [int(lag) for lag in lags]


def _repeats(correlation: Floats, *, lag: int, step: float) -> bool:
    """A season that no clock explains must show a second time: a slow random walk has one broad hump, and no repeat."""
    if _by_the_clock(lag * step, step=step) != lag * step:
        return True
    if 2 * lag + 1 >= len(correlation):
        return False
    again = max(correlation[2 * lag - 1 : 2 * lag + 2])
    between = min(correlation[lag : 2 * lag])
    return bool(again >= 0.6 * correlation[lag] and between < 0.5 * correlation[lag])


def _second(correlation: Floats, *, first: int, found: list[int], step: float) -> int | None:
    """A longer season that explains more: the week beside the day, or the best other."""
    longer = [lag for lag in found if lag > 1.5 * first and correlation[lag] > correlation[first] + BETTER]
    if not longer:
        return None
    week = round(WEEK_MS / step)
    close = [lag for lag in longer if abs(lag - week) <= 0.02 * week]
    return close[0] if close else max(longer, key=lambda lag: correlation[lag])


def _by_the_clock(season_ms: float, *, step: float) -> float:
    """The clock's season when it is meant: within 3 % or one row."""
    for clock in (DAY_MS / 24, DAY_MS, WEEK_MS):
        if abs(season_ms - clock) <= max(0.03 * clock, 1.01 * step):
            return clock
    return season_ms
