"""What was sent to which store: the control database's side of shipping exactly once.

A range is recorded before it is sent. Confirmed ranges of a segment are folded into one row that begins at 0, so a segment costs
one row, and at most one more while a range is under way.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, Engine, delete, func, select, update

from core.control.tables import dead_letters, ship_ranges
from core.control.upsert import upsert
from core.shipping.ranges import BadLine, Range


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A segment is in the store up to `end`; `under_way` was recorded and never confirmed."""

    end: int = 0
    under_way: Range | None = None


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
                    found[row.segment] = Progress(end=row.start, under_way=under_way)
        return found

    def shipped_elsewhere(self) -> dict[str, int]:
        """How far each segment was shipped to any other store: up to there, loading it here is a replay."""
        query = (
            select(ship_ranges.c.segment, func.max(ship_ranges.c.end).label("end"))
            .where(ship_ranges.c.store_id != self._store_id, ship_ranges.c.confirmed_at.is_not(None))
            .group_by(ship_ranges.c.segment)
        )
        with self._engine.connect() as connection:
            return {row.segment: row.end for row in connection.execute(query)}

    def record(self, ranges: Iterable[Range], *, now: int) -> None:
        """Write down what is about to be sent."""
        with self._engine.begin() as connection:
            for one in ranges:
                row = {"store_id": self._store_id, "segment": one.segment, "start": one.start, "end": one.end}
                upsert(connection, ship_ranges, {**row, "lines": one.lines, "recorded_at": now, "confirmed_at": None})

    def confirm(self, ranges: Iterable[Range], *, bad: Iterable[BadLine], now: int) -> None:
        """The ranges are in the store, but for the bad lines, which are kept as dead letters in the same transaction."""
        with self._engine.begin() as connection:
            for letter in bad:
                _bury(connection, letter, now=now)
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


def bury(engine: Engine, letters: Iterable[BadLine], *, now: int) -> None:
    """Keep lines that cannot be loaded, in a transaction of their own."""
    with engine.begin() as connection:
        for letter in letters:
            _bury(connection, letter, now=now)


def _bury(connection: Connection, letter: BadLine, *, now: int) -> None:
    known = select(dead_letters.c.o).where(dead_letters.c.segment == letter.segment, dead_letters.c.o == letter.o)
    if connection.execute(known).first() is None:  # a replay meets the same bad lines again
        row = {"segment": letter.segment, "o": letter.o, "reason": letter.reason, "detail": letter.detail[:2000]}
        connection.execute(dead_letters.insert().values(**row, line=letter.line, at=now))
