"""Local days and hours of an account as instants: what a report in another time zone means on our clock.

A local day is cut into buckets that fill it without gap or overlap, whatever the clock does: a bucket begins at the first instant at
which the wall clock reaches its name and ends where the next one begins. So when the clock is set back, the hour that exists twice is
one bucket of two hours (a platform reports it as one row), a day has 23, 24 or 25 hours, and where the clock jumps by half an hour
an hour has 30 or 90 minutes.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from core.clock import MINUTE_MS, to_datetime

_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """[start, start + length_s): `start` in ms since the epoch, UTC."""

    start: int
    length_s: int


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin or UTC") from None


def local_day(ms: int, *, zone: tzinfo) -> date:
    """The day that a calendar on the wall shows at this instant."""
    return to_datetime(ms).astimezone(zone).date()


@lru_cache(maxsize=4_096)
def hour_bucket(day: date, hour: int, *, zone: tzinfo) -> Bucket:
    """The hour `hour` (0 to 23) of a local day.

    An hour that the clock skips has no length; what a platform reports for it all the same is kept in the minute at the jump, so that
    its money is neither lost nor taken for the next hour's.

    Raises:
        ValueError: `hour` is none.
    """
    wall = datetime.combine(day, time(hour))
    start, end = _reaches(wall, zone=zone), _reaches(wall + _HOUR, zone=zone)
    return Bucket(start=start, length_s=(end - start) // 1000 or MINUTE_MS // 1000)


@lru_cache(maxsize=4_096)
def day_bucket(day: date, *, zone: tzinfo) -> Bucket:
    """A local day: 23, 24 or 25 hours, where the clock is never set otherwise. A day that a country skipped is a minute."""
    wall = datetime.combine(day, time())
    start, end = _reaches(wall, zone=zone), _reaches(wall + timedelta(days=1), zone=zone)
    return Bucket(start=start, length_s=(end - start) // 1000 or MINUTE_MS // 1000)


def instant(wall: datetime, *, zone: tzinfo) -> int:
    """The first instant (ms) at which the wall clock shows or passes a local time without zone."""
    return _reaches(wall, zone=zone)


def _reaches(wall: datetime, *, zone: tzinfo) -> int:
    """First instant at which the wall clock shows `wall` or later than it."""
    early, late = _utc(wall, 1, zone=zone), _utc(wall, 0, zone=zone)
    if early >= late:
        # It exists: once, or twice and then the earlier is fold 0.
        return _ms(late)
    # The clock jumps over it somewhere in (early, late]: the jump is what reaches it.
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle.astimezone(zone).replace(tzinfo=None) >= wall:
            late = middle
        else:
            early = middle
    return _ms(late)


def _utc(wall: datetime, fold: int, *, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
