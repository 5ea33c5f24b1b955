"""The correlator's SQL: one query per file under `sql/`, whose header says its grain and columns.

Values are always bound by the engine (`{name:Type}`). What cannot be bound, another query in the place of a table, is written
`{{name}}` in the file and filled by `compose` from other files, never from a caller's text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from core.errors import StoreError
from core.store.client import Store
from correlator.side_by_side import side_by_side

SQL: Final = Path(__file__).parent / "sql"
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_HEADER = re.compile(r"\A(?:--[^\n]*\n)+")


@cache
def text(name: str) -> str:
    """The query in ``sql/<name>.sql`` without its header comment.

    Raises:
        StoreError: there is no such query.
    """
    try:
        written = (SQL / f"{name}.sql").read_text("utf-8")
    except OSError as error:
        raise StoreError(f"no query {name!r} in {SQL.name}/") from error
    return _HEADER.sub("", written).strip()


@cache
def header(name: str) -> str:
    """What the query's header comment says, without the comment marks."""
    found = _HEADER.match((SQL / f"{name}.sql").read_text("utf-8"))
    return "" if found is None else re.sub(r"(?m)^--\s?", "", found[0]).strip()


def names() -> list[str]:
    """All queries, sorted."""
    return sorted(path.stem for path in SQL.glob("*.sql"))


def slots(name: str) -> set[str]:
    """The `{{slots}}` that `compose` must fill."""
    return set(_SLOT.findall(text(name)))


def compose(name: str, parts: Mapping[str, str] | None = None) -> str:
    """The query with each `{{slot}}` replaced by the text given for it in `parts`.

    Raises:
        StoreError: a slot is left open, or a part fits no slot.
    """
    given = parts or {}
    if slots(name) != set(given):
        raise StoreError(f"query {name!r} has the slots {sorted(slots(name))}, filled were {sorted(given)}")
    return _SLOT.sub(lambda slot: given[slot[1]], text(name))


def bind(sql: str, params: Mapping[str, object]) -> dict[str, object]:
    """Those of `params` that the text really uses: the engine refuses to bind others."""
    return {name: value for name, value in params.items() if f"{{{name}:" in sql}


def read(store: Store, sql: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
    """Rows of a composed query."""
    table = store.query(sql, bind(sql, params))
    found: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    return found


def insert(store: Store, table: str, columns: tuple[str, ...], select: str, params: Mapping[str, object]) -> None:
    """Write a query's rows into a derived table."""
    store.command(f"INSERT INTO {table} ({', '.join(columns)})\n{select}", bind(select, params))


def empty(store: Store, *tables: str) -> None:
    """Take every row out of intermediate tables."""
    side_by_side(tables, lambda table: store.command(f"TRUNCATE TABLE {table}"))


def refill(store: Store, table: str, columns: tuple[str, ...], select: str, params: Mapping[str, object]) -> int:
    """Replace the rows of an intermediate table by a query's; how many there are now."""
    empty(store, table)
    insert(store, table, columns, select, params)
    return count(store, table)


def count(store: Store, table: str) -> int:
    """How many rows an intermediate table has."""
    return int(str(store.rows(f"SELECT count() AS rows FROM {table}")[0]["rows"]))
