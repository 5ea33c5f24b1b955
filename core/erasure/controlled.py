"""Takes erased people out of the control database: dead letters, the sent log of uploads, lives of conversions, and what mentions a click.

SQLite overwrites what is deleted (`secure_delete`) and its log is emptied afterwards, so the file holds nothing of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Engine, Table, and_, delete, select, update

from core.control.tables import (
    actions,
    checkpoints,
    dead_letters,
    ledger,
    postback_lives,
    rule_states,
    uploads,
    watched_destinations,
)
from core.erasure.lines import clean, concerns, without_mentions
from core.erasure.tombstones import Tombstones

#: Texts of ours that may name a click as evidence or example.
_MENTIONS: Final[tuple[Column[Any], ...]] = (
    actions.c.payload,
    ledger.c.payload,
    rule_states.c.payload,
    watched_destinations.c.seen,
    watched_destinations.c.findings,
    checkpoints.c.value,
)


class _Life(msgspec.Struct, frozen=True, kw_only=True):
    conversion: msgspec.Raw


def erase(engine: Engine, tombstones: Tombstones) -> dict[str, int]:
    """Delete or mend every row that tells of the erased; rows by table. All of it or nothing."""
    changed: Counter[str] = Counter()
    if not tombstones:
        return changed
    with engine.begin() as connection:
        for table, where, values in _concerned(connection, tombstones):
            statement = update(table).values(**values) if values else delete(table)
            changed[table.name] += connection.execute(statement.where(where)).rowcount
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return dict(changed)


def count(engine: Engine, tombstones: Tombstones) -> dict[str, int]:
    """Rows that tell of the erased, by table."""
    if not tombstones:
        return {}
    with engine.connect() as connection:
        return dict(Counter(table.name for table, _, _ in _concerned(connection, tombstones)))


def _concerned(connection: Connection, tombstones: Tombstones) -> Iterator[tuple[Table, Any, dict[str, Any]]]:
    """(table, which row, its new values; none = it goes)."""
    for table, judge in _JUDGES.items():
        for row in connection.execute(select(table)).all():
            if judge(row, tombstones):
                yield table, _this(table, row), {}
    for column in _MENTIONS:
        table = column.table
        for row in connection.execute(select(*table.primary_key, column)).all():
            value = getattr(row, column.name)
            raw = bytes(value) if isinstance(value, bytes | memoryview) else msgspec.json.encode(value)
            fresh = without_mentions(raw, tombstones)
            if fresh != raw:
                mended = fresh if isinstance(value, bytes | memoryview) else msgspec.json.decode(fresh)
                yield table, _this(table, row), {column.name: mended}


def _this(table: Table, row: Any) -> Any:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))


def _of_dead_letter(row: Any, tombstones: Tombstones) -> bool:
    return bool(clean(bytes(row.line), tombstones).erased)


def _of_upload(row: Any, tombstones: Tombstones) -> bool:
    names = tombstones.holds("fact_id", row.conversion, ts=row.event_ts)
    return names or tombstones.holds("order_id", row.event_id, ts=row.event_ts)


def _of_life(row: Any, tombstones: Tombstones) -> bool:
    try:
        return concerns("conversion", bytes(msgspec.json.decode(row.life, type=_Life).conversion), tombstones)
    except msgspec.DecodeError:
        return bool(clean(bytes(row.life), tombstones).erased)


_JUDGES: Final[dict[Table, Callable[[Any, Tombstones], bool]]] = {
    dead_letters: _of_dead_letter,
    uploads: _of_upload,
    postback_lives: _of_life,
}
