"""Puts one range into the store: one block per kind, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

from core.errors import BadRows, StoreError
from core.journal.dead_letter import DeadLetter
from core.records import Kinds
from core.shipping.ranges import Placed, Prepared, Range, prepare, refusal, sort
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
    """What became of a range: lines by kind that are in the store now, those that are dead letters, and rows too many."""

    rows: dict[str, int]
    bad: list[DeadLetter]
    excess: int = 0


class Sent(Enum):
    """What is known of a range before it is sent."""

    NEVER = "never"
    #: Recorded and perhaps sent, so lately that its token is still in every table's deduplication window.
    LATELY = "lately"
    #: Some of it may be in the store, and no token can be relied on.
    PERHAPS = "perhaps"


class Loader:
    """Loads ranges into one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, one: Range, data: bytes, *, sent: Sent, prepared: Prepared | None = None) -> Loaded:
        """Load a range that is recorded in the ledger.

        1. Split by kind. Lines of no known kind are dead letters.
        2. Send each kind as one block, after a light check; the engine checks the rest, and a block it refuses inserts nothing.
        3. A block that fails either check is taken apart: bad lines become dead letters, the others are sent.
        4. Count what the store has of this range; anything missing is loaded by its offsets.

        A range that was sent before goes straight to the careful way, line by line.

        Raises:
            StoreError: the store did not take all of it; the range must be sent again, unchanged.
        """
        if sent is not Sent.NEVER:
            return self._load_by_offset(one, data, sent=sent)
        ready = prepared or prepare(one, data)
        if not ready.clean:
            return self._load_by_offset(one, data, sent=sent)
        try:
            for kind, block in ready.blocks.items():
                self._send(one, kind, block)
        except BadRows:
            return self._load_by_offset(one, data, sent=Sent.LATELY)
        if self.counts(one, list(ready.rows)) != ready.rows:
            return self._load_by_offset(one, data, sent=Sent.PERHAPS)
        return Loaded(rows=ready.rows, bad=[])

    def _load_by_offset(self, one: Range, data: bytes, *, sent: Sent) -> Loaded:
        """Check every line, then make sure by offset that each good one is in the store."""
        good, bad = sort(one, data)
        for kind, lines in good.items():
            if sent is not Sent.PERHAPS:
                # Unchanged under its own token: a block that went in is known again, in every view's target by itself, so one
                # that reached some of them only is completed.
                bad += self._send_or_bisect(one, kind, lines, suffix="")
            bad += self._send_missing(one, kind, lines, refused={letter.o for letter in bad})
        refused = {letter.o for letter in bad}
        rows = {kind: sum(placed.o not in refused for placed in lines) for kind, lines in good.items()}
        counted = self.counts(one, list(rows))
        if any(counted[kind] < rows[kind] for kind in rows):
            raise StoreError(f"{one.segment} {one.start}-{one.end}: sent {rows}, the store counts {counted}")
        excess = sum(counted.values()) - sum(rows.values())
        return Loaded(rows=rows, bad=sorted(bad, key=lambda letter: letter.o), excess=excess)

    def _send_missing(self, one: Range, kind: str, lines: Sequence[Placed], *, refused: set[int]) -> list[DeadLetter]:
        """Send what the store lacks. A token may be known although its rows are not there (death between the engine's
        deduplication log and its part), so what is still missing goes out again under another one.
        """
        bad: list[DeadLetter] = []
        for attempt in range(3):
            present = self.present(one, kind) | refused | {letter.o for letter in bad}
            missing = [placed for placed in lines if placed.o not in present]
            if not missing:
                break
            bad += self._send_or_bisect(one, kind, missing, suffix=f":missing-{attempt}")
        return bad

    def _send_or_bisect(self, one: Range, kind: str, lines: Sequence[Placed], *, suffix: str) -> list[DeadLetter]:
        """Send a block; when the engine refuses it, halve it until the lines it means stand alone."""
        # A part of the range must not go by the name of the whole.
        whole = f"{suffix}:{lines[0].o}-{lines[-1].o}-{len(lines)}" if suffix else ""
        try:
            self._send(one, kind, b"\n".join(placed.line for placed in lines), suffix=whole)
        except BadRows as error:
            if len(lines) == 1:
                return [refusal(one, lines[0], detail=str(error))]
            middle = len(lines) // 2
            halves = (lines[:middle], lines[middle:])
            return [
                letter for half in halves for letter in self._send_or_bisect(one, kind, half, suffix=suffix or ":half")
            ]
        return []

    def _send(self, one: Range, kind: str, block: bytes, *, suffix: str = "") -> None:
        token = f"{one.segment}:{one.start}-{one.end}:{kind}{suffix}"
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token, "log_comment": one.segment}
        self._store.raw_insert(f"inbox_{kind}", block, fmt="JSONEachRow", settings=settings)

    def counts(self, one: Range, kinds: Sequence[str]) -> dict[str, int]:
        """Rows of each kind that the store has of a range."""
        if not kinds:
            return {}
        parts = [f"SELECT '{kind}' AS kind, count() AS rows FROM {kind} WHERE {_IN_RANGE}" for kind in kinds]
        table = self._store.query(" UNION ALL ".join(parts), _params(one))
        found = {str(row["kind"]): int(row["rows"]) for row in table.to_pylist()}
        return {kind: found.get(kind, 0) for kind in kinds}

    def present(self, one: Range, kind: str) -> set[int]:
        """The offsets of one kind that the store has of a range."""
        table = self._store.query(f"SELECT o FROM {kind} WHERE {_IN_RANGE}", _params(one))
        return set(table.column(0).to_pylist()) if table.num_rows else set()

    def end_of(self, segment: str, *, start: int, kinds: Sequence[str]) -> int:
        """Behind the last line at or after `start` that the store has of a segment; `start` when it has none."""
        if not kinds:
            return start
        whole = Range(segment=segment, start=start, end=2**62, lines=0)
        parts = [f"SELECT max(o) + 1 AS e, count() AS n FROM {kind} WHERE {_IN_RANGE}" for kind in kinds]
        table = self._store.query(f"SELECT maxIf(e, n > 0) AS e FROM ({' UNION ALL '.join(parts)})", _params(whole))
        return max(start, int(table.column(0)[0].as_py()))

    def kinds_with_rows(self) -> list[str]:
        """The kinds of which the store has any row."""
        parts = [f"SELECT '{kind}' AS kind, count() AS n FROM {kind}" for kind in Kinds.BY_NAME]
        table = self._store.query(f"SELECT kind FROM ({' UNION ALL '.join(parts)}) WHERE n > 0")
        return [str(row["kind"]) for row in table.to_pylist()]


_IN_RANGE = "segment = {segment:String} AND o >= {start:UInt64} AND o < {end:UInt64}"


def _params(one: Range) -> dict[str, object]:
    return {"segment": one.segment, "start": one.start, "end": one.end}
