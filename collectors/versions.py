"""An unchanged re-read changes nothing: compare every repeatable fact with its current version before it is journaled.

The store is the authority, so the comparison survives restarts and a wiped store is refilled by the next re-read. What was
written within the last two minutes may not be shipped yet, so a bounded memory of recent digests stands in front. An entry of
that memory expires: another process may have written a newer version meanwhile, and dropping a real version is worse than
writing an equal one, which readers ignore (design §5).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec
import structlog

from collectors.base import Whole
from core.clock import Clock, now_ms
from core.errors import StoreError
from core.records import (
    Campaign,
    Conversion,
    Deploy,
    Gauge,
    Impression,
    Kinds,
    PlatformClick,
    Record,
    Service,
    Spend,
    Tally,
)

log = structlog.get_logger(__name__)

#: Kinds that carry a natural key and are re-read or re-sent by collectors.
Fact = Conversion | Spend | Campaign | Deploy | Impression | Tally | PlatformClick | Gauge | Service

#: Long enough for any line to be shipped, short enough that a version of another process is not shadowed for long.
RECENT_MS = 120_000
RECENT_MAX = 200_000
#: Fact IDs in one lookup: the query text stays far below the engine's limit.
LOOKUP_BATCH = 2_000

#: The event time is part of these kinds' keys, so a lookup may be pruned by it.
_KEYED_BY_TIME = frozenset({"spend", "deploy", "tally", "platform_click", "gauge", "service"})
#: Two equal versions of these kinds have the same event time, though other versions of the fact may have another: what has no equal at
#: its own time has none at all. So new facts cost a look at the newest rows, not at the whole table.
_EQUAL_AT_ITS_TIME = frozenset({"conversion", "impression"})
#: Lines of one fact of these kinds add up, so a second version would double it: the first one stays.
_ONCE = frozenset({"service"})
#: A campaign's description holds from when it was read; a later reading of the same is no change.
_TIMELESS = frozenset({"campaign"})
#: Where the store keeps another type than the record.
_HEX_COLUMNS = frozenset({"click_id", "visitor_id"})
_TIME_COLUMNS = frozenset({"ts", "launched"})

_HELD_TALLIES = (
    "SELECT DISTINCT fact_id FROM tally WHERE origin = {origin:String} AND account = {account:String}"
    " AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
)

_BETWEEN = (
    " AND ts >= fromUnixTimestamp64Milli({low:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({high:Int64}, 'UTC')"
)

_encoder = msgspec.json.Encoder(order="sorted")


class Reads(Protocol):
    """The store's reading side, as far as it is needed here."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


def digest(record: Record) -> bytes:
    """What makes two versions equal: every field but the source, and for campaigns the time of reading."""
    # All fields, not the encoded form: that leaves out defaults by identity, so an equal 0.0 may be there or not.
    fields = msgspec.structs.asdict(record)
    del fields["source"]
    if record.__struct_config__.tag in _TIMELESS:
        del fields["ts"]
    return blake2b(_encoder.encode(fields), digest_size=16).digest()


class Versions:
    """Tells new and changed facts from unchanged ones. Thread-safe; without a store it knows recent facts only."""

    def __init__(self, store: Reads | None, *, clock: Clock = now_ms) -> None:
        self._store = store
        self._clock = clock
        self._recent: OrderedDict[str, tuple[bytes, int]] = OrderedDict()
        self._lock = threading.Lock()

    def unchanged(self, records: Sequence[Fact]) -> list[bool]:
        """For each record, whether it equals the current version of its fact.

        1. Recent memory answers what this process wrote in the last two minutes.
        2. The store answers the rest; if it does not, they count as changed.
        3. Within the batch an earlier record of the same fact is the current version of the next.
        """
        now = self._clock()
        digests = [digest(record) for record in records]
        current = self._recall([record.fact_id for record in records], now=now)
        current |= self._from_store([record for record in records if record.fact_id not in current])
        answers = []
        for record, own in zip(records, digests, strict=True):
            known = current.get(record.fact_id)
            answers.append(known == own or (known is not None and record.__struct_config__.tag in _ONCE))
            current[record.fact_id] = own
        return answers

    def vanished(self, records: Sequence[Record], whole: Whole | None) -> list[Tally]:
        """Tallies that we hold in the span of `whole` and that did not come again, as zero.

        An empty answer takes nothing back: that much does not vanish at once, and a vendor's bad moment is no restatement.
        """
        came = {record.fact_id for record in records if isinstance(record, Tally)}
        if self._store is None or whole is None or not came:
            return []
        try:
            rows = self._store.rows(_HELD_TALLIES, msgspec.structs.asdict(whole))
            gone = sorted({str(row["fact_id"]) for row in rows} - came)
            held = [
                row
                for start in range(0, len(gone), LOOKUP_BATCH)
                for row in self._tallies(gone[start : start + LOOKUP_BATCH], whole)
            ]
        except StoreError as error:
            log.warning("vanished tallies not looked for", account=whole.account, error=str(error))
            return []
        return [msgspec.structs.replace(tally, count=0.0, value_micros=0) for tally in held if tally.count]

    def _tallies(self, fact_ids: list[str], whole: Whole) -> list[Tally]:
        assert self._store is not None
        params = {"ids": fact_ids, "low": whole.since, "high": whole.until}
        rows = self._store.rows(current_versions_sql("tally"), params)
        return [tally for row in rows if isinstance(tally := record_from_row("tally", row), Tally)]

    def remember(self, records: Iterable[Fact]) -> None:
        """To be called once the records stand in the journal."""
        now = self._clock()
        with self._lock:
            for record in records:
                self._recent[record.fact_id] = (digest(record), now)
                self._recent.move_to_end(record.fact_id)
            while len(self._recent) > RECENT_MAX:
                self._recent.popitem(last=False)

    def _recall(self, fact_ids: list[str], *, now: int) -> dict[str, bytes]:
        with self._lock:
            found = ((fact_id, self._recent.get(fact_id)) for fact_id in fact_ids)
            return {fact_id: entry[0] for fact_id, entry in found if entry and now - entry[1] < RECENT_MS}

    def _from_store(self, records: list[Fact]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        if self._store is None:
            return found
        by_kind: dict[str, list[Fact]] = {}
        for record in records:
            by_kind.setdefault(str(record.__struct_config__.tag), []).append(record)
        for kind, facts in by_kind.items():
            for start in range(0, len(facts), LOOKUP_BATCH):
                found |= self._lookup(kind, facts[start : start + LOOKUP_BATCH])
        return found

    def _lookup(self, kind: str, facts: list[Fact]) -> dict[str, bytes]:
        """Digests of current versions; of kinds in `_EQUAL_AT_ITS_TIME` only of facts that may be unchanged."""
        try:
            if kind in _EQUAL_AT_ITS_TIME:
                held = self._held(kind, facts)
                facts = [fact for fact in facts if fact.fact_id in held]
            rows = self._rows(current_versions_sql(kind), facts) if facts else []
        except StoreError as error:
            # An equal version written twice is harmless; a fact held back until the store answers is not.
            log.warning("versions not compared", kind=kind, facts=len(facts), error=str(error))
            return {}
        return {str(row["fact_id"]): digest(record_from_row(kind, row)) for row in rows}

    def _held(self, kind: str, facts: list[Fact]) -> set[str]:
        """Which of the facts have any version at their times. A look at one column: planning the whole row costs twice as much."""
        sql = f"SELECT DISTINCT fact_id FROM {kind} WHERE fact_id IN {{ids:Array(String)}}{_BETWEEN}"
        return {str(row["fact_id"]) for row in self._rows(sql, facts)}

    def _rows(self, sql: str, facts: list[Fact]) -> list[dict[str, object]]:
        assert self._store is not None
        times = [fact.ts for fact in facts]
        params = {"ids": sorted({fact.fact_id for fact in facts}), "low": min(times), "high": max(times)}
        return self._store.rows(sql, {name: value for name, value in params.items() if f"{{{name}:" in sql})


def current_versions_sql(kind: str) -> str:
    """The newest row per fact ID, with the record's own types (hex text, milliseconds)."""
    columns = ", ".join(_column(name) for name in _fields(kind))
    between = _BETWEEN if kind in _KEYED_BY_TIME else ""
    return (
        f"SELECT {columns} FROM (SELECT * FROM {kind} WHERE fact_id IN {{ids:Array(String)}}{between}"
        " ORDER BY known_at DESC, segment DESC, o DESC LIMIT 1 BY fact_id)"
    )


def record_from_row(kind: str, row: Mapping[str, object]) -> Record:
    """A row of `current_versions_sql` as the record that was journaled."""
    values = {
        name: "" if name in _HEX_COLUMNS and not str(row[name]).strip("0") else row[name] for name in _fields(kind)
    }
    return msgspec.convert({**values, "kind": kind}, Kinds.BY_NAME[kind], strict=False)


def _fields(kind: str) -> tuple[str, ...]:
    return Kinds.BY_NAME[kind].__struct_fields__


def _column(name: str) -> str:
    if name in _HEX_COLUMNS:
        return f"lower(hex({name})) AS {name}"
    if name in _TIME_COLUMNS:
        return f"toUnixTimestamp64Milli({name}) AS {name}"
    return name
