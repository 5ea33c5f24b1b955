import numpy as np

from correlator.detection.shares import ShareBoard, ShareKey, share_name

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
