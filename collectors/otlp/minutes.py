"""SERVER spans as `service` minutes: requests, errors and durations per service, route, version and device."""

from __future__ import annotations

from bisect import bisect_left

from collectors.otlp.signals import SERVER, SpanData
from core.clock import floor_minute
from core.records import DURATION_BOUNDS_S, Service
from core.user_agents import describe

SOURCE = "otlp"
OTHER = "(other)"
#: A host's clock may run ahead; a request cannot have ended later than it was reported, so such an end is moved to now.
MAX_TEXT = 256

_Key = tuple[int, str, str, str, str]


class _Cell:
    __slots__ = ("buckets", "duration_s", "errors", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.duration_s = 0.0
        self.buckets = [0] * (len(DURATION_BOUNDS_S) + 1)


class ServiceMinutes:
    """Adds up requests between two flushes. Not thread-safe: the receiver's worker owns it.

    A request belongs to the minute in which it ended: a minute is then complete as soon as its last export came in.
    """

    def __init__(self, *, max_routes: int) -> None:
        self._max_routes = max_routes
        self._cells: dict[_Key, _Cell] = {}

    def add(self, span: SpanData, *, now: int) -> None:
        """Count a span if it is a server's."""
        if span.kind != SERVER:
            return
        minute = floor_minute(min(span.end_ns // 1_000_000, now))
        duration_s = max(0, span.end_ns - span.start_ns) / 1e9
        cell = self._cell((minute, span.service, span.route[:MAX_TEXT], span.version, describe(span.user_agent).device))
        cell.requests += 1
        cell.errors += span.failed
        cell.duration_s += duration_s
        cell.buckets[bisect_left(DURATION_BOUNDS_S, duration_s)] += 1

    def flush(self) -> list[Service]:
        """What was counted since the last flush, as additive records with the minute's start as event time."""
        cells, self._cells = self._cells, {}
        return [
            Service(
                ts=minute,
                source=SOURCE,
                service=service,
                route=route,
                version=version,
                device=device,
                requests=cell.requests,
                errors=cell.errors,
                buckets=cell.buckets,
                duration_sum_s=cell.duration_s,
            )
            for (minute, service, route, version, device), cell in cells.items()
        ]

    def _cell(self, key: _Key) -> _Cell:
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= 2 * self._max_routes:
                # Even names of services can be made up without end.
                key = (key[0], OTHER, OTHER, "", "")
            elif len(self._cells) >= self._max_routes:
                # Routes come from outside: a service that puts IDs into them must not fill the memory.
                key = (key[0], key[1], OTHER, key[3], key[4])
            cell = self._cells.setdefault(key, _Cell())
        return cell
