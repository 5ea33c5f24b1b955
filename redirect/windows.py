"""Days and hours in a zone, decided on local wall-clock time, so that a change to summer time moves nothing by an hour.

An hour that a change skips does not occur that day; one that it repeats occurs twice.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from zoneinfo import ZoneInfo

from core.clock import MINUTE_MS, to_datetime
from redirect import reasons
from redirect.links.routing import DAYS, parse_hours

_WHOLE_DAY: Final = (0, 1440)


class Window:
    """Days and hours of one rule. `failing` is "" while the window is open, else `days` or `hours`.

    Offsets of zones are whole minutes, so an answer holds for its minute and is remembered for as long: a worker serves many
    hits in one minute, and a zone costs more than a whole redirect.
    """

    __slots__ = ("_days", "_end", "_known", "_start", "_zone")

    def __init__(self, *, days: Collection[str], hours: str, zone: str) -> None:
        self._days = frozenset(DAYS.index(day) for day in days) or frozenset(range(7))
        self._start, self._end = parse_hours(hours) if hours else _WHOLE_DAY
        self._zone = ZoneInfo(zone)
        self._known = (-1, "")

    def failing(self, now: int) -> str:
        minute = now // MINUTE_MS
        known_minute, word = self._known
        if minute != known_minute:
            word = self._look(minute)
            self._known = (minute, word)
        return word

    def _look(self, minute: int) -> str:
        local = to_datetime(minute * MINUTE_MS).astimezone(self._zone)
        day, at = local.weekday(), local.hour * 60 + local.minute
        if self._start < self._end:
            inside = self._start <= at < self._end
        else:
            inside = at >= self._start or at < self._end
            # After midnight the window still belongs to the day on which it began.
            day = day if at >= self._start else (day - 1) % 7
        if not inside:
            return reasons.NOT_HOURS
        return "" if day in self._days else reasons.NOT_DAYS
