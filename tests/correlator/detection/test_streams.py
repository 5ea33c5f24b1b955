import numpy as np
import pytest

from correlator.detection.exposure import Leaf
from correlator.detection.sequential import fleet_log_value
from correlator.detection.streams import Input, StreamBoard, lay_out, stream_name

CAMPAIGNS = ["google:1:1", "google:1:2", "meta:2:1"]
LEAVES = [Leaf(c, d, "shop.example/a") for c in CAMPAIGNS for d in ("mobile", "desktop")]
STARTS = np.zeros(1, dtype=np.int64)
ALL = np.ones(len(LEAVES), dtype=bool)


def minute(observed: np.ndarray, expected: np.ndarray, *, error: float = 0.02) -> Input:
    size = len(observed)
    none = np.zeros((size, 1))
    return Input(observed, expected, np.full(size, error), none, none, np.ones(1), np.ones((size, 1), dtype=bool))


def step(
    board: StreamBoard, observed: list[float], expected: list[float], active: np.ndarray = ALL, **kwargs: float
) -> dict[str, float]:
    values = board.step(
        minute(np.asarray(observed), np.asarray(expected), **kwargs),
        active,
        dispersion=1,
        misfit=0,
        bucket_starts=STARTS,
    )
    return {stream_name(key): float(v) for key, v in zip(board.layout.keys, values, strict=True)}


def board() -> StreamBoard:
    made = StreamBoard(dead_zone=0.05)
    made.adopt(LEAVES)
    return made


def test_streams_with_the_same_leaves_are_one_and_weights_add_up() -> None:
    layout = lay_out(LEAVES)
    names = [stream_name(key) for key in layout.keys]
    assert len(names) == len({tuple(layout.member[i].indices) for i in range(len(names))})
    assert "all" in names
    assert "page=shop.example/a" not in names  # the only page is everything
    assert np.exp(layout.log_weights).sum() == pytest.approx(1)


def test_a_parent_sees_what_is_too_thin_in_every_leaf() -> None:
    streams = board()
    values = {}
    for _ in range(6):
        values = step(streams, [0, 4, 0, 4, 0, 4], [4] * 6)
    assert max(values, key=values.__getitem__) == "device=mobile"


def test_leaves_inside_an_open_incident_are_taken_out_of_every_stream() -> None:
    streams = board()
    active = np.asarray([leaf.device != "mobile" for leaf in LEAVES])
    values = {}
    for _ in range(30):
        values = step(streams, [0, 4, 0, 4, 0, 4], [4] * 6, active)
    assert max(values.values()) < np.log(1000)


def test_a_mix_shift_without_any_change_of_rates_raises_nothing() -> None:
    streams = board()
    for t in range(60):
        mobile, desktop = 2.0 + 0.1 * t, 8.0 - 0.1 * t
        values = step(streams, [mobile, desktop] * 3, [mobile, desktop] * 3)
    assert max(values.values()) < np.log(500)


def test_an_uncertain_baseline_claims_only_big_drops() -> None:
    sure, unsure = board(), board()
    for _ in range(40):
        sharp = step(sure, [7] * 6, [10] * 6, error=0.02)
        blunt = step(unsure, [7] * 6, [10] * 6, error=0.2)
    assert sharp["all"] > blunt["campaign=google:1:1"] + 10


def test_reset_starts_the_overlapping_streams_again() -> None:
    streams = board()
    for _ in range(6):
        step(streams, [0, 4, 0, 4, 0, 4], [4] * 6)
    streams.reset({0}, at=0)
    values = step(streams, [4] * 6, [4] * 6)
    assert values["device=mobile"] < 1
    assert values["campaign=google:1:2,device=mobile"] > 3


def test_state_survives_a_restart() -> None:
    first, second = board(), board()
    step(first, [0, 4, 0, 4, 0, 4], [4] * 6)
    second.restore(*first.state())
    assert step(first, [1] * 6, [4] * 6) == step(second, [1] * 6, [4] * 6)


@pytest.mark.slow
def test_the_fleet_of_all_streams_keeps_its_budget_of_false_alarms() -> None:
    # Threshold 2,000 minutes, 60 fleets of 300 minutes: 9 expected at most.
    random = np.random.default_rng(21)
    alarms = 0
    for _ in range(60):
        streams = board()
        for _ in range(300):
            values = streams.step(
                minute(random.poisson(3, len(LEAVES)).astype(float), np.full(len(LEAVES), 3.0)),
                ALL,
                dispersion=1,
                misfit=0,
                bucket_starts=STARTS,
            )
            if fleet_log_value(values, streams.layout.log_weights) >= np.log(2_000):
                alarms += 1
                break
    assert alarms <= 9
