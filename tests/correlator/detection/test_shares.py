import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from correlator.detection.shares import (
    KINDS,
    ShareBoard,
    ShareKey,
    hourly_spread,
    share_name,
    share_scope,
)

CHECKOUT = ShareKey("errors", "shop", "/order", "mobile")
USUAL = {share_name(CHECKOUT): (0.01, 5_000.0)}


def test_a_route_that_fails_for_most_fires_within_a_minute() -> None:
    board = ShareBoard()
    board.add(CHECKOUT, hits=30, trials=40)
    assert board.step(USUAL)[0] > np.log(1e8)


def test_a_share_within_its_tolerance_never_fires() -> None:
    board, random = ShareBoard(), np.random.default_rng(1)
    worst = -np.inf
    for _ in range(5_000):
        board.add(CHECKOUT, hits=float(random.binomial(40, 0.025)), trials=40)
        worst = max(worst, float(board.step(USUAL)[0]))
    assert worst < np.log(5_000)


def test_a_key_without_history_is_watched_before_it_is_judged() -> None:
    board = ShareBoard()
    values = []
    for minute in range(12):
        board.add(CHECKOUT, hits=2 if minute < 8 else 35, trials=40)
        values.append(float(board.step({})[0]))
    assert np.isneginf(values[:5]).all()
    assert max(values[:8]) < 3
    assert values[9] > np.log(1e8)


def test_state_survives_a_restart() -> None:
    first, second = ShareBoard(), ShareBoard()
    first.add(CHECKOUT, hits=5, trials=40)
    first.step(USUAL)
    first.add(CHECKOUT, hits=3, trials=20)
    second.restore(first.encode())
    assert first.step(USUAL).tolist() == second.step(USUAL).tolist()


def test_a_rise_of_three_in_a_hundred_on_a_busy_steady_route_fires_within_minutes() -> None:
    board, random = ShareBoard(), np.random.default_rng(2)
    steady, fired = {share_name(CHECKOUT): 0.001}, 0
    for minute in range(10):
        board.add(CHECKOUT, hits=float(random.binomial(500, 0.05)), trials=500)
        if board.step(USUAL, steady)[0] > np.log(1e6):
            fired = fired or minute + 1
    assert 0 < fired <= 10


def test_a_share_that_strays_from_hour_to_hour_may_stray() -> None:
    board = ShareBoard()
    for _ in range(200):
        board.add(CHECKOUT, hits=20, trials=500)
        value = float(board.step(USUAL, {share_name(CHECKOUT): 0.01})[0])
    assert value < np.log(200)


def test_a_page_whose_clicks_never_told_of_themselves_is_not_watched_for_silence() -> None:
    key = ShareKey("unlanded", "meta:1:1")
    board = ShareBoard()
    board.add(key, hits=5000, trials=5000)
    assert np.isneginf(board.step({share_name(key): (0.9999, 10_000.0)}, {})[0])


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.text("abc", min_size=1, max_size=3), st.floats(0, 1e9)),
        min_size=1,
        max_size=30,
    )
)
def test_weights_sum_to_one_whatever_is_watched(keys: list[tuple[str, str, float]]) -> None:
    board = ShareBoard()
    for kind, subject, _ in keys:
        board.add(ShareKey(kind, subject), hits=0, trials=1)
    board.step({share_name(ShareKey(kind, subject)): (0.1, trials) for kind, subject, trials in keys})
    assert abs(np.exp(board.log_weights()).sum() - 1) < 1e-9


def test_a_big_campaign_is_not_drowned_by_ten_thousand_small_ones() -> None:
    board = ShareBoard()
    keys = [ShareKey("lost", f"meta:1:{number}") for number in range(2000)]
    for key in keys:
        board.add(key, hits=0, trials=1)
    board.step({share_name(key): (0.01, 1e6 if key == keys[0] else 200.0) for key in keys})
    assert np.exp(board.log_weights()[0]) > 0.25


def test_the_spread_of_a_share_is_what_it_strays_beyond_chance() -> None:
    random = np.random.default_rng(3)
    trials = random.poisson(5000, 600).astype(float)
    for strays in (0.0, 0.02):
        level = np.clip(random.normal(0.2, strays, 600), 0, 1)
        hits = random.binomial(trials.astype(int), level).astype(float)
        found = hourly_spread(
            hits.sum(), trials.sum(), hours=600, scatter=(hits**2 / trials).sum(), squares=(trials**2).sum()
        )
        assert found is not None
        assert abs(found - strays) < 0.003
    assert hourly_spread(5, 10, hours=3, scatter=1, squares=40) is None


def test_a_share_stands_for_the_traffic_that_it_counts() -> None:
    assert share_scope(ShareKey("unlanded", "meta:1:1")) == {"campaign": "meta:1:1"}
    assert share_scope(ShareKey("bounced", "", "a.test/p", "tablet")) == {"page": "a.test/p", "device": "tablet"}
    assert share_scope(ShareKey("slow", "shop", "GET /p", "mobile")) == {"device": "mobile"}
    assert share_scope(ShareKey("errors", "shop", "GET /p")) == {}


def test_a_state_that_looked_for_other_rises_starts_afresh() -> None:
    board = ShareBoard()
    cell = {"hits": 1.0, "trials": 9.0, "log_values": [3.0, 4.0]}
    board.restore(msgspec.msgpack.encode([(list(CHECKOUT), cell)]))
    assert np.isfinite(board.step(USUAL, {share_name(CHECKOUT): 0.0})).all()
