"""The next row from the rows just before it: an autoregression on cleaned rows with seasonal terms, row by row."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from correlator.detection.series.lookups import Season, mean_over, rows_before
from correlator.detection.series.moving import ROUNDING, SHARES, Deviation, Means
from correlator.detection.series.regression import robust_ridge
from correlator.detection.series.swing import seasonal_swing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Which of the moving means the others are compared with: shrinkage leads there.
BASE: Final = 1
LAGS: Final = 3
#: Innovations count up to this in the seasonal scale, which stays within these bounds.
SIZE: Final = 3.0
CALMEST: Final = 0.4
WILDEST: Final = 2.5
SEASONAL_TERMS: Final = 3
TRAIN_ROWS: Final = 3000
#: Least variance of a trial, as a share of the chance: where the forecast is a chance of 1.
LEAST_VARIANCE: Final = 1e-4


class Memory:
    """Arrays by row of what the forecasts look back at, for a series of a known number of rows."""

    def __init__(self, times_ms: Ints, values: Floats, trials: Floats | None) -> None:
        rows = len(values)
        self.times_ms, self.values, self.trials = times_ms, values, trials
        known = ~np.isnan(values)
        self.weight = known.astype(np.float64) if trials is None else np.where(known, trials, 0.0)
        self.clean = np.zeros(rows)
        self.means = np.zeros((len(SHARES), rows))
        self.unit = np.ones(rows)
        self.noise = np.zeros(rows)  # innovation in its deviations
        self._sizes = np.zeros(rows + 1)  # running sum of limited innovation sizes
        first = np.flatnonzero(known)
        self._level = float(values[first[0]]) if len(first) else 0.0
        self._moving, self._deviation = Means(self._level), Deviation()
        self.coefficients = np.zeros(0)
        self.seasons: tuple[Season, ...] = ()

    def seasonal_terms(self, low: int, high: int, *, least_rows: int) -> list[Floats]:
        """Three columns for each season: last season's step off its own level, the mean step, the mean value (0 and no weight where unknown)."""
        columns = []
        base = self.means[BASE]
        for season in self.seasons:
            found = rows_before(self.times_ms, low=low, high=high, season=season, least_rows=least_rows)
            at = np.maximum(found, 0)
            values = self.clean[at]
            steps = np.where(found >= 0, values - base[np.maximum(at - 1, 0)], 0.0)
            columns += [steps[0], mean_over(found, steps), _or_nan(found, mean_over(found, values))]
        return columns

    def fit(self, until: int, *, block: int) -> None:
        """Coefficients from the newest rows before `until`."""
        low = max(LAGS + 1, until - TRAIN_ROWS)
        features = self._features(low, until, least_rows=block)
        base = self.means[BASE, low - 1 : until - 1]
        weight = np.where(self.weight[low:until] > 0, 1 / self.unit[low:until] ** 2, 0.0)
        target = np.nan_to_num(self.values[low:until] - base)
        self.coefficients = robust_ridge(features, target, weight=weight)

    def _features(self, low: int, high: int, *, least_rows: int) -> Floats:
        base = self.means[BASE, low - 1 : high - 1]
        columns = [self.clean[low - lag : high - lag] - base for lag in range(1, LAGS + 1)]
        columns += [self.means[k, low - 1 : high - 1] - base for k in range(len(SHARES)) if k != BASE]
        for k, column in enumerate(self.seasonal_terms(low, high, least_rows=least_rows)):
            columns.append(np.nan_to_num(column - base) if k % SEASONAL_TERMS == 2 else column)
        return np.stack(columns, axis=1)

    def advance(self, low: int, high: int, *, block: int) -> None:
        """Walks the rows [low, high): forecast, innovation, cleaned value, moving means and scales."""
        dynamic = LAGS + len(SHARES) - 1
        count = dynamic + SEASONAL_TERMS * len(self.seasons)
        coefficients = self.coefficients if len(self.coefficients) == count else np.zeros(count)
        given, share = self._seasonal_part(low, high, coefficients[dynamic:], block=block)
        a1, a2, a3, b0, b2, b3 = coefficients[:dynamic].tolist()
        c1, c2, c3 = self._newest(low)
        moving, deviation, rate = self._moving, self._deviation, self.trials is not None
        values, weights = self.values[low:high].tolist(), self.weight[low:high].tolist()
        walked: list[tuple[float, ...]] = []
        for value, weight, season, of_mean in zip(values, weights, given.tolist(), share.tolist(), strict=True):
            m0, m1, m2, m3 = moving.now
            forecast = m1 + a1 * (c1 - m1) + a2 * (c2 - m1) + a3 * (c3 - m1)
            forecast += b0 * (m0 - m1) + b2 * (m2 - m1) + b3 * (m3 - m1) + season - of_mean * m1
            unit = _unit(forecast, trials=weight, known=moving.weighed) if rate else 1.0
            noise, clean = 0.0, forecast
            if weight > 0:
                away = value - forecast
                noise, left = deviation.judge(away / unit if abs(away) > ROUNDING * abs(value) else 0.0)
                clean = forecast + left * unit
                moving.add(clean, weight=weight)
            c3, c2, c1 = c2, c1, clean
            walked.append((clean, unit, noise, *moving.now))
        self._keep(low, high, np.array(walked), block=block)

    def _newest(self, low: int) -> list[float]:
        """The cleaned values of the rows before `low`, the newest first."""
        return [float(self.clean[max(low - lag, 0)]) if low else self._level for lag in range(1, LAGS + 1)]

    def _keep(self, low: int, high: int, walked: Floats, *, block: int) -> None:
        self.clean[low:high], self.unit[low:high], noise = walked[:, 0], walked[:, 1], walked[:, 2]
        self.means[:, low:high] = walked[:, 3:].T
        self.noise[low:high] = noise / self._swing(low, high, block=block)
        self._sizes[low + 1 : high + 1] = self._sizes[low] + np.cumsum(np.minimum(np.abs(noise), SIZE))

    def _swing(self, low: int, high: int, *, block: int) -> Floats:
        if not self.seasons:
            return np.ones(high - low)
        found = seasonal_swing(
            self._sizes, times_ms=self.times_ms, low=low, high=high, season=self.seasons[0], least_rows=block
        )
        return np.clip(found, CALMEST, WILDEST)

    def _seasonal_part(self, low: int, high: int, coefficients: Floats, *, block: int) -> tuple[Floats, Floats]:
        """The seasonal part of the forecasts, known before the walk: a sum, and how much of the moving mean is taken off it."""
        total, share = np.zeros(high - low), np.zeros(high - low)
        for k, column in enumerate(self.seasonal_terms(low, high, least_rows=block)):
            coefficient = float(coefficients[k])
            if k % SEASONAL_TERMS == 2:
                share += np.where(np.isnan(column), 0.0, coefficient)
            total += coefficient * np.nan_to_num(column)
        return total, share


def _unit(forecast: float, *, trials: float, known: float) -> float:
    """Standard deviation of a rate of so many trials (1 at least): what it is compared in. A chance is never 0 for sure."""
    chance = min(max(forecast, 0.5 / (known + 1.0)), 1.0)
    variance = max(chance * (1.0 - chance), LEAST_VARIANCE * chance)
    return float((variance / max(trials, 1.0)) ** 0.5)


def _or_nan(found: Ints, values: Floats) -> Floats:
    return np.where((found >= 0).any(axis=0), values, np.nan)
