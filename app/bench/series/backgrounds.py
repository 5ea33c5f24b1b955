"""What healthy series look like: drawn from a seed, one function a kind, after the kinds that public collections of real traffic have.

Nothing here is real data. Each function gives the times in milliseconds and the values (or the rates' successes and trials); anomalies are put in
by `faults.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
BEGIN_MS: Final = 1_767_225_600_000  # a Thursday, 2026-01-01


class Background(msgspec.Struct, frozen=True, kw_only=True):
    """A healthy series. `noise` is the size of what nobody can foresee, for each row; `trials` only where the value is a rate."""

    times_ms: NDArray[np.int64]
    values: Floats
    noise: Floats
    season: int = 0  # rows of the shortest season, 0 = none
    trials: Floats | None = None
    positive: bool = False


def _every(step_ms: int, rows: int) -> NDArray[np.int64]:
    return BEGIN_MS + step_ms * np.arange(rows, dtype=np.int64)


def _wandering(draw: np.random.Generator, *, rows: int, phi: float) -> Floats:
    """First-order autoregression of unit variance."""
    shocks = draw.standard_normal(rows + 300) * np.sqrt(1 - phi * phi)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks)[300:], dtype=np.float64)


def _daily(draw: np.random.Generator, times: NDArray[np.int64], *, weekend: float = 1.0) -> Floats:
    """A day's shape from two harmonics, between 0 and 1; weekends scaled."""
    phase = 2 * np.pi * ((times % DAY) / DAY + draw.uniform())
    shape = np.sin(phase) + draw.uniform(0.1, 0.5) * np.sin(2 * phase + draw.uniform(0, 6))
    shape = (shape - shape.min()) / max(float(np.ptp(shape)), 1e-9)
    day = (times // DAY) % 7
    return np.asarray(shape * np.where((day == 2) | (day == 3), weekend, 1.0), dtype=np.float64)


def traffic(draw: np.random.Generator) -> Background:
    """Counts with day and week, as taxi rides or page views every half hour."""
    times = _every(30 * MINUTE, 48 * int(draw.integers(35, 80)))
    level = 10 ** draw.uniform(2, 5)
    expected = level * (0.15 + _daily(draw, times, weekend=draw.uniform(0.6, 1.1)))
    noise = expected * draw.uniform(0.03, 0.1) + np.sqrt(expected)
    values = expected + noise * _wandering(draw, rows=len(times), phi=draw.uniform(0, 0.7))
    return Background(times_ms=times, values=np.rint(np.maximum(values, 0)), noise=noise, season=48, positive=True)


def requests(draw: np.random.Generator) -> Background:
    """Requests of five minutes with a day's swing and over-dispersed counts."""
    times = _every(5 * MINUTE, 288 * int(draw.integers(12, 18)))
    expected = 10 ** draw.uniform(1, 3) * (0.2 + _daily(draw, times))
    shape = draw.uniform(5, 40)
    values = draw.poisson(expected * draw.gamma(shape, 1 / shape, len(times))).astype(np.float64)
    noise = np.sqrt(expected + expected**2 / shape)
    return Background(times_ms=times, values=values, noise=noise, season=288, positive=True)


def processor(draw: np.random.Generator) -> Background:
    """Processor load: a flat level, small noise, work that comes now and then and is no fault."""
    rows = 4032
    times = _every(5 * MINUTE, rows)
    size = draw.uniform(0.3, 2)
    values = draw.uniform(5, 60) + size * (0.5 * _wandering(draw, rows=rows, phi=0.6) + draw.standard_normal(rows))
    bumps = draw.random(rows) < draw.uniform(0, 0.02)
    values = values + bumps * draw.exponential(4 * size, rows)
    return Background(times_ms=times, values=np.round(values, 3), noise=np.full(rows, size * 1.2))


def machine(draw: np.random.Generator) -> Background:
    """A slow temperature: inertia, no season worth the name."""
    rows = 5000
    times = _every(5 * MINUTE, rows)
    slow = _wandering(draw, rows=rows, phi=0.999) * 5
    values = 80 + slow + 1.0 * _wandering(draw, rows=rows, phi=0.95) + 0.2 * draw.standard_normal(rows)
    return Background(times_ms=times, values=values, noise=np.full(rows, 1.0))


def price(draw: np.random.Generator) -> Background:
    """Cost per click by the hour: small numbers, heavy upper tail, gaps."""
    rows = 1650
    times = _every(HOUR, rows)[draw.random(rows) > 0.02]
    rows = len(times)
    level = draw.uniform(0.05, 3)
    spread = draw.uniform(0.1, 0.4)
    values = level * np.exp(
        spread * draw.standard_t(5, rows) * 0.8
        + 0.15 * _wandering(draw, rows=rows, phi=0.97)
        + 0.2 * _daily(draw, times)
    )
    return Background(times_ms=times, values=np.round(values, 4), noise=values * spread, positive=True)


def mentions(draw: np.random.Generator) -> Background:
    """Mentions every five minutes: few, bursty, with a day's swing."""
    times = _every(5 * MINUTE, 288 * 16)
    expected = draw.uniform(3, 60) * (0.2 + _daily(draw, times))
    burst = np.exp(0.5 * _wandering(draw, rows=len(times), phi=0.8))
    values = draw.poisson(expected * burst * draw.gamma(4, 0.25, len(times))).astype(np.float64)
    return Background(
        times_ms=times, values=values, noise=np.sqrt(expected + 0.5 * expected**2), season=288, positive=True
    )


def synthetic(draw: np.random.Generator) -> Background:
    """Trend, sums of sines and noise by the hour, as in the made part of a well-known collection."""
    rows = int(draw.integers(1400, 1700))
    times = _every(HOUR, rows)
    at = np.arange(rows)
    size = draw.uniform(1, 1000)
    seasons = (12, 24, 168)
    values = draw.uniform(-2, 2) * size * at / rows * 3
    for season in seasons:
        values = values + size * draw.uniform(0, 1) * np.sin(2 * np.pi * at / season + draw.uniform(0, 6))
    noise = size * draw.uniform(0.03, 0.25)
    return Background(
        times_ms=times,
        values=values + noise * draw.standard_normal(rows),
        noise=np.full(rows, noise),
        season=24,
    )


def latency(draw: np.random.Generator) -> Background:
    """A latency at irregular moments: lognormal, slightly higher at rush hour."""
    rows = 3500
    times = BEGIN_MS + np.cumsum(draw.exponential(4 * MINUTE, rows).astype(np.int64) + 20_000)
    spread = draw.uniform(0.05, 0.3)
    values = draw.uniform(20, 400) * np.exp(
        spread * draw.standard_normal(rows) + draw.uniform(0, 0.3) * _daily(draw, times)
    )
    return Background(times_ms=times, values=values, noise=values * spread, positive=True)


def queue(draw: np.random.Generator) -> Background:
    """A gauge that is mostly at rest: whole numbers, often zero."""
    rows = 3000
    expected = draw.uniform(0.05, 2)
    values = draw.poisson(expected, rows).astype(np.float64)
    return Background(
        times_ms=_every(MINUTE, rows), values=values, noise=np.full(rows, np.sqrt(expected) + 0.5), positive=True
    )


def pulse(draw: np.random.Generator) -> Background:
    """A short shape that repeats, as a heartbeat or a batch job."""
    rows = 4000
    season = int(draw.integers(25, 90))
    at = np.arange(rows) + np.cumsum(draw.standard_normal(rows) * 0.02)
    phase = (at % season) / season
    values = np.exp(-(((phase - 0.3) / 0.05) ** 2)) * 3 + 0.6 * np.sin(2 * np.pi * phase)
    noise = draw.uniform(0.03, 0.12)
    return Background(
        times_ms=_every(1000, rows),
        values=values + noise * draw.standard_normal(rows),
        noise=np.full(rows, noise),
        season=season,
    )


def walk(draw: np.random.Generator) -> Background:
    """A random walk, as a price or a stock: its changes are news, its level is not."""
    rows = 3000
    size = 10 ** draw.uniform(-2, 2)
    values = 50 * size + np.cumsum(size * draw.standard_normal(rows))
    return Background(times_ms=_every(MINUTE, rows), values=values, noise=np.full(rows, size))


def rate(draw: np.random.Generator) -> Background:
    """A conversion rate: successes of trials, both with a day's swing, some over-dispersion."""
    times = _every(15 * MINUTE, 96 * int(draw.integers(25, 45)))
    trials = draw.poisson(10 ** draw.uniform(1, 3.3) * (0.2 + _daily(draw, times))).astype(np.float64)
    expected = draw.choice([0.01, 0.024, 0.05, 0.2, 0.6]) * (0.9 + draw.uniform(0, 0.3) * _daily(draw, times))
    shared = np.exp(draw.uniform(0, 0.1) * _wandering(draw, rows=len(times), phi=0.9))
    chance = np.clip(expected * shared, 0, 1)
    noise = np.sqrt(chance * (1 - chance) / np.maximum(trials, 1))
    return Background(times_ms=times, values=chance, noise=noise, season=96, trials=trials, positive=True)


KINDS: Final[Mapping[str, Callable[[np.random.Generator], Background]]] = {
    each.__name__: each
    for each in (
        traffic, requests, processor, machine, price, mentions, synthetic, latency, queue, pulse, walk, rate,
    )
}  # fmt: skip
