"""When to stop asking, as a table."""

from __future__ import annotations

import pytest

from collectors.ga4 import budget
from collectors.ga4.budget import PropertyQuota, Status
from core.clock import HOUR_MS, MINUTE_MS, parse_rfc3339

#: 09:00 in California.
NOW = parse_rfc3339("2026-11-20T17:00:00Z")
MIDNIGHT = parse_rfc3339("2026-11-21T08:00:00Z")


def left(*, day: int = 200_000, hour: int = 40_000, project: int = 14_000, cost: int = 10) -> list[budget.Left]:
    answer = PropertyQuota(
        tokens_per_day=Status(cost, day),
        tokens_per_hour=Status(cost, hour),
        tokens_per_project_per_hour=Status(cost, project),
    )
    return budget.read(answer, analytics_360=False, now=NOW)


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ({}, None),
        ({"day": 40_020}, None),
        ({"day": 40_019}, "tokens a day"),
        ({"hour": 8_019}, "tokens an hour"),
        ({"project": 2_819}, "tokens an hour of this project"),
        ({"project": 9_000, "cost": 3_200}, "tokens an hour of this project"),
    ],
)
def test_reading_stops_before_the_reserve_is_touched(given: dict[str, int], unit: str | None) -> None:
    empty = budget.exhausted(left(**given), reserve=0.2, now=NOW)
    assert (empty.unit if empty else None) == unit


def test_what_was_low_is_taken_to_be_full_again_after_its_refresh() -> None:
    hourly, daily = left(hour=0), left(day=0)
    assert budget.exhausted(hourly, reserve=0.2, now=NOW + HOUR_MS - 1)
    assert budget.exhausted(hourly, reserve=0.2, now=NOW + HOUR_MS) is None
    assert budget.exhausted(daily, reserve=0.2, now=MIDNIGHT - 1)
    assert budget.exhausted(daily, reserve=0.2, now=MIDNIGHT) is None


def test_the_bucket_nearest_its_end_is_shown() -> None:
    quota = budget.shown(left(day=150_000, hour=39_000, project=7_000))
    assert quota is not None
    assert (quota.unit, quota.used, quota.limit) == ("tokens an hour of this project", 7_000, 14_000)
    assert quota.resets_at == NOW + HOUR_MS
    assert budget.shown([]) is None


def test_a_property_of_analytics_360_has_ten_times_as_much() -> None:
    answer = PropertyQuota(tokens_per_hour=Status(10, 20_000))
    standard, tenfold = (budget.read(answer, analytics_360=is_so, now=NOW)[0].share for is_so in (False, True))
    assert (standard, tenfold) == (0.5, 0.05)


def test_more_left_than_the_documented_limit_is_no_share_above_one() -> None:
    answer = PropertyQuota(tokens_per_hour=Status(10, 390_000))
    assert budget.read(answer, analytics_360=False, now=NOW)[0].share == 1.0


@pytest.mark.parametrize(
    ("message", "wait_s"),
    [
        ("Exhausted property tokens per day. These quota tokens will return in under 24 hours.", 15 * 3600),
        ("Exhausted property tokens for a project per hour.", 3600),
        ("Exhausted concurrent requests quota.", 30),
        ("Something new.", 3600),
    ],
)
def test_a_refusal_lasts_as_long_as_its_words_say(message: str, wait_s: float) -> None:
    assert budget.wait_of(message, now=NOW) == wait_s


def test_midnight_in_california_is_right_on_the_day_the_clock_is_set_back() -> None:
    at = parse_rfc3339("2026-11-01T07:30:00Z")  # 00:30 there; the day has 25 hours
    assert budget.next_pacific_midnight(at) == parse_rfc3339("2026-11-02T08:00:00Z")
    assert budget.next_pacific_midnight(at) - at == 24 * HOUR_MS + 30 * MINUTE_MS
