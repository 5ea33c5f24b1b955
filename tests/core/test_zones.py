"""Local hours and days of every kind of clock fill the time without gap or overlap."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.clock import HOUR_MS, to_datetime, to_rfc3339
from core.vendors.config import AccountConfig
from core.zones import day_bucket, hour_bucket, instant, local_day, zone

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Africa/Casablanca", "America/St_Johns", "Asia/Tehran",
)  # fmt: skip
DAYS = st.dates(date(2005, 1, 1), date(2037, 12, 31))


@settings(max_examples=300, deadline=None)
@example("Europe/Berlin", date(2026, 10, 25))
@example("Europe/Berlin", date(2026, 3, 29))
@example("Australia/Lord_Howe", date(2026, 4, 5))
@example("America/St_Johns", date(2008, 11, 2))
@example("Pacific/Apia", date(2011, 12, 30))
@given(st.sampled_from(ZONES), DAYS)
def test_the_hours_of_a_day_fill_it_without_gap_or_overlap(name: str, day: date) -> None:
    there = ZoneInfo(name)
    whole = day_bucket(day, zone=there)
    end = day_bucket(day + timedelta(days=1), zone=there).start
    hours = [hour_bucket(day, hour, zone=there) for hour in range(24)]
    starts = [hour.start for hour in hours]
    assert starts == sorted(starts)
    assert starts[0] == whole.start
    for hour, following in zip(hours, [*starts[1:], end], strict=True):
        # An hour that the clock skipped has no time of its own.
        assert hour.start + hour.length_s * 1000 == following or (following == hour.start and hour.length_s == 60)


@settings(max_examples=300, deadline=None)
@example("Europe/Berlin", 1_792_890_000_000)
@given(st.sampled_from(ZONES), st.integers(1_104_537_600_000, 2_145_916_800_000))
def test_an_instant_lies_in_the_hour_that_the_wall_shows(name: str, ms: int) -> None:
    there = ZoneInfo(name)
    wall = to_datetime(ms).astimezone(there)
    bucket = hour_bucket(wall.date(), wall.hour, zone=there)
    assert local_day(ms, zone=there) == wall.date()
    if name != "America/St_Johns":  # until 2011 its clock was set back a minute after midnight, into the day before
        assert bucket.start <= ms < bucket.start + bucket.length_s * 1000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), st.builds(datetime.combine, DAYS, st.times()))
def test_a_local_time_is_reached_at_the_instant_and_not_a_second_before(name: str, wall: datetime) -> None:
    wall = wall.replace(microsecond=0)
    there = ZoneInfo(name)
    at = instant(wall, zone=there)
    shown = to_datetime(at).astimezone(there).replace(tzinfo=None)
    assert shown >= wall
    assert to_datetime(at - 1000).astimezone(there).replace(tzinfo=None) < wall or shown > wall


@pytest.mark.parametrize(
    ("name", "day", "hour", "start", "length_s"),
    [
        ("Europe/Berlin", "2026-10-25", 1, "2026-10-24T23:00:00.000Z", 3600),
        ("Europe/Berlin", "2026-10-25", 2, "2026-10-25T00:00:00.000Z", 7200),
        ("Europe/Berlin", "2026-10-25", 3, "2026-10-25T02:00:00.000Z", 3600),
        ("Europe/Berlin", "2026-03-29", 2, "2026-03-29T01:00:00.000Z", 60),
        ("Europe/Berlin", "2026-03-29", 3, "2026-03-29T01:00:00.000Z", 3600),
        ("America/New_York", "2026-11-01", 1, "2026-11-01T05:00:00.000Z", 7200),
        ("Asia/Kolkata", "2026-06-01", 9, "2026-06-01T03:30:00.000Z", 3600),
        ("Australia/Lord_Howe", "2026-04-05", 1, "2026-04-04T14:00:00.000Z", 5400),
        ("Australia/Lord_Howe", "2026-10-04", 2, "2026-10-03T15:30:00.000Z", 1800),
    ],
)
def test_an_hour_of_the_day_the_clock_is_set(name: str, day: str, hour: int, start: str, length_s: int) -> None:
    bucket = hour_bucket(date.fromisoformat(day), hour, zone=ZoneInfo(name))
    assert (to_rfc3339(bucket.start), bucket.length_s) == (start, length_s)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_a_day_has_as_many_hours_as_the_clock_gives_it(day: str, hours: int) -> None:
    assert day_bucket(date.fromisoformat(day), zone=ZoneInfo("Europe/Berlin")).length_s * 1000 == hours * HOUR_MS


def test_a_zone_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        zone("Europe/Atlantis")
    with pytest.raises(ValueError, match="is not a time zone"):
        zone("no/../zone")
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        AccountConfig(platform="google", account="1", timezone="Europe/Atlantis")
