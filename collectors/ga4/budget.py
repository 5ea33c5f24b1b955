"""The Data API's token budget as a property's own answers tell it, and when to stop asking. Pure; times in ms.

Sources: "Data API limits and quotas" (daily quotas refresh at midnight PST, hourly ones within an hour; one request takes the same number
of tokens from all of them; most requests take fewer than 10) and the REST reference "PropertyQuota" (`consumed` is by this request,
`remaining` after it). Read Nov 2026.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from collectors.base import Quota
from core.clock import HOUR_MS, to_datetime
from core.zones import instant

_PACIFIC: Final = ZoneInfo("America/Los_Angeles")
#: Analytics 360 has ten times a standard property's tokens.
TENFOLD: Final = 10


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """One bucket of the quota."""

    consumed: int = 0
    remaining: int = 0


class PropertyQuota(msgspec.Struct, frozen=True, rename="camel"):
    """As the API answers it with `returnPropertyQuota`; a bucket that is missing is not known."""

    tokens_per_day: Status | None = None
    tokens_per_hour: Status | None = None
    tokens_per_project_per_hour: Status | None = None
    concurrent_requests: Status | None = None
    server_errors_per_project_per_hour: Status | None = None
    potentially_thresholded_requests_per_hour: Status | None = None


class _Bucket(msgspec.Struct, frozen=True):
    """`limit` of a standard property; `daily` ones come back at midnight Pacific, the others within the hour."""

    field: str
    unit: str
    limit: int
    daily: bool = False


_TOKENS: Final = (
    _Bucket("tokens_per_day", "tokens a day", 200_000, daily=True),
    _Bucket("tokens_per_hour", "tokens an hour", 40_000),
    _Bucket("tokens_per_project_per_hour", "tokens an hour of this project", 14_000),
)


class Left(msgspec.Struct, frozen=True):
    """What is left of one bucket, as last told."""

    unit: str
    limit: int
    remaining: int
    consumed: int
    resets_at: int

    @property
    def share(self) -> float:
        return self.remaining / self.limit


def read(answer: PropertyQuota, *, analytics_360: bool, now: int) -> list[Left]:
    """The token buckets that an answer told, the nearest to its end first."""
    factor = TENFOLD if analytics_360 else 1
    found = []
    for bucket in _TOKENS:
        status: Status | None = getattr(answer, bucket.field)
        if status is not None:
            # A property with more than we were told of is one with a higher limit: never more than all is left.
            limit = max(bucket.limit * factor, status.remaining)
            resets_at = next_pacific_midnight(now) if bucket.daily else now + HOUR_MS
            found.append(Left(bucket.unit, limit, status.remaining, status.consumed, resets_at))
    return sorted(found, key=lambda left: left.share)


def exhausted(left: list[Left], *, reserve: float, now: int) -> Left | None:
    """The bucket that the next request would take below its reserve; None while all have enough, or were filled up since."""
    for bucket in left:
        # The next request is taken to cost twice the last one: the span or the traffic may be larger.
        if now < bucket.resets_at and bucket.remaining - 2 * bucket.consumed < reserve * bucket.limit:
            return bucket
    return None


def shown(left: list[Left]) -> Quota | None:
    """The bucket that is nearest its end."""
    if not left:
        return None
    first = left[0]
    return Quota(unit=first.unit, used=first.limit - first.remaining, limit=first.limit, resets_at=first.resets_at)


def wait_of(message: str, *, now: int) -> float:
    """How long a refusal for quota lasts, in seconds, by its words ("Exhausted property tokens per day. …")."""
    text = message.lower()
    if "concurrent" in text:
        return 30.0
    if "per day" in text or "24 hours" in text:
        return (next_pacific_midnight(now) - now) / 1000
    return 3600.0


def next_pacific_midnight(now: int) -> int:
    today = to_datetime(now).astimezone(_PACIFIC).date()
    return instant(datetime.combine(today + timedelta(days=1), time()), zone=_PACIFIC)
