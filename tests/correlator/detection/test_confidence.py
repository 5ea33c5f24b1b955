import numpy as np
import pytest

from correlator.detection.confidence import ratio_limits, share_limits


def test_a_true_30_percent_drop_excludes_the_baseline_after_about_4150_clicks() -> None:
    # design §8: about 4,150 clicks for a true 30 % drop, 1,200 for 50 %, at a base rate of 2.4 %.
    needed = {
        drop: next(n for n in range(200, 9000, 25) if ratio_limits(n * 0.024 * (1 - drop), n * 0.024)[1] < 1)
        for drop in (0.3, 0.5)
    }
    assert needed[0.3] == pytest.approx(4150, rel=0.1)
    assert needed[0.5] == pytest.approx(1200, rel=0.15)


def test_limits_surround_the_estimate_and_narrow() -> None:
    few, many = ratio_limits(5, 10), ratio_limits(500, 1000)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]


def test_nothing_observed_leaves_the_lower_limit_at_zero() -> None:
    low, high = ratio_limits(0, 30)
    assert low == 0.0
    assert 0 < high < 0.3


def test_without_exposure_everything_is_possible() -> None:
    assert ratio_limits(0, 0) == (0.0, float("inf"))
    assert share_limits(0, 0) == (0.0, 1.0)


def test_ratio_limits_hold_at_every_look_together() -> None:
    random = np.random.default_rng(7)
    missed = 0
    for _ in range(200):
        seen = np.cumsum(random.poisson(2.0, 150))
        looks = [ratio_limits(float(s), 2.0 * (i + 1)) for i, s in enumerate(seen)]
        missed += any(not low <= 1 <= high for low, high in looks)
    assert missed <= 20  # alpha 5 % of 200 runs is 10; 20 is three standard deviations above


def test_share_limits_surround_the_share() -> None:
    low, high = share_limits(30, 100)
    assert low < 0.3 < high
    assert share_limits(0, 50)[0] == 0.0
    assert share_limits(50, 50)[1] == 1.0
