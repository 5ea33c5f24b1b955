"""The running exposure is compared with the store once a night, within bounds, and somebody hears of a difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine
from structlog.testing import capture_logs

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.control.checkpoints import Checkpoints
from core.errors import StoreError
from correlator.detection.aside import at_once
from correlator.detection.engine import exposure_differs
from correlator.detection.exposure import ClickCount, ExposureState, Leaf
from correlator.detection.nightly import TOLERANCE, NightlyCheck

MIDNIGHT = 20_000 * DAY_MS


class Gaps:
    """Answers one gap after the other and counts how often it was asked."""

    def __init__(self, *gaps: float | Exception | None) -> None:
        self.gaps = iter(gaps)
        self.asked = 0

    def __call__(self) -> Callable[[], float] | None:
        self.asked += 1
        gap = next(self.gaps, 0.0)
        return None if gap is None else lambda: self.compare(gap)

    def compare(self, gap: float | Exception) -> float:
        if isinstance(gap, Exception):
            raise gap
        return gap


@pytest.fixture
def checkpoints(control: Engine) -> Checkpoints:
    return Checkpoints(control, "detection")


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("clicktrace_exposure_checks_total", {"outcome": outcome}) or 0.0


def night(number: int, hour: float = 3) -> int:
    return MIDNIGHT + number * DAY_MS + round(hour * HOUR_MS)


def test_it_is_done_once_a_night_and_not_on_the_first_day(checkpoints: Checkpoints) -> None:
    gaps = Gaps()
    check = NightlyCheck(gaps, checkpoints, aside=at_once)
    for now in (night(0, 10), night(0, 20), night(1, 2.9)):
        check.tick(now)
    assert gaps.asked == 0, "a new state was just filled from a scan"
    for now in (night(1), night(1, 3.1), night(1, 23), night(2, 2.9)):
        check.tick(now)
    assert gaps.asked == 1
    NightlyCheck(gaps, checkpoints, aside=at_once).tick(night(2, 2.95))
    assert gaps.asked == 1, "a restart does not repeat it"
    NightlyCheck(gaps, checkpoints, aside=at_once).tick(night(4, 12))
    assert gaps.asked == 2, "a night that was slept through is made up for once"


def test_a_difference_is_a_metric_and_a_line_in_the_log(checkpoints: Checkpoints) -> None:
    check = NightlyCheck(Gaps(TOLERANCE / 2, 0.04), checkpoints, aside=at_once)
    check.tick(night(0))
    before = count("equal"), count("differs")
    with capture_logs() as quiet:
        check.tick(night(1))
    assert quiet == []
    with capture_logs() as lines:
        check.tick(night(2))
    assert [(line["log_level"], line["share"]) for line in lines] == [("error", 0.04)]
    assert (count("equal"), count("differs")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("clicktrace_exposure_gap_ratio") == 0.04


def test_a_store_that_does_not_answer_is_counted_and_asked_again_the_next_night(checkpoints: Checkpoints) -> None:
    gaps = Gaps(StoreError("too slow"), None, 0.0)
    check = NightlyCheck(gaps, checkpoints, aside=at_once)
    before = count("failed")
    for now in (night(0), night(1), night(1, 4), night(2), night(3)):
        check.tick(now)
    assert (gaps.asked, count("failed")) == (3, before + 1)


def test_the_tick_goes_on_while_the_comparison_runs(checkpoints: Checkpoints) -> None:
    begun: list[Callable[[], None]] = []

    def later(work: Callable[[], None]) -> Callable[[float], object]:
        begun.append(work)
        return lambda _timeout: None

    gaps = Gaps(0.02)
    check = NightlyCheck(gaps, checkpoints, aside=later)
    before = count("differs")
    for now in (night(0), night(1), night(1, 4)):
        check.tick(now)
    assert (gaps.asked, len(begun), count("differs")) == (1, 1, before)
    begun[0]()
    check.tick(night(1, 5))
    assert count("differs") == before + 1


# --- the comparison ------------------------------------------------------------------------------------------------------------------

ROSES, POTS = Leaf("google:1:1", "mobile", "a.test/roses"), Leaf("google:1:2", "desktop", "a.test/pots")
CLOSED = MIDNIGHT + 3 * HOUR_MS


def filled(*counts: tuple[Leaf, int, float]) -> ExposureState:
    """A state with clicks so many minutes before its last closed minute."""
    state = ExposureState(closed=CLOSED, horizon_ms=24 * HOUR_MS)
    state.add_clicks([ClickCount(leaf, CLOSED - minutes * MINUTE_MS, clicks) for leaf, minutes, clicks in counts])
    return state


def test_the_difference_is_a_share_of_all_clicks() -> None:
    scanned = filled((ROSES, 5, 60), (ROSES, 200, 30), (POTS, 5, 10))
    assert exposure_differs(filled((ROSES, 5, 60), (ROSES, 200, 30), (POTS, 5, 10)), scanned) == 0
    assert exposure_differs(filled((ROSES, 5, 58), (ROSES, 200, 30), (POTS, 5, 11)), scanned) == pytest.approx(0.03)
    assert exposure_differs(filled((ROSES, 5, 60), (ROSES, 200, 30)), scanned) == pytest.approx(0.1)


def test_what_a_fresh_start_forgot_is_no_difference() -> None:
    state = filled((ROSES, 5, 60), (ROSES, 200, 30), (POTS, 200, 10))
    state.start_afresh(np.asarray([state.leaf_index(ROSES)]), CLOSED - 60 * MINUTE_MS)
    assert exposure_differs(state, filled((ROSES, 5, 60), (ROSES, 200, 30), (POTS, 200, 10))) == 0
    assert exposure_differs(state, filled((ROSES, 5, 50), (ROSES, 200, 30), (POTS, 200, 10))) > 0.1


def test_clicks_of_the_minute_that_is_not_closed_are_no_difference() -> None:
    assert exposure_differs(filled((ROSES, 5, 60), (ROSES, 0, 7)), filled((ROSES, 5, 60))) == 0
