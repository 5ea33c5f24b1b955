"""What was sent to which store: the control database's side of shipping exactly once.

A range is recorded before it is sent. Confirmed ranges of a segment are folded into one row that begins at 0, so a segment costs
one row, and at most one more while a range is under way.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, Engine, delete, func, select, update

from core.control.tables import ship_ranges
from core.control.upsert import upsert
from core.journal.dead_letter import DeadLetter, bury
from core.shipping.ranges import Range


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A segment is in the store up to `end`; `under_way` was recorded and never confirmed."""

    end: int = 0
    under_way: Range | None = None
    recorded_at: int = 0


class ShipLedger:
    """Ranges of one store. Several ranges in one call cost one commit."""

    def __init__(self, engine: Engine, *, store_id: str) -> None:
        self._engine = engine
        self._store_id = store_id

    def progress(self) -> dict[str, Progress]:
        """Every segment this store has heard of."""
        query = select(ship_ranges).where(ship_ranges.c.store_id == self._store_id).order_by(ship_ranges.c.start)
        found: dict[str, Progress] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                if row.confirmed_at is not None:
                    found[row.segment] = Progress(end=row.end)
                else:
                    under_way = Range(segment=row.segment, start=row.start, end=row.end, lines=row.lines)
                    found[row.segment] = Progress(end=row.start, under_way=under_way, recorded_at=row.recorded_at)
        return found

    def last_confirmed(self) -> int:
        """When a range was last confirmed, ms; 0 when none ever was."""
        query = select(func.max(ship_ranges.c.confirmed_at)).where(ship_ranges.c.store_id == self._store_id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or 0

    def shipped_elsewhere(self) -> dict[str, int]:
        """How far each segment was shipped to any other store: up to there, loading it here is a replay."""
        query = (
            select(ship_ranges.c.segment, func.max(ship_ranges.c.end).label("end"))
            .where(ship_ranges.c.store_id != self._store_id, ship_ranges.c.confirmed_at.is_not(None))
            .group_by(ship_ranges.c.segment)
        )
        with self._engine.connect() as connection:
            return {row.segment: row.end for row in connection.execute(query)}

    def shipped_by_all(self, *, since: int) -> dict[str, int]:
        """How far each segment is in every store that was shipped to since then (a store given up holds nothing back)."""
        recent = select(ship_ranges.c.store_id).where(ship_ranges.c.recorded_at >= since).distinct()
        query = select(ship_ranges.c.store_id, ship_ranges.c.segment, ship_ranges.c.end).where(
            ship_ranges.c.confirmed_at.is_not(None)
        )
        with self._engine.connect() as connection:
            stores = {row.store_id for row in connection.execute(recent)} | {self._store_id}
            ends: dict[str, dict[str, int]] = {}
            for row in connection.execute(query):
                ends.setdefault(row.segment, {})[row.store_id] = row.end
        return {name: min(by_store.get(store, 0) for store in stores) for name, by_store in ends.items()}

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is known of segments that are no longer kept."""
        with self._engine.begin() as connection:
            for name in names:
                connection.execute(delete(ship_ranges).where(ship_ranges.c.segment == name))

    def record(self, ranges: Iterable[Range], *, now: int) -> None:
        """Write down what is about to be sent."""
        with self._engine.begin() as connection:
            for one in ranges:
                row = {"store_id": self._store_id, "segment": one.segment, "start": one.start, "end": one.end}
                upsert(connection, ship_ranges, {**row, "lines": one.lines, "recorded_at": now, "confirmed_at": None})

    def confirm(self, ranges: Iterable[Range], *, bad: Iterable[DeadLetter], now: int) -> None:
        """The ranges are in the store, but for the bad lines, which are kept as dead letters in the same transaction."""
        with self._engine.begin() as connection:
            bury(connection, bad, now=now)
            for one in ranges:
                self._confirm(connection, one, now=now)

    def _confirm(self, connection: Connection, one: Range, *, now: int) -> None:
        this_segment = (ship_ranges.c.store_id == self._store_id) & (ship_ranges.c.segment == one.segment)
        if one.start == 0:
            statement = update(ship_ranges).where(this_segment, ship_ranges.c.start == 0).values(confirmed_at=now)
        else:
            connection.execute(delete(ship_ranges).where(this_segment, ship_ranges.c.start == one.start))
            statement = (
                update(ship_ranges)
                .where(this_segment, ship_ranges.c.start == 0)
                .values(end=one.end, lines=ship_ranges.c.lines + one.lines, confirmed_at=now)
            )
        connection.execute(statement)
