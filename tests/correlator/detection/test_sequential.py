import numpy as np
import pytest

from correlator.detection.bounds import DROPS
from correlator.detection.sequential import (
    advance,
    cohort_log_values,
    drop_log_ratios,
    fleet_log_value,
    mixture,
    rise_log_ratios,
    usable_drops,
)

ALL = np.ones((1, len(DROPS)), dtype=bool)


def run(counts: np.ndarray, expected: float, *, threshold: float, dispersion: float = 1.0) -> np.ndarray:
    """Minute of the first alarm of every row of `counts`; -1 for none."""
    runs, minutes = counts.shape
    values = np.full((runs, len(DROPS)), -np.inf)
    fired = np.full(runs, -1)
    usable = np.ones((runs, len(DROPS)), dtype=bool)
    for minute in range(minutes):
        ratios = drop_log_ratios(counts[:, minute], np.full(runs, expected), dispersion=dispersion)
        values = advance(values, ratios)
        now = (mixture(values, usable) >= np.log(threshold)) & (fired < 0)
        fired[now] = minute + 1
    return fired


@pytest.mark.parametrize(("drop", "minutes"), [(0.3, 63), (0.5, 24), (0.8, 9)])
def test_mixture_is_as_fast_as_theory_measured_at_100_clicks_a_minute(drop: float, minutes: float) -> None:
    # theory.md 4.3: threshold 43,200 minutes, base rate 2.4 %; ten healthy hours first, as on a stream that has been running.
    random = np.random.default_rng(11)
    counts = np.hstack([random.poisson(2.4, (300, 600)), random.poisson(2.4 * (1 - drop), (300, 400))]).astype(float)
    fired = run(counts, 2.4, threshold=43_200)
    fired = fired[(fired < 0) | (fired > 600)] - 600
    assert (fired > 0).all()
    assert fired.mean() == pytest.approx(minutes, rel=0.2)


def test_false_alarms_stay_below_the_promise() -> None:
    # Threshold 1,000 minutes: at most one alarm in 1,000 minutes. 400 runs of 500 minutes are 200 thousand: at most 200 alarms.
    counts = np.random.default_rng(12).poisson(2.4, (400, 500)).astype(float)
    assert (run(counts, 2.4, threshold=1_000) > 0).sum() <= 200


def test_dividing_by_the_overdispersion_restores_control() -> None:
    random = np.random.default_rng(13)
    counts = random.negative_binomial(24, 1 / 2, (300, 500)).astype(float)  # mean 24, variance 48: overdispersion 2
    raw = (run(counts, 24, threshold=5_000) > 0).sum()
    divided = (run(counts, 24, threshold=5_000, dispersion=2) > 0).sum()
    assert divided <= 30 < raw


def test_a_healthier_stream_than_its_baseline_hardly_ever_fires() -> None:
    counts = np.random.default_rng(14).poisson(2.4 * 1.3, (100, 1000)).astype(float)
    assert (run(counts, 2.4, threshold=1_000) > 0).sum() <= 3  # 100 runs of 1,000 minutes: at nominal 100 would fire


def test_busy_minutes_do_not_overflow() -> None:
    values = advance(np.full((1, 5), -np.inf), drop_log_ratios(np.zeros(1), np.full(1, 50_000.0)))
    assert np.isfinite(values).all()


def test_small_baselines_use_only_big_drops() -> None:
    usable = usable_drops(np.asarray([0.05, 0.12, 0.25, 0.6]))
    assert usable.sum(axis=1).tolist() == [5, 4, 3, 1]


def test_cohort_hypothesis_fires_on_new_clicks_while_old_ones_still_convert() -> None:
    # Ten buckets a minute wide; clicks of the last four lose 90 % of what was expected, older ones nothing.
    expected = np.full((1, 10), 12.0)
    observed = np.asarray([[12.0] * 6 + [1.0] * 4])
    active = np.ones((1, 10), dtype=bool)
    cohort = mixture(cohort_log_values(observed, expected, np.ones(10), active=active), ALL)[0]
    pooled = mixture(
        advance(np.full((1, 5), -np.inf), drop_log_ratios(observed.sum(axis=1), expected.sum(axis=1))), ALL
    )[0]
    assert cohort > np.log(1e10)
    assert pooled < cohort - 5


def test_cohort_detector_is_worth_at_most_one_unit_a_minute_while_all_is_well() -> None:
    random = np.random.default_rng(15)
    expected = np.full((4_000, 30), 3.0)
    observed = random.poisson(expected).astype(float)
    values = cohort_log_values(observed, expected, np.ones(30), active=np.ones((4_000, 30), dtype=bool))
    small_drop = np.exp(values[:, 0])  # the other components' means exist but need more runs than a test has
    assert small_drop.mean() <= 30 * 1.3


def test_several_moderate_streams_confirm_each_other() -> None:
    weights = np.log(np.full(10, 0.1))
    alone = fleet_log_value(np.asarray([5.0] + [0.0] * 9), weights)
    together = fleet_log_value(np.full(10, 4.0), weights)
    assert together > alone


def test_a_share_that_rises_fires_and_one_that_falls_does_not() -> None:
    usual, raised = np.asarray([0.02, 0.02]), np.asarray([[0.1, 0.5], [0.1, 0.5]])
    ratios = rise_log_ratios(np.asarray([40.0, 0.0]), np.asarray([80.0, 80.0]), usual, raised)
    assert ratios[0].max() > 50
    assert ratios[1].max() < 0


def days_of_levels(
    random: np.random.Generator, *, runs: int, misfit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts and expectations of two days in four buckets each, and their days; each day of each run has a level of its own."""
    level = random.gamma(misfit**-2, misfit**2, (runs, 2))
    expected = np.tile([30.0, 20.0, 40.0, 30.0, 10.0, 30.0, 20.0, 5.0], (runs, 1))
    days = np.repeat([0, 1], 4)
    return random.poisson(expected * level[:, days]).astype(float), expected, days


def test_the_promise_holds_when_no_day_is_like_another() -> None:
    observed, expected, days = days_of_levels(np.random.default_rng(8), runs=40_000, misfit=0.15)
    active, widths = np.ones(observed.shape, dtype=bool), np.ones(8)
    spread = np.full((len(observed), 2), 0.15)
    honest = cohort_log_values(observed, expected, widths, active=active, misfit=spread, days=days)
    # Eight onsets of one minute each: their sum has the mean eight. Believing that all days are alike does not keep it.
    assert np.exp(honest[:, 0]).mean() == pytest.approx(8, rel=0.1)
    blind = cohort_log_values(observed, expected, widths, active=active)
    assert np.exp(blind[:, 0]).mean() > 20


def test_a_fall_within_a_day_is_told_from_a_low_day() -> None:
    expected = np.full((2, 12), 100.0)
    observed = np.asarray([[70.0] * 12, [100.0] * 6 + [55.0] * 6])
    values = cohort_log_values(
        observed, expected, np.ones(12), active=np.ones((2, 12), dtype=bool), misfit=np.full((2, 1), 0.2)
    )
    low, fell = values.max(axis=1)
    assert low < 8
    assert fell > 30


def test_a_level_that_is_known_needs_no_days() -> None:
    random = np.random.default_rng(9)
    observed, expected = random.poisson(5.0, (3, 6)).astype(float), np.full((3, 6), 5.0)
    active = np.ones((3, 6), dtype=bool)
    found = cohort_log_values(observed, expected, np.ones(6), active=active, days=np.asarray([0, 0, 1, 1, 1, 2]))
    since = lambda counts: np.cumsum(counts[:, ::-1], axis=1)  # noqa: E731 - one formula
    for position, drop in enumerate(DROPS):
        plain = np.exp(since(observed) * np.log1p(-drop) + since(expected) * drop).sum(1)
        assert found[:, position] == pytest.approx(np.log(plain), abs=1e-3)
