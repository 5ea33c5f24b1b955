from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collectors.source_config import SourceConfig
from collectors.windows import Position, Window, advance, complete_through, older, plan, reach_back
from core.clock import DAY_MS, HOUR_MS

NOW = 1_790_000_000_000 // HOUR_MS * HOUR_MS
CONFIG = SourceConfig(
    documented_lag_s=3 * 3600,
    recent_s=24 * 3600,
    restatement_s=28 * 86_400,
    restatement_interval_s=6 * 3600,
    backfill_s=30 * 86_400,
    window_s=7 * 86_400,
)


def run(position: Position, *, now: int, windows: int | None = None) -> Position:
    """The position after a run that got through `windows` of its windows, or all."""
    planned = plan(position, CONFIG, now=now)
    for window in planned[:windows]:
        position = advance(position, window, CONFIG, last=window is planned[-1], now=now)
    return position


def test_the_first_read_is_the_back_fill_in_windows_without_gaps() -> None:
    windows = plan(Position(), CONFIG, now=NOW)
    assert (windows[0].since, windows[-1].until) == (NOW - 30 * DAY_MS, NOW)
    assert all(left.until == right.since for left, right in pairwise(windows))
    assert max(window.until - window.since for window in windows) <= 7 * DAY_MS


def test_an_interrupted_back_fill_goes_on_where_it_stopped() -> None:
    position = run(Position(), now=NOW, windows=2)
    resumed = plan(position, CONFIG, now=NOW + HOUR_MS)
    assert NOW - 17 * DAY_MS <= resumed[0].since <= NOW - 16 * DAY_MS
    assert complete_through(position, CONFIG) == NOW - 16 * DAY_MS


def test_a_normal_read_covers_the_recent_span_only() -> None:
    position = run(Position(), now=NOW)
    (window,) = plan(position, CONFIG, now=NOW + HOUR_MS)
    assert (window.since, window.until) == (NOW + HOUR_MS - DAY_MS, NOW + HOUR_MS)


def test_after_an_outage_the_read_starts_before_where_it_ended() -> None:
    position = run(Position(), now=NOW)
    config = CONFIG.model_copy(update={"restatement_s": 0})
    (window,) = plan(position, config, now=NOW + 5 * DAY_MS)
    assert window.since == NOW - 3 * HOUR_MS


def test_what_may_be_restated_is_read_again_at_its_own_pace_and_over_interruptions() -> None:
    position = run(Position(), now=NOW)
    later = NOW + 6 * HOUR_MS
    windows = plan(position, CONFIG, now=later)
    assert windows[0].since == later - 28 * DAY_MS
    position = run(position, now=later, windows=1)
    resumed = plan(position, CONFIG, now=later + HOUR_MS)
    assert resumed[0].since == later - 21 * DAY_MS
    position = run(position, now=later + HOUR_MS)
    assert len(plan(position, CONFIG, now=later + 2 * HOUR_MS)) == 1


def test_the_watermark_stays_behind_by_the_documented_lag() -> None:
    position = run(Position(), now=NOW)
    assert complete_through(position, CONFIG) == NOW - 3 * HOUR_MS
    assert complete_through(Position(), CONFIG) == 0


def test_reading_old_days_again_does_not_complete_the_newest() -> None:
    position = run(Position(), now=NOW)
    position = run(position, now=NOW + 6 * HOUR_MS, windows=1)
    assert complete_through(position, CONFIG) == NOW - 3 * HOUR_MS


@given(
    read_through=st.integers(0, 40 * DAY_MS),
    resume=st.integers(0, 28 * DAY_MS),
    restated=st.integers(0, DAY_MS),
    stop_after=st.integers(0, 6),
)
def test_whatever_the_position_windows_are_bounded_ordered_and_reach_now(
    read_through: int, resume: int, restated: int, stop_after: int
) -> None:
    position = Position(
        read_through=NOW - read_through, read_at=NOW - read_through, restated_at=NOW - restated,
        resume_from=NOW - resume if resume else 0,
    )  # fmt: skip
    windows = plan(position, CONFIG, now=NOW)
    assert windows[-1].until == NOW
    assert all(0 < window.until - window.since <= 7 * DAY_MS for window in windows)
    assert windows == sorted(windows, key=lambda window: window.since)
    after = run(position, now=NOW, windows=stop_after)
    assert complete_through(after, CONFIG) >= complete_through(position, CONFIG)
    assert isinstance(windows[0], Window)


def test_a_longer_back_fill_reads_what_it_lacks_newest_first_and_goes_on_where_it_was() -> None:
    short, long = SourceConfig(backfill_s=5 * 86_400), SourceConfig(backfill_s=30 * 86_400, window_s=10 * 86_400)
    position = Position()
    for window in plan(position, short, now=NOW):
        position = advance(position, window, short, last=True, now=NOW)
    assert older(position, short, now=NOW) == []
    missing = older(position, long, now=NOW)
    assert [window.until for window in missing] == [position.filled_from, *(window.since for window in missing[:-1])]
    assert missing[-1].since == floor_hour(NOW - 30 * DAY_MS)
    begun = reach_back(position, missing[0])
    assert older(begun, long, now=NOW) == missing[1:]
    assert begun.read_through == position.read_through
    for window in missing[1:]:
        begun = reach_back(begun, window)
    assert older(begun, long, now=NOW + DAY_MS) == [], "days that pass leave nothing behind"


def floor_hour(ms: int) -> int:
    return ms - ms % HOUR_MS
