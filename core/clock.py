"""Time is taken once and handed in; this is where it is taken.

Every instant that travels is an ``int``: milliseconds since the Unix epoch, UTC. `datetime` appears only at the edges
(RFC 3339 in HTTP bodies, `DateTime64` in the store).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    """Current time in milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def to_datetime(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_rfc3339(ms: int) -> str:
    """Milliseconds since the epoch as ``2026-11-20T10:00:00.000Z``."""
    return to_datetime(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> int:
    """RFC 3339 with a zone as milliseconds since the epoch.

    Raises:
        ValueError: not RFC 3339, or without a zone (a local time would be guessed).
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-11-20T10:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z or an offset such as +01:00")
    return round(moment.timestamp() * 1000)


def floor_minute(ms: int) -> int:
    """Start of the minute that contains `ms`."""
    return ms - ms % MINUTE_MS
