"""What a source's answers look like: rows, how often each column has a value, when they happened. Pure; times in ms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from collectors.windows import Window
from core.clock import HOUR_MS
from core.records import Record

_EMPTY: Final[tuple[object, ...]] = (None, "", [], {}, ())


#: No vendor's column has a space in its name.
_OF: Final = " of "


class Column(msgspec.Struct, frozen=True):
    """In how many rows it could stand, and in how many of them it had a value."""

    rows: int
    filled: int

    @property
    def share(self) -> float:
        return self.filled / self.rows if self.rows else 0.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of all rows of one answer, or of several added up."""

    rows: int = 0
    columns: dict[str, Column] = {}

    def __add__(self, other: Shape) -> Shape:
        columns = dict(self.columns)
        for name, column in other.columns.items():
            mine = columns.get(name, Column(0, 0))
            columns[name] = Column(mine.rows + column.rows, mine.filled + column.filled)
        return Shape(rows=self.rows + other.rows, columns=columns)

    def of(self, kind: str) -> Shape:
        """The same with columns that name what they are of, for a source of several kinds of rows of which one may stay away."""
        return Shape(rows=self.rows, columns={f"{name}{_OF}{kind}": column for name, column in self.columns.items()})


def shape_of(rows: Iterable[Mapping[str, Any]], *, expected: Iterable[str] = ()) -> Shape:
    """The shape of a vendor's raw rows; a column that a row lacks counts as empty there.

    `expected` are the columns that were asked for: they are known from the start, so that an optional one that is filled for the
    first time after months is no news.
    """
    filled = dict.fromkeys(expected, 0)
    count = 0
    for row in rows:
        count += 1
        for name, value in row.items():
            filled[name] = filled.get(name, 0) + (value not in _EMPTY)
    return Shape(rows=count, columns={name: Column(count, n) for name, n in filled.items()})


def is_of_a_kind(column: str) -> bool:
    """Whether the column belongs to one of several kinds of rows, such as our records."""
    return _OF in column


def shape_of_records(records: Iterable[Record]) -> Shape:
    """The shape of what became of the rows: one column per kind and field (`campaign of spend`). Numbers are always filled."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_kind.setdefault(str(record.__struct_config__.tag), []).append(msgspec.structs.asdict(record))
    shape = Shape()
    for kind, rows in by_kind.items():
        shape += shape_of(rows).of(kind)
    return shape


def rows_by_hour(records: Iterable[Record], window: Window, *, since: int) -> dict[int, int]:
    """Rows in each hour of event time from `since` on that the window covers whole, empty hours included. A row of a longer bucket
    counts in the bucket's last hour: before, it is not complete."""
    first = max(window.since, since - since % HOUR_MS)
    counts = dict.fromkeys(range(first + -first % HOUR_MS, window.until - HOUR_MS + 1, HOUR_MS), 0)
    for record in records:
        ends = record.ts + max(1, getattr(record, "bucket_s", 0) * 1000) - 1
        hour = ends - ends % HOUR_MS
        if hour in counts:
            counts[hour] += 1
    return counts
