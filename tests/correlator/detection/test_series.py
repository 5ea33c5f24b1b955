"""Scores of any series: causal, without a scale, calm where nothing happens and loud where something does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from correlator.detection.series.scoring import WARM_UP, Series, score
from correlator.detection.series.seasons import find_seasons

Floats = NDArray[np.float64]
MINUTE = 60_000
HOUR = 60 * MINUTE


def series(values: Floats, *, step_ms: int = HOUR, trials: Floats | None = None) -> Series:
    times = 1_767_225_600_000 + step_ms * np.arange(len(values), dtype=np.int64)
    return Series(times_ms=times, values=values, trials=trials)


def seasonal(rows: int, *, seed: int = 0) -> Floats:
    """A day's swing of 100 by the hour, noise of 5."""
    noise = np.random.default_rng(seed).standard_normal(rows)
    return np.asarray(300 + 100 * np.sin(2 * np.pi * np.arange(rows) / 24) + 5 * noise)


def noise(rows: int, *, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(rows)


def rates(rows: int, *, trials: float, chance: float, seed: int = 0) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(seed)
    tried = draw.poisson(trials, rows)
    with np.errstate(invalid="ignore"):
        return draw.binomial(tried, chance) / tried, tried.astype(np.float64)


def test_a_score_depends_on_nothing_that_comes_later() -> None:
    values = seasonal(420)
    values[300:340] += 80
    whole = score(series(values))
    for rows in (10, 61, 200, 311, 400):
        assert np.array_equal(score(series(values[:rows])), whole[:rows])
    other = values.copy()
    other[250:] = -1e6
    assert np.array_equal(score(series(other))[:250], whole[:250])


def test_the_scores_of_a_rate_and_of_irregular_rows_are_causal_too() -> None:
    values, trials = rates(400, trials=50, chance=0.1)
    times = np.cumsum(np.random.default_rng(1).integers(1, 9 * MINUTE, 400))
    whole = score(Series(times_ms=times, values=values, trials=trials))
    cut = score(Series(times_ms=times[:275], values=values[:275], trials=trials[:275]))
    assert np.array_equal(cut, whole[:275])


@pytest.mark.parametrize(("factor", "offset"), [(1e6, 0.0), (1e-4, 0.0), (1.0, 1e5), (-3.0, 7.0)])
def test_unit_and_zero_point_do_not_matter(factor: float, offset: float) -> None:
    values = seasonal(300)
    values[200] += 60
    assert score(series(values * factor + offset)) == pytest.approx(score(series(values)), abs=1e-3)


def test_a_spike_is_told_in_its_row_and_not_long_after() -> None:
    values = noise(600)
    values[500] += 15
    found = score(series(values))
    assert found[500] >= 0.5
    assert found[505:].max() < 0.5


def test_a_level_shift_is_told_within_rows_and_gets_usual() -> None:
    values = noise(900)
    values[500:] += 5
    found = score(series(values))
    assert found[500:512].max() >= 0.5
    assert found[800:].max() < 0.5


def test_a_small_shift_is_told_by_the_sum_of_its_rows() -> None:
    values = noise(900)
    values[600:] += 1.8
    found = score(series(values))
    assert found[:600].max() < 0.5
    assert found[600:660].max() >= 0.5


def test_a_value_that_stands_still_is_told() -> None:
    values = noise(600)
    values[500:540] = values[499]
    assert score(series(values))[505:540].max() >= 0.5


def test_more_noise_at_the_same_level_is_told() -> None:
    values = noise(700)
    values[600:650] *= 4
    assert score(series(values))[600:650].max() >= 0.5


def test_a_value_usual_at_another_hour_is_odd_at_this_one() -> None:
    values = seasonal(720)
    values[600:606] = 300 - (values[600:606] - 300)  # noon at night
    found = score(series(values))
    assert found[600:606].max() >= 0.5
    assert found[:600].max() < 0.5


def test_a_daily_swing_is_no_anomaly_and_its_season_is_found() -> None:
    values = seasonal(700, seed=3)
    assert score(series(values)).max() < 0.5
    assert find_seasons(series(values).times_ms, values) == (24 * HOUR,)


def test_a_random_walk_has_no_season() -> None:
    for seed in range(5):
        walk = np.cumsum(noise(1500, seed=seed))
        assert find_seasons(series(walk).times_ms, walk) == ()


def test_a_rate_of_few_trials_may_be_far_off() -> None:
    values, trials = rates(800, trials=3, chance=0.05)
    assert np.sum(score(series(values, trials=trials)) >= 0.5) <= 1


def test_a_rate_that_breaks_is_told_by_its_trials() -> None:
    values, trials = rates(800, trials=400, chance=0.05)
    values[600:] *= 0.4
    found = score(series(values, trials=trials))
    assert found[:600].max() < 0.5
    assert found[600:612].max() >= 0.5


def test_rows_without_a_value_score_nothing_and_hide_nothing() -> None:
    values = noise(600)
    values[500] += 15
    values[100:120] = np.nan
    values[499] = np.nan
    found = score(series(values))
    assert np.all(found[100:120] == 0)
    assert found[500] >= 0.5


def test_a_constant_is_calm_until_it_moves() -> None:
    values = np.full(400, 0.1)
    assert score(series(values)).max() < 0.1
    values[300:] = 0.2
    found = score(series(values))
    assert found[300] >= 0.5


@pytest.mark.parametrize("rows", [0, 1, 2, WARM_UP, WARM_UP + 1, 40])
def test_few_rows_score_low(rows: int) -> None:
    found = score(series(noise(rows)))
    assert found.shape == (rows,)
    assert np.all(found[:WARM_UP] == 0)
    assert found.max(initial=0) < 0.5


@pytest.mark.parametrize(
    "values",
    [
        np.full(200, np.nan),
        np.concatenate((np.full(150, np.nan), noise(100))),
        np.where(np.arange(300) % 2 == 0, 1e300, -1e300),
        np.full(300, 1e-300),
        np.concatenate((np.zeros(200), np.array([1e18]), np.zeros(99))),
    ],
    ids=["none", "late", "huge", "tiny", "one"],
)
def test_odd_values_get_scores_all_the_same(values: Floats) -> None:
    found = score(series(values))
    assert np.all((found >= 0) & (found <= 1))


def test_rows_of_one_moment_and_long_gaps_do_no_harm() -> None:
    values = seasonal(500)
    times = series(values).times_ms.copy()
    times[100:110] = times[100]
    times[300:] += 400 * 24 * HOUR
    found = score(Series(times_ms=times, values=values))
    assert np.all((found >= 0) & (found <= 1))
