import numpy as np
import pytest

from correlator.detection.delay import LeafLaws, assumed_law
from correlator.detection.exposure import Arrival, ClickCount, ExposureState, Leaf, bucket_edges

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_790_000_000_000 - 1_790_000_000_000 % MINUTE
LAW = assumed_law(20_000)
LEAF = Leaf("google:1:7", "mobile", "shop.example/a")
OTHER = Leaf("meta:2:8", "desktop", "shop.example/b")


def fresh() -> ExposureState:
    return ExposureState(closed=START, horizon_ms=24 * HOUR)


def spread(leaf: Leaf, start: int, end: int, per_bucket: float) -> list[ClickCount]:
    return [ClickCount(leaf, ts, per_bucket) for ts in range(start, end, 10_000)]


def test_expected_conversions_of_all_minutes_add_up_to_the_clicks() -> None:
    state = fresh()
    state.add_clicks(spread(LEAF, START, START + MINUTE, 10))
    total = sum(state.close_minute(START + (i + 1) * MINUTE, LAW).expected[0] for i in range(40))
    assert total == pytest.approx(60, rel=1e-3)


def test_young_clicks_are_hardly_expected_to_have_converted() -> None:
    state = fresh()
    state.add_clicks([ClickCount(LEAF, START + MINUTE - 10_000, 100)])
    assert state.close_minute(START + MINUTE, LAW).expected[0] < 20


def test_late_clicks_are_made_up_for_in_the_next_minute() -> None:
    punctual, late = fresh(), fresh()
    clicks = spread(LEAF, START, START + MINUTE, 10)
    punctual.add_clicks(clicks)
    late.leaf_index(LEAF)
    sums = [0.0, 0.0]
    for i in range(3):
        if i == 1:
            late.add_clicks(clicks)
        for k, state in enumerate((punctual, late)):
            sums[k] += state.close_minute(START + (i + 1) * MINUTE, LAW).expected[0]
    assert sums[0] == pytest.approx(sums[1])


def test_a_conversion_waits_for_its_minute_and_counts_once() -> None:
    state = fresh()
    state.add_arrivals([Arrival(LEAF, START + MINUTE + 5, START + 30)])
    seen = [state.close_minute(START + (i + 1) * MINUTE, LAW).observed[0] for i in range(3)]
    assert seen == [0, 1, 0]


def test_a_late_conversion_counts_in_the_minute_in_which_it_became_known() -> None:
    state = fresh()
    state.leaf_index(LEAF)
    state.close_minute(START + MINUTE, LAW)
    state.add_arrivals([Arrival(LEAF, START + 5, START + 1)])
    assert state.close_minute(START + 2 * MINUTE, LAW).observed[0] == 1


def test_coarse_edges_are_always_edges_of_the_finer_state_before() -> None:
    before = bucket_edges(START, 30 * 24 * HOUR)
    for minutes in (1, 7, 60, 1441):
        later = bucket_edges(START + minutes * MINUTE, 30 * 24 * HOUR)
        overlap = later[later <= before[-1]]
        assert set(overlap.tolist()) <= set(before.tolist())


def test_two_days_of_coarsening_keep_every_click_inside_the_horizon() -> None:
    state = fresh()
    for minute in range(0, 26 * 60, 1):
        end = START + (minute + 1) * MINUTE
        state.add_clicks([ClickCount(LEAF, end - MINUTE + 1_000, 1)])
        state.close_minute(end, LAW)
    kept = state.clicks.sum()
    assert 24 * 60 <= kept <= 25 * 60 + 1  # the oldest bucket is an hour wide
    assert len(state.edges) < 220


def test_the_state_survives_a_restart_bit_by_bit() -> None:
    state = fresh()
    state.add_clicks(spread(LEAF, START, START + 3 * MINUTE, 4) + spread(OTHER, START, START + MINUTE, 2))
    state.add_arrivals([Arrival(OTHER, START + 80_000, START + 20_000)])
    state.close_minute(START + MINUTE, LAW)
    restored = ExposureState.decode(state.encode(), horizon_ms=24 * HOUR)
    for end in (START + 2 * MINUTE, START + 3 * MINUTE):
        first, second = state.close_minute(end, LAW), restored.close_minute(end, LAW)
        assert np.array_equal(first.observed, second.observed)
        assert np.array_equal(first.expected, second.expected)


def test_after_a_fresh_start_older_clicks_and_their_conversions_no_longer_count() -> None:
    state = fresh()
    state.add_clicks(spread(LEAF, START, START + 2 * MINUTE, 10))
    state.close_minute(START + MINUTE, LAW)
    state.start_afresh(np.asarray([0]), START + 2 * MINUTE)
    state.add_arrivals([Arrival(LEAF, START + 130_000, START + 5_000), Arrival(LEAF, START + 150_000, START + 125_000)])
    state.add_clicks([ClickCount(LEAF, START + 10_000, 500), ClickCount(LEAF, START + 130_000, 6)])
    minutes = [state.close_minute(START + (i + 2) * MINUTE, LAW) for i in range(2)]
    assert [m.observed[0] for m in minutes] == [0, 1]
    assert sum(m.expected[0] for m in minutes) < 6


def test_every_leaf_is_expected_by_its_own_law() -> None:
    mixed, alone = fresh(), fresh()
    slow = assumed_law(6 * HOUR)
    for state in (mixed, alone):
        state.add_clicks(spread(LEAF, START, START + MINUTE, 10) + spread(OTHER, START, START + MINUTE, 10))
    both = mixed.close_minute(START + MINUTE, LeafLaws([slow, LAW], np.asarray([1, 0]))).expected
    assert both[0] == pytest.approx(alone.close_minute(START + MINUTE, LAW).expected[0])
    assert both[1] < 1


def test_a_conversion_of_now_has_the_season_of_its_click() -> None:
    state = fresh()
    state.add_clicks(spread(LEAF, START, START + MINUTE, 10))
    doubled = lambda ts: np.where(ts < START + MINUTE, 2.0, 1.0)  # noqa: E731 - a season in one line
    total = sum(state.close_minute(START + (i + 1) * MINUTE, LAW, season=doubled).expected[0] for i in range(40))
    assert total == pytest.approx(120, rel=1e-3)
    assert state.expected_so_far(LAW, season=doubled).sum() == pytest.approx(120, rel=1e-3)


def test_clicks_beyond_the_horizon_are_neither_expected_nor_observed() -> None:
    state = ExposureState(closed=START, horizon_ms=2 * HOUR)
    slow = assumed_law(2 * HOUR)
    state.add_clicks(spread(LEAF, START, START + MINUTE, 10))
    seen = due = 0.0
    for i in range(1, 12 * 24):
        end = START + i * 10 * MINUTE
        state.add_arrivals([Arrival(LEAF, end - 1, START + 30)])
        minute = state.close_minute(end, slow)
        assert (minute.observed[0] > 0) == (minute.expected[0] > 0)
        seen, due = seen + minute.observed[0], due + minute.expected[0]
    assert seen in (12, 13, 18)  # the horizon, rounded to the bucket the click is in
    assert due < 60
