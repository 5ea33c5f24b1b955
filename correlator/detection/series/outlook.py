"""A row from what was known some rows before it: levels and seasons. What is far off here is odd for its place, not only for the last row."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from correlator.detection.series.innovations import CALMEST, TRAIN_ROWS, WILDEST, Memory
from correlator.detection.series.lookups import Season, mean_over, rows_before
from correlator.detection.series.moving import FIRST_MOVE, ROUNDING
from correlator.detection.series.regression import MAD, robust_ridge
from correlator.detection.series.swing import seasonal_swing

Floats = NDArray[np.float64]

#: Rows of the local levels (odd, so that a median is a row and the sign does not matter); the second is the base to which shrinkage leads.
WINDOWS: Final = (15, 63, 255)
BASE: Final = 1
#: Rows beside the horizon before there is an outlook.
FIRST_ROWS: Final = 8
#: Residuals count up to this many deviations in the scales.
LIMIT: Final = 3.0
#: Rows of the moving scale.
SCALE_ROWS: Final = 256


class Levels:
    """Local levels by row: medians of cleaned values, or pooled rates."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.by_window = np.zeros((len(WINDOWS), len(memory.values)))

    def extend(self, low: int, high: int) -> None:
        """Levels of the rows [low, high), each over the rows up to and with it."""
        for k, window in enumerate(WINDOWS):
            begin = max(0, low - window + 1)
            if self.memory.trials is None:
                found = _medians(self.memory.clean[begin:high], window=window, first=low - begin)
            else:
                weight = self.memory.weight[begin:high]
                found = _pooled(self.memory.clean[begin:high], weight=weight, window=window)
            self.by_window[k, low:high] = found[low - begin :]


def _medians(values: Floats, *, window: int, first: int) -> Floats:
    """Median of each row from `first` on and those before it, over fewer rows where there are not enough."""
    found = median_filter(values, size=window, origin=(window - 1) // 2, mode="nearest")
    for row in range(first, min(window - 1, len(values))):  # the filter would repeat the first value into the past
        found[row] = np.median(values[: row + 1])
    return np.asarray(found)


def _pooled(rates: Floats, *, weight: Floats, window: int) -> Floats:
    sums = np.concatenate(([0.0], np.cumsum(rates * weight)))
    weights = np.concatenate(([0.0], np.cumsum(weight)))
    end = np.arange(1, len(rates) + 1)
    begin = np.maximum(end - window, 0)
    weighed = weights[end] - weights[begin]
    return np.where(weighed > 0, (sums[end] - sums[begin]) / np.maximum(weighed, 1e-300), rates)


class Outlook:
    """Forecasts `horizon` rows ahead, their residuals in their own deviations."""

    def __init__(self, levels: Levels, *, horizon: int) -> None:
        self.levels, self.memory, self.horizon = levels, levels.memory, horizon
        rows = len(self.memory.values)
        self.noise = np.zeros(rows)
        self._sizes = np.zeros(rows + 1)  # running sum of limited residual sizes, in long-run deviations
        self._coefficients = np.zeros(0)
        self._scale = 0.0

    def _features(self, low: int, high: int) -> tuple[Floats, Floats]:
        """Base level of each row, and the columns as distances from it."""
        memory, levels = self.memory, self.levels.by_window
        before = np.maximum(np.arange(low, high) - self.horizon, 0)
        base = levels[BASE, before]
        columns = [memory.clean[before] - base]
        columns += [levels[k, before] - base for k in range(len(WINDOWS)) if k != BASE]
        columns += [memory.means[-1, before] - base, base - levels[BASE, np.maximum(before - 64, 0)]]
        for season in memory.seasons:
            columns += self._seasonal(low, high, season=season, base=base)
        return base, np.stack(columns, axis=1)

    def _seasonal(self, low: int, high: int, *, season: Season, base: Floats) -> list[Floats]:
        found = rows_before(self.memory.times_ms, low=low, high=high, season=season, least_rows=self.horizon)
        at = np.maximum(found, 0)
        there = found >= 0
        around = self._smooth(at, newest=np.arange(low, high) - 1, season=season)
        levels = self.levels.by_window[BASE, np.maximum(at - self.horizon, 0)]
        steps = np.where(there, around - levels, 0.0)
        single = np.where(there[0], self.memory.clean[at[0]] - levels[0], 0.0)
        place = np.where(there.any(axis=0), _median_over(around, there) - base, 0.0)
        mean = np.where(there.any(axis=0), mean_over(found, around) - base, 0.0)
        return [single, steps[0], mean_over(found, steps), place, mean]

    def _smooth(self, at: NDArray[np.int64], *, newest: NDArray[np.int64], season: Season) -> Floats:
        """Mean of the cleaned values around a row of an earlier season (by trials where the value is a rate)."""
        reach = int(np.clip(season.rows // 48, 1, 6))
        sums, weights = np.zeros(at.shape), np.zeros(at.shape)
        for shift in range(-reach, reach + 1):
            near = np.maximum(np.minimum(at + shift, newest), 0)
            weight = self.memory.weight[near] if self.memory.trials is not None else np.ones(at.shape)
            sums = sums + self.memory.clean[near] * weight
            weights = weights + weight
        return np.asarray(sums / np.maximum(weights, 1e-300))

    def fit(self, until: int) -> None:
        """Coefficients and long-run scale from the newest rows before `until`."""
        low = max(self.horizon + FIRST_ROWS, until - TRAIN_ROWS)
        if low >= until:
            return
        base, features = self._features(low, until)
        target = np.nan_to_num(self.memory.values[low:until] - base)
        weight = np.where(self.memory.weight[low:until] > 0, 1 / self.memory.unit[low:until] ** 2, 0.0)
        self._coefficients = robust_ridge(features, target, weight=weight)
        residual = np.abs(target - features @ self._coefficients) / self.memory.unit[low:until]
        self._scale = _scale(residual[weight > 0]) * np.sqrt(1 + features.shape[1] / max(until - low, 1))

    def advance(self, low: int, high: int, *, block: int) -> None:
        """Residuals of the rows [low, high) in deviations; 0 where a value is missing."""
        base, features = self._features(low, high)
        if features.shape[1] == len(self._coefficients):
            base = base + features @ self._coefficients
        residual = np.where(self.memory.weight[low:high] > 0, self.memory.values[low:high] - base, 0.0)
        residual = self._nearer(np.nan_to_num(residual), low=low, high=high)
        residual[np.abs(residual) <= ROUNDING * np.abs(base)] = 0.0
        residual[: max(0, self.horizon + FIRST_ROWS - low)] = 0.0
        residual = residual / self.memory.unit[low:high]
        deviations = residual / self._scale if self._scale > 0 else np.sign(residual) * FIRST_MOVE
        self.noise[low:high] = deviations / self._swing(low, high, block=block)
        limited = np.minimum(np.abs(deviations), LIMIT)
        self._sizes[low + 1 : high + 1] = self._sizes[low] + np.cumsum(limited)

    def _nearer(self, residual: Floats, *, low: int, high: int) -> Floats:
        """The distance to the forecast or to what was usual before, whichever is smaller: a return from an incident is none."""
        memory = self.memory
        if memory.seasons:
            found = rows_before(memory.times_ms, low=low, high=high, season=memory.seasons[0], least_rows=self.horizon)
            there = found >= 0
            usual = np.where(there.any(axis=0), _median_over(memory.clean[np.maximum(found, 0)], there), np.nan)
        else:
            before = np.arange(low, high) - self.horizon - WINDOWS[-1]
            usual = np.where(before >= 0, self.levels.by_window[-1, np.maximum(before, 0)], np.nan)
        other = np.where(memory.weight[low:high] > 0, memory.values[low:high] - usual, np.nan)
        return np.asarray(np.where(np.abs(other) < np.abs(residual), other, residual))

    def _swing(self, low: int, high: int, *, block: int) -> Floats:
        """How noisy this place is against the long run: lately, and at this time of earlier seasons."""
        end = np.maximum(np.arange(low, high) - self.horizon, 0)
        begin = np.maximum(end - SCALE_ROWS, 0)
        lately = (self._sizes[end] - self._sizes[begin] + 20 * 0.8) / (end - begin + 20) / 0.8
        swing = lately
        if self.memory.seasons:
            swing = 0.4 * lately + 0.6 * seasonal_swing(
                self._sizes,
                times_ms=self.memory.times_ms,
                low=low,
                high=high,
                season=self.memory.seasons[0],
                least_rows=max(self.horizon, block),
            )
        return np.asarray(np.clip(0.2 + 0.8 * swing, CALMEST, WILDEST))


def _scale(sizes: Floats) -> float:
    """A deviation that neither wild rows nor many equal rows bend: the mean of the median's and the trimmed mean's."""
    if not len(sizes) or not np.isfinite(sizes).all():
        return 0.0
    trimmed = sizes[sizes <= max(np.quantile(sizes, 0.99), np.median(sizes))]
    return float(0.5 * np.median(sizes) / MAD + 0.5 * 1.2533 * trimmed.mean())


def _median_over(values: Floats, there: NDArray[np.bool_]) -> Floats:
    """Median over the seasons that exist, 0 where none does. (numpy's nanmedian takes ten times as long.)"""
    ordered = np.sort(np.where(there, values, np.inf), axis=0)
    count = there.sum(axis=0)
    middle = np.stack((np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)))
    found = np.take_along_axis(ordered, middle, axis=0).mean(axis=0)
    return np.where(count > 0, found, 0.0)
