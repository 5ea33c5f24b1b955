"""What stands in a store, table by table, as figures that do not depend on the order of rows, parts or merges."""

from __future__ import annotations

from typing import Final

import msgspec

from core.store.client import Store
from core.store.retention import WORKING

#: Which store it is and which schema it has: another one after a rebuild, and the same by its own checks.
OF_THE_STORE: Final = frozenset({"store_identity", "schema_migration"})
#: Columns that say when something was worked out here, not what: a rebuild works at another time.
OWN_TIMES: Final = {
    "conversion_match": ("matched_at",),
    "user_agent_dim": ("parsed_at",),
    "network_dim": ("looked_up_at",),
    "network_country": ("looked_up_at",),
    "hit_flag": ("judged_at",),
    "conversion_flag": ("judged_at",),
    "traffic_window": ("counted_at", "touched_at", "judged_at"),
}
#: Of rows that say nothing (an acquitted one and none are the same), and of runs older than those that are done again, none counts.
_LATELY: Final = "known_by > (SELECT max(known_by) FROM reconciliation_run) - toIntervalDay({reconciled_days:UInt32})"
WHERE: Final = {
    "hit_flag": "notEmpty(flags)",
    "conversion_flag": "notEmpty(flags)",
    **dict.fromkeys(("reconciliation_run", "reconciled_day", "reconciliation_finding"), _LATELY),
}


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a table and two sums over the hashes of all of them."""

    rows: int
    total: int
    mixed: int


def checksums(store: Store, *, reconciled_days: int = 28) -> dict[str, Sum]:
    """Every table of facts and of what follows from them, as its readers see it: replaced rows are gone.

    Args:
        reconciled_days: how many days back a refilled store is reconciled (`correlator.reconciliation.history_days`).

    Raises:
        StoreError: a table cannot be read within the store's limits.
    """
    tables = store.rows(
        "SELECT name, engine FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary"
        " AND engine LIKE '%MergeTree' ORDER BY name"
    )
    return {
        str(table["name"]): _sum(store, str(table["name"]), engine=str(table["engine"]), days=reconciled_days)
        for table in tables
        if table["name"] not in WORKING | OF_THE_STORE
    }


def differing(before: dict[str, Sum], after: dict[str, Sum]) -> list[str]:
    """The tables that are not the same, each with its rows on both sides."""
    none = Sum(rows=0, total=0, mixed=0)
    found = []
    for table in sorted({*before, *after}):
        one, other = before.get(table, none), after.get(table, none)
        if one != other:
            found.append(f"{table}: {one.rows} rows before, {other.rows} after")
    return found


def _sum(store: Store, table: str, *, engine: str, days: int) -> Sum:
    final = "" if engine in ("MergeTree", "ReplicatedMergeTree") else "FINAL"
    columns = f"* EXCEPT ({', '.join(OWN_TIMES[table])})" if table in OWN_TIMES else "*"
    sql = (
        "SELECT count() AS rows, sum(hash) AS total, groupBitXor(intHash64(hash)) AS mixed"
        f" FROM (SELECT cityHash64(formatRow('RowBinary', {columns})) AS hash FROM {table} {final} WHERE {WHERE.get(table, '1')})"
    )
    return msgspec.convert(store.rows(sql, {"reconciled_days": days} if "{reconciled_days:" in sql else {})[0], Sum)
