"""Takes erased people out of the store: the journal's tables line by line, the derived ones by identifier, and looks whether any is left.

The engine computes the same keyed digests as we do, so nothing but them is needed, also after a restart. A deletion's text is kept by the
engine for a while; it names working tables, never a value. Statements are synchronous; one that was cut short is begun again whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from core.erasure.identifiers import FIELDS, MENTIONING, NAMES, Name
from core.erasure.tombstones import Tombstones
from core.records import Kinds
from core.store.client import Store

#: Of the tables that an erasure works with, and of its record, no row is about a person.
_OURS: Final = frozenset({"erasure", "erasure_line", "erasure_key"})
_SYNC: Final = "SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1"
#: Whole tables are read: longer than a question of people may take.
_PATIENT: Final[dict[str, object]] = {"max_execution_time": 3600, "log_queries": 0}
_SETTINGS: Final = ", ".join(f"{name} = {value}" for name, value in _PATIENT.items())
_LINE: Final = "(toString(segment), o)"
_ID: Final = r"\\b[0-9a-f]{32}\\b"


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A table that can hold identifiers: column -> (identifier, whether it is 16 bytes instead of text)."""

    name: str
    columns: dict[str, tuple[Name, bool]]
    has_line: bool
    has_ts: bool

    @property
    def derived(self) -> bool:
        return self.name not in Kinds.BY_NAME


class StoredPeople:
    """Erases in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def erase(self, tombstones: Tombstones) -> dict[str, int]:
        """Delete every row of the erased; rows by table.

        1. Note the journal lines that are erased, and what else goes by line (flags of hits).
        2. Note the identifiers in derived tables, and delete there by them; then by line; then the journal's own rows.
        3. Take click and visitor IDs out of payloads that mention them.

        Raises:
            StoreError: the store did not do it; call it again.
        """
        if not tombstones:
            return {}
        tables = list(self.tables())
        params = _params(tombstones)
        self._forget()
        found = self.count(tombstones)
        for table in tables:
            if not table.derived and found.get(table.name):
                self._run(
                    f"INSERT INTO erasure_line SELECT {_LINE}.1, o FROM {table.name} WHERE {_erased(table)}", params
                )
        for table in tables:
            if table.derived and found.get(table.name):
                self._delete_by_key(table, params)
        for name in self._by_line():
            found[name] = self._delete(name, f"{_LINE} IN (SELECT segment, o FROM erasure_line)")
        for table in tables:
            if not table.derived and found.get(table.name):
                self._delete(table.name, f"{_LINE} IN (SELECT segment, o FROM erasure_line)")
        self._take_out_mentions(found, params)
        self._forget()
        return {name: rows for name, rows in found.items() if rows}

    def count(self, tombstones: Tombstones) -> dict[str, int]:
        """Rows of the erased by table, those that only mention one included; none of it is written."""
        if not tombstones:
            return {}
        parts = [
            f"SELECT '{table.name}' AS name, count() AS n FROM {table.name} WHERE {_erased(table)}"
            for table in self.tables()
        ]
        parts += [
            f"SELECT '{kind}' AS name, count() AS n FROM {kind} WHERE {_mentions()}" for kind in sorted(MENTIONING)
        ]
        rows = self._store.query(" UNION ALL ".join(parts), _params(tombstones), settings=_PATIENT).to_pylist()
        return {str(row["name"]): int(row["n"]) for row in rows if row["n"]}

    def tables(self) -> Iterator[Holding]:
        """Every table with a column that is called as an identifier is."""
        columns: dict[str, dict[str, str]] = {}
        rows = self._store.rows(
            "SELECT c.table AS table, c.name AS name, c.type AS type FROM system.columns AS c"
            " INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table"
            " WHERE c.database = currentDatabase() AND endsWith(t.engine, 'MergeTree') ORDER BY c.table, c.name"
        )
        for row in rows:
            columns.setdefault(str(row["table"]), {})[str(row["name"])] = str(row["type"])
        for name, types in columns.items():
            wanted = _columns(name, types)
            if wanted:
                yield Holding(
                    name=name, columns=wanted, has_line={"segment", "o"} <= types.keys(), has_ts="ts" in types
                )

    def _by_line(self) -> list[str]:
        """Derived tables whose rows name a journal line and no identifier."""
        rows = self._store.rows(
            "SELECT table FROM system.columns WHERE database = currentDatabase() AND name IN ('segment', 'o')"
            " AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree'))"
            " GROUP BY table HAVING count() = 2 ORDER BY table"
        )
        return [str(row["table"]) for row in rows if row["table"] not in Kinds.BY_NAME and row["table"] not in _OURS]

    def _delete_by_key(self, table: Holding, params: Mapping[str, object]) -> None:
        """Deleted by the identifiers that the table itself holds: a restart finds them again, whatever is gone elsewhere."""
        self._run("TRUNCATE TABLE erasure_key SYNC")
        for column, (name, fixed) in table.columns.items():
            erased = _holds(name, column, fixed=fixed, ts=_ts(table))
            sql = f"INSERT INTO erasure_key SELECT DISTINCT '{name}', {_text(column, fixed=fixed)} FROM {table.name} WHERE {erased}"
            self._run(sql, params)
        conditions = [
            f"{column} IN (SELECT {'toFixedString(unhex(value), 16)' if fixed else 'value'} FROM erasure_key WHERE name = '{name}')"
            for column, (name, fixed) in table.columns.items()
        ]
        self._delete(table.name, " OR ".join(conditions))

    def _take_out_mentions(self, found: Mapping[str, int], params: Mapping[str, object]) -> None:
        for kind in sorted(MENTIONING):
            if not found.get(kind):
                continue
            self._run("TRUNCATE TABLE erasure_key SYNC")
            ids = f"SELECT arrayJoin(extractAll(payload, '{_ID}')) AS id FROM {kind}"
            erased = " OR ".join(_digest_holds(name, "id", ts="0") for name in ("click_id", "visitor_id"))
            self._run(f"INSERT INTO erasure_key SELECT DISTINCT 'mention', id FROM ({ids}) WHERE {erased}", params)
            pattern = "(SELECT arrayStringConcat(groupArray(value), '|') FROM erasure_key WHERE name = 'mention')"
            self._run(
                f"ALTER TABLE {kind} UPDATE payload = replaceRegexpAll(payload, {pattern}, '{'0' * 32}')"
                f" WHERE match(payload, {pattern}) {_SYNC}"
            )

    def _delete(self, table: str, condition: str) -> int:
        """Delete for good: parts are written anew, nothing is only masked."""
        rows = self._store.query(f"SELECT count() AS n FROM {table} WHERE {condition}", settings=_PATIENT).to_pylist()
        if rows and rows[0]["n"]:
            self._run(f"ALTER TABLE {table} DELETE WHERE {condition} {_SYNC}")
        return int(rows[0]["n"]) if rows else 0

    def _forget(self) -> None:
        for table in ("erasure_line", "erasure_key"):
            self._store.command(f"TRUNCATE TABLE {table} SYNC")

    def _run(self, sql: str, params: Mapping[str, object] | None = None) -> None:
        clause = ("," if "SETTINGS" in sql else " SETTINGS") + f" {_SETTINGS}"
        self._store.command(sql if sql.startswith("TRUNCATE") else sql + clause, params)


def _columns(table: str, types: Mapping[str, str]) -> dict[str, tuple[Name, bool]]:
    """The identifiers of a table, by column: of the journal's kinds as `FIELDS` says, of derived tables by the column's name."""
    if table in _OURS:
        return {}
    named: Iterable[tuple[str, Name]] = FIELDS.get(table, {}).items()
    if table not in Kinds.BY_NAME:
        named = [(name, name) for name in NAMES]
    return {column: (name, types[column].startswith("FixedString")) for column, name in named if column in types}


def _params(tombstones: Tombstones) -> dict[str, object]:
    return {
        "secret": tombstones.pseudonyms.secret,
        "digests": list(tombstones.until),
        "untils": list(tombstones.until.values()),
    }


def _erased(table: Holding) -> str:
    conditions = [_holds(name, column, fixed=fixed, ts=_ts(table)) for column, (name, fixed) in table.columns.items()]
    if table.name == "conversion":
        told = _digest_holds("click_id", "lower(hex(substring(SHA256(concat(p, ':', v)), 1, 16)))", ts=_ts(table))
        conditions.append(f"arrayExists((p, v) -> {told}, mapKeys(platform_ids), mapValues(platform_ids))")
    return " OR ".join(conditions)


def _mentions() -> str:
    told = " OR ".join(_digest_holds(name, "id", ts="0") for name in ("click_id", "visitor_id"))
    return f"arrayExists(id -> {told}, extractAll(payload, '{_ID}'))"


def _ts(table: Holding) -> str:
    return "toUnixTimestamp64Milli(ts)" if table.has_ts else "0"


def _text(column: str, *, fixed: bool) -> str:
    return f"lower(hex({column}))" if fixed else f"toString({column})"


def _holds(name: Name, column: str, *, fixed: bool, ts: str) -> str:
    return _digest_holds(name, _text(column, fixed=fixed), ts=ts)


def _digest_holds(name: str, text: str, *, ts: str) -> str:
    """`core.erasure.tombstones.Tombstones.holds` in SQL."""
    digest = f"hex(substring(SHA256(concat({{secret:String}}, '{name}:', {text})), 1, 16))"
    return f"transform({digest}, {{digests:Array(String)}}, {{untils:Array(Int64)}}, toInt64(-1)) >= {ts}"
