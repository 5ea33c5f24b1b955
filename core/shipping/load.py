"""Puts one range into the store: one block per kind, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.errors import BadRows, StoreError
from core.records import Kinds
from core.shipping.ranges import BadLine, Placed, Range, check, passes_gate, place, split_by_kind
from core.store.client import Store

#: One block per insert whatever its size, deduplicated by its token in every view's target.
INSERT_SETTINGS: dict[str, object] = {
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_skip_unknown_fields": 1,
    "input_format_parallel_parsing": 0,
    "max_insert_block_size": 2_000_000,
    "max_partitions_per_insert_block": 1_000,  # an import of years of history spans many months
}


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a range: lines by kind that are in the store now, and those that are dead letters."""

    rows: dict[str, int]
    bad: list[BadLine]


class Loader:
    """Loads ranges into one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, one: Range, data: bytes, *, suspect: bool) -> Loaded:
        """Load a range that is recorded in the ledger.

        1. Split by kind. Lines of no known kind are dead letters.
        2. Send each kind as one block, after a light check; the engine checks the rest, and a block it refuses inserts nothing.
        3. A block that fails either check is taken apart: bad lines become dead letters, the others are sent.
        4. Count what the store has of this range; anything missing is loaded by its offsets.

        Args:
            suspect: some of it may be in the store already (sent before, never confirmed); only what is missing is sent.

        Raises:
            StoreError: the store did not take it, or counts more rows than were sent; the range must be sent again, unchanged.
        """
        groups, _ = split_by_kind(data)
        if suspect or "" in groups:
            return self._load_by_offset(one, data)
        clean = {kind: b"\n".join(lines) for kind, lines in groups.items()}
        if not all(passes_gate(kind, block) for kind, block in clean.items()):
            return self._load_by_offset(one, data)
        try:
            for kind, block in clean.items():
                self._send(one, kind, block)
        except BadRows:
            return self._load_by_offset(one, data)
        rows = {kind: len(lines) for kind, lines in groups.items()}
        if self._counts(one, rows) != rows:
            return self._load_by_offset(one, data)
        return Loaded(rows=rows, bad=[])

    def _load_by_offset(self, one: Range, data: bytes) -> Loaded:
        """The careful way: check every line, ask the store which offsets it has, send the others."""
        bad: list[BadLine] = []
        good: dict[str, list[Placed]] = {}
        for placed in place(data, start=one.start):
            fault = check(one.segment, placed)
            if fault is None:
                good.setdefault(placed.kind, []).append(placed)
            else:
                bad.append(fault)
        for kind, lines in good.items():
            bad += self._send_missing(one, kind, lines)
        refused = {letter.o for letter in bad}
        rows = {kind: sum(placed.o not in refused for placed in lines) for kind, lines in good.items()}
        counted = self._counts(one, rows)
        if counted != rows:
            raise StoreError(f"{one.segment} {one.start}-{one.end}: sent {rows}, the store counts {counted}")
        return Loaded(rows=rows, bad=sorted(bad, key=lambda letter: letter.o))

    def _send_missing(self, one: Range, kind: str, lines: Sequence[Placed]) -> list[BadLine]:
        present = self._present(one, kind)
        missing = [placed for placed in lines if placed.o not in present]
        if not missing:
            return []
        # The whole block keeps its token, so that one still on its way to the engine is not loaded beside this one.
        suffix = "" if len(missing) == len(lines) else f":{missing[0].o}-{missing[-1].o}-{len(missing)}"
        return self._send_or_bisect(one, kind, missing, suffix=suffix)

    def _send_or_bisect(self, one: Range, kind: str, lines: Sequence[Placed], *, suffix: str) -> list[BadLine]:
        """Send a block; when the engine refuses it, halve it until the lines it means stand alone."""
        try:
            self._send(one, kind, b"\n".join(placed.line for placed in lines), suffix=suffix)
        except BadRows as error:
            if len(lines) == 1:
                bad = lines[0]
                detail = str(error)
                return [BadLine(segment=one.segment, o=bad.o, reason="refused_by_store", detail=detail, line=bad.line)]
            middle = len(lines) // 2
            halves = (lines[:middle], lines[middle:])
            return [
                letter
                for half in halves
                for letter in self._send_or_bisect(one, kind, half, suffix=f":{half[0].o}-{half[-1].o}-{len(half)}")
            ]
        return []

    def _send(self, one: Range, kind: str, block: bytes, *, suffix: str = "") -> None:
        token = f"{one.segment}:{one.start}-{one.end}:{kind}{suffix}"
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token, "log_comment": one.segment}
        self._store.raw_insert(f"inbox_{kind}", block, fmt="JSONEachRow", settings=settings)

    def _counts(self, one: Range, rows: dict[str, int]) -> dict[str, int]:
        return {kind: self.count(one, kind) for kind in rows}

    def count(self, one: Range, kind: str) -> int:
        """Rows of one kind that the store has of a range."""
        table = self._store.query(f"SELECT count() FROM {kind} WHERE {_IN_RANGE}", _params(one))
        return int(table.column(0)[0].as_py())

    def _present(self, one: Range, kind: str) -> set[int]:
        table = self._store.query(f"SELECT o FROM {kind} WHERE {_IN_RANGE}", _params(one))
        return set(table.column(0).to_pylist()) if table.num_rows else set()

    def end_of(self, segment: str, *, start: int, kinds: Sequence[str]) -> int:
        """Behind the last line at or after `start` that the store has of a segment; `start` when it has none."""
        whole = Range(segment=segment, start=start, end=2**62, lines=0)
        ends = [
            self._store.query(f"SELECT max(o) + 1 FROM {kind} WHERE {_IN_RANGE} HAVING count() > 0", _params(whole))
            for kind in kinds
        ]
        return max([start, *(int(table.column(0)[0].as_py()) for table in ends if table.num_rows)])

    def kinds_with_rows(self) -> list[str]:
        """The kinds of which the store has any row."""
        return [
            kind
            for kind in Kinds.BY_NAME
            if int(self._store.query(f"SELECT count() FROM {kind}").column(0)[0].as_py()) > 0
        ]


_IN_RANGE = "segment = {segment:String} AND o >= {start:UInt64} AND o < {end:UInt64}"


def _params(one: Range) -> dict[str, object]:
    return {"segment": one.segment, "start": one.start, "end": one.end}
