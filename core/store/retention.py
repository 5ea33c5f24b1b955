"""How long the store keeps what: days per table, applied once a day.

A row goes when it happened before the limit *and* its journal segment was begun before it, so nothing goes that the journal could still be
compared with. Deleting rewrites parts, so it waits until a week has come together: a row may stay up to seven days longer than said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from core.clock import DAY_MS
from core.settings import FOREVER, RetentionConfig
from core.store.client import Store

SLACK_DAYS: Final = 7
_SYNC: Final = "SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1, max_execution_time = 3600"


#: A click ID goes with its last hit: a shared address may be hit for years.
_OLD_CLICK: Final = "click_id IN (SELECT click_id FROM click GROUP BY click_id HAVING countIf(NOT {old}) = 0)"
#: What is derived from a kind and goes with it: table -> how its rows are told by those of the kind that go.
_DERIVED: Final[Mapping[str, Mapping[str, str]]] = {
    "click": {
        "click_key": _OLD_CLICK,
        "repeated_click": _OLD_CLICK,
        "hit_flag": "(toString(segment), o) IN (SELECT toString(segment), o FROM click WHERE {old})",
    },
    "conversion": dict.fromkeys(("conversion_match", "conversion_key", "conversion_flag"), "{old}"),
}


#: Kinds that are kept for good, and why. Nobody is told apart in them.
FOR_GOOD: Final[Mapping[str, str]] = {
    "spend": "money: settled figures of any year rest on it",
    "tally": "totals of other systems, which reconciliation compares",
    "campaign": "names and limits with their history",
    "rate": "the rates that past money was exchanged at",
    "deploy": "what changed, for incidents of any age",
    "incident": "what we concluded; a person's click is taken out by erasure",
    "decision": "who decided what about money",
    "baseline": "what was taken for usual when we decided",
    "watermark": "how far each source was complete, for answers as of any moment",
    "erasure": "keyed digests of what may not come back",
}
#: Derived tables that hold no fact of a day, and why they stay.
STANDING: Final[Mapping[str, str]] = {
    "user_agent_dim": "distinct values, looked up once; about nobody",
    "network_dim": "distinct truncated networks, looked up once; about nobody",
    "network_country": "distinct truncated networks, looked up once; about nobody",
    "traffic_window": "two rows for ten minutes: when they were judged",
    "known_by_age": "sums by day: how fast sources are",
    "reconciliation_run": "days that were compared",
    "reconciled_day": "sums by day and campaign: what is usual",
    "reconciliation_finding": "what was found of a day",
    "store_identity": "which store this is",
    "schema_migration": "which schema it has",
}
#: Working tables: emptied by what fills them, or by the engine after an hour (a week: arrival).
WORKING: Final[frozenset[str]] = frozenset(
    {
        "matching_target", "matching_fact", "matching_key", "matching_direct", "traffic_due", "traffic_hit", "traffic_loud", "traffic_conversion",
        "erasure_line", "erasure_key", "path_key", "path_click", "past_fact", "past_direct", "past_match", "arrival",
    }
)  # fmt: skip


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How long a table is kept, what it really holds (event times, ms; None = nothing), and how many rows are due to go."""

    table: str
    days: int
    oldest: int | None
    rows: int
    due: int


def apply(store: Store, config: RetentionConfig, *, now: int) -> dict[str, int]:
    """Delete what is kept long enough; rows by table of the journal's kinds. Derived rows go first, so a run cut short is begun again.

    Raises:
        StoreError: the store did not do it.
    """
    gone: dict[str, int] = {}
    for kept in state(store, config, now=now):
        limit = _limit(kept, now=now)
        if not kept.due or kept.oldest is None or kept.oldest >= limit - SLACK_DAYS * DAY_MS:
            continue
        old = _old(kept.table, limit)
        for derived, condition in _DERIVED.get(kept.table, {}).items():
            store.command(f"ALTER TABLE {derived} DELETE WHERE {condition.format(old=old)} {_SYNC}")
        store.command(f"ALTER TABLE {kept.table} DELETE WHERE {old} {_SYNC}")
        gone[kept.table] = kept.due
    return gone


def derived_tables() -> frozenset[str]:
    """Tables whose rows go with those of a kind."""
    return frozenset(name for tables in _DERIVED.values() for name in tables)


def state(store: Store, config: RetentionConfig, *, now: int) -> list[Kept]:
    """Every table with its days."""
    parts = []
    for table, days in config.days().items():
        due = "0" if days == FOREVER else f"countIf({_old(table, now - days * DAY_MS)})"
        parts.append(
            f"SELECT '{table}' AS table, count() AS n, toUnixTimestamp64Milli(min(ts)) AS oldest, toUInt64({due}) AS due FROM {table}"
        )
    rows = store.rows(" UNION ALL ".join(parts))
    days_of = config.days()
    found = [
        Kept(
            table=str(row["table"]),
            days=days_of[str(row["table"])],
            oldest=int(str(row["oldest"])) if row["n"] else None,
            rows=int(str(row["n"])),
            due=int(str(row["due"])),
        )
        for row in rows
    ]
    return sorted(found, key=lambda kept: list(days_of).index(kept.table))


def first_segment(ms: int) -> str:
    """The smallest name that a segment begun at `ms` can have: names are UUIDv7 and sort by time."""
    return str(UUID(int=(ms & (2**48 - 1)) << 80))


def _limit(kept: Kept, *, now: int) -> int:
    return now - kept.days * DAY_MS


def _old(table: str, limit: int) -> str:
    """Which rows are old enough. A conversion goes with all its versions, once the newest is: half of them would be another fact."""
    instant, segment = _instant(limit), f"'{first_segment(limit)}'"
    if table == "conversion":
        facts = f"SELECT fact_id FROM conversion GROUP BY fact_id HAVING max(ts) < {instant} AND max(toString(segment)) < {segment}"
        return f"fact_id IN ({facts})"
    return f"(ts < {instant} AND toString(segment) < {segment})"


def _instant(ms: int) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({ms}), 'UTC')"
