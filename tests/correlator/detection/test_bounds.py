import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detection.bounds import (
    bernoulli_information,
    exact_delay_clicks,
    minimum_detectable_drop,
    minimum_detectable_drops,
    neutral_point,
    optimal_delay_clicks,
    optimal_delay_minutes,
    poisson_information,
    smallest_usable_drop,
)

# theory.md 2.3: base rate, drop, D* in clicks at a mean run length of 1e5 and 1e6 clicks.
TABLE = [
    (0.01, 0.2, 10_866, 20_676),
    (0.01, 0.5, 2_777, 4_246),
    (0.024, 0.2, 5_957, 10_153),
    (0.024, 0.3, 3_226, 5_055),
    (0.024, 0.5, 1_374, 1_985),
    (0.024, 0.8, 560, 757),
    (0.024, 1.0, 321, 416),
    (0.05, 0.3, 1_789, 2_657),
    (0.05, 1.0, 167, 211),
]


@pytest.mark.parametrize(("rate", "drop", "at_1e5", "at_1e6"), TABLE)
def test_closed_form_agrees_with_the_table_of_optimal_delays(
    rate: float, drop: float, at_1e5: float, at_1e6: float
) -> None:
    assert optimal_delay_clicks(rate, drop, 1e5) == pytest.approx(at_1e5, rel=0.015)
    assert optimal_delay_clicks(rate, drop, 1e6) == pytest.approx(at_1e6, rel=0.015)


@pytest.mark.parametrize(("rate", "drop"), [(0.05, 0.3), (0.05, 0.5), (0.024, 0.5), (0.05, 0.8)])
def test_closed_form_agrees_with_the_exact_recursion(rate: float, drop: float) -> None:
    exact = exact_delay_clicks(rate, drop, 1e5)
    assert optimal_delay_clicks(rate, drop, 1e5) == pytest.approx(exact, rel=0.015)


def test_first_order_formula_overstates_the_optimum() -> None:
    i1, _ = bernoulli_information(0.024, 0.3)
    assert math.log(1e6) / i1 > 2 * optimal_delay_clicks(0.024, 0.3, 1e6)


@pytest.mark.parametrize(
    ("per_minute", "rate", "drop", "minutes"),
    [(10, 0.024, 0.5, 176), (100, 0.024, 0.3, 62), (100, 0.024, 0.5, 24), (1000, 0.05, 0.5, 1.5)],
)
def test_minutes_at_one_false_alarm_a_month_agree_with_the_calendar_table(
    per_minute: float, rate: float, drop: float, minutes: float
) -> None:
    # The table counts Bernoulli clicks, this formula Poisson exposure: 2.5 % apart at 2.4 %.
    assert optimal_delay_minutes(per_minute * rate, drop, 43_200) == pytest.approx(minutes, rel=0.05)


def test_information_per_expected_conversion() -> None:
    assert [round(poisson_information(d)[0], 4) for d in (0.2, 0.3, 0.5, 0.8)] == [0.0215, 0.0503, 0.1534, 0.4781]


def test_neutral_points() -> None:
    assert [round(neutral_point(d), 3) for d in (0.2, 0.3, 0.5)] == [0.896, 0.841, 0.721]


def test_smallest_usable_drop_follows_the_number_of_baseline_conversions() -> None:
    # theory.md 2.4: 20 % needs about 830 conversions, 30 % about 360, 50 % about 115.
    usable = {m: smallest_usable_drop(3 / math.sqrt(m)) for m in (860, 800, 365, 340, 117, 110)}
    assert usable == {860: 0.2, 800: 0.3, 365: 0.3, 340: 0.5, 117: 0.5, 110: 0.8}


def test_minimum_detectable_drop_says_none_where_not_even_an_outage_can_be_seen() -> None:
    assert minimum_detectable_drop(0.01, mean_run_length=43_200) is None


def test_minimum_detectable_drop_is_found_just_within_the_time() -> None:
    drop = minimum_detectable_drop(2.4, mean_run_length=43_200, within_minutes=120)
    assert drop is not None
    assert optimal_delay_minutes(2.4, drop, 43_200) == pytest.approx(120, rel=0.01)


def test_a_drop_of_23_percent_needs_the_minutes_of_the_worked_example() -> None:
    # examples.md 1: base rate 2.4 %, 23 %, one false alarm a month: 39 / 101 / 684 minutes at 300 / 100 / 10 clicks a minute.
    found = [optimal_delay_minutes(clicks * 0.024, 0.23, 43_200) for clicks in (300, 100, 10)]
    assert found == pytest.approx([39, 101, 684], rel=0.05)


@given(st.lists(st.just(0.0) | st.floats(1e-4, 50), min_size=1, max_size=8), st.floats(1e3, 1e9))
def test_the_drops_of_many_streams_are_those_of_each(paces: list[float], run_length: float) -> None:
    together = minimum_detectable_drops(paces, mean_run_length=run_length)
    for pace, drop in zip(paces, together.tolist(), strict=True):
        alone = minimum_detectable_drop(pace, mean_run_length=run_length)
        assert math.isnan(drop) if alone is None else drop == pytest.approx(alone, abs=3e-4)
