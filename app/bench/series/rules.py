"""The simple rules that people write first: each gives every row a number that is higher where the row is odder, causally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from app.bench.series.faults import Labelled

Floats = NDArray[np.float64]
DAY_MS: Final = 86_400_000


def plain(series: Labelled) -> Floats:
    """The value, or the rate with an empty row as the last known."""
    if series.trials is None:
        return series.values
    rates = pd.Series(series.values / np.where(series.trials > 0, series.trials, np.nan))
    return np.asarray(rates.ffill().fillna(0.0).to_numpy(), dtype=np.float64)


def rolling_z(series: Labelled, *, window: int = 100) -> Floats:
    """Distance from the mean of the 100 rows before, in their standard deviation."""
    values = pd.Series(plain(series))
    past = values.shift(1).rolling(window, min_periods=20)
    return _filled((values - past.mean()).abs() / (past.std() + 1e-9 * values.abs().max() + 1e-12))


def ewma(series: Labelled, *, share: float = 0.1) -> Floats:
    """An EWMA control chart: smoothed distance from the mean so far, in the long-run deviation."""
    values = pd.Series(plain(series))
    past = values.shift(1).expanding(20)
    z = ((values - past.mean()) / (past.std() + 1e-9 * values.abs().max() + 1e-12)).fillna(0.0).clip(-50, 50)
    smoothed = np.abs(np.asarray(lfilter([share], [1.0, share - 1.0], z), dtype=np.float64))
    return np.asarray(smoothed / np.sqrt(share / (2 - share)))


def same_time_yesterday(series: Labelled) -> Floats:
    """Distance from the row a day before (one season of 24 rows where the series is too short), in the spread of such distances."""
    values = plain(series)
    step = max(1, int(np.median(np.diff(series.times_ms))))
    rows = max(1, round(DAY_MS / step))
    rows = rows if rows * 3 < len(values) else 24
    distance = pd.Series(values).diff(rows)
    return _filled(distance.abs() / (distance.shift(1).expanding(20).std() + 1e-9 * np.abs(values).max() + 1e-12))


def _filled(scores: pd.Series[float]) -> Floats:
    return np.asarray(scores.replace([np.inf, -np.inf], np.nan).fillna(0.0).to_numpy(), dtype=np.float64)


RULES: Final[Mapping[str, Callable[[Labelled], Floats]]] = {
    "rolling z": rolling_z,
    "EWMA chart": ewma,
    "same time yesterday": same_time_yesterday,
}
