"""Days and hours in a zone, across midnight and across the change to summer time."""

from __future__ import annotations

import pytest

from core.clock import parse_rfc3339
from redirect.windows import Window


def failing(moment: str, *, days: tuple[str, ...] = (), hours: str = "", zone: str = "Europe/Vienna") -> str:
    return Window(days=days, hours=hours, zone=zone).failing(parse_rfc3339(moment))


@pytest.mark.parametrize(
    ("moment", "window", "word"),
    [
        ("2026-11-20T09:00:00+01:00", {"hours": "09:00-18:00"}, ""),
        ("2026-11-20T08:59:59.999+01:00", {"hours": "09:00-18:00"}, "hours"),
        ("2026-11-20T17:59:59.999+01:00", {"hours": "09:00-18:00"}, ""),
        ("2026-11-20T18:00:00+01:00", {"hours": "09:00-18:00"}, "hours"),
        ("2026-11-20T23:59:59+01:00", {"hours": "00:00-24:00"}, ""),
        ("2026-11-20T12:00:00+01:00", {"days": ("fri",)}, ""),
        ("2026-11-20T23:30:00Z", {"days": ("fri",)}, "days"),
        ("2026-11-20T23:30:00Z", {"days": ("fri",), "zone": "UTC"}, ""),
        ("2026-11-20T23:00:00+01:00", {"days": ("fri",), "hours": "22:00-02:00"}, ""),
        ("2026-11-21T01:59:00+01:00", {"days": ("fri",), "hours": "22:00-02:00"}, ""),
        ("2026-11-21T02:00:00+01:00", {"days": ("fri",), "hours": "22:00-02:00"}, "hours"),
        ("2026-11-20T01:00:00+01:00", {"days": ("fri",), "hours": "22:00-02:00"}, "days"),
        ("2026-11-23T01:00:00+01:00", {"days": ("sun",), "hours": "22:00-02:00"}, ""),
        # The same local hour before and after the change, which UTC hours would miss by one.
        ("2026-07-20T09:00:00+02:00", {"hours": "09:00-18:00"}, ""),
        ("2026-07-20T08:30:00+02:00", {"hours": "09:00-18:00"}, "hours"),
        # 29 March 2026: 02:00 to 03:00 does not occur; 25 October: it occurs twice.
        ("2026-03-29T01:59:00+01:00", {"hours": "02:00-03:00"}, "hours"),
        ("2026-03-29T03:00:00+02:00", {"hours": "02:00-03:00"}, "hours"),
        ("2026-10-25T02:30:00+02:00", {"hours": "02:00-03:00"}, ""),
        ("2026-10-25T02:30:00+01:00", {"hours": "02:00-03:00"}, ""),
        ("2026-11-20T14:44:00Z", {"hours": "20:29-20:30", "zone": "Asia/Kathmandu"}, ""),
    ],
)  # fmt: skip
def test_a_window_opens_by_the_clock_on_the_wall(moment: str, window: dict[str, object], word: str) -> None:
    assert failing(moment, **window) == word  # type: ignore[arg-type]


def test_what_is_remembered_of_a_minute_does_not_outlive_it() -> None:
    window = Window(days=(), hours="09:00-18:00", zone="Europe/Vienna")
    start = parse_rfc3339("2026-11-20T08:59:00+01:00")
    assert [window.failing(start + ms) for ms in (0, 59_999, 60_000, 59_999)] == ["hours", "hours", "", "hours"]
