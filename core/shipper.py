"""Loads journal bytes into the store, every line exactly once (design §5).

The order of the steps is what makes it exact: a range is recorded in the control database, then sent, then counted, then
confirmed. Death between any two of them leaves a recorded range, which is sent again unchanged; what the store has of it already
is found by offset. A wiped store has another `store_id`, so nothing is recorded for it and everything kept is loaded anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from sqlalchemy import Engine

from core.clock import DAY_MS, Clock, now_ms
from core.erasure.due import Due
from core.erasure.lines import clean
from core.erasure.tombstones import TombstoneBook
from core.errors import Invalid, StoreError
from core.journal import retention
from core.journal import segment as segments
from core.journal.dead_letter import DeadLetter, bury
from core.journal.reader import decode_line, is_erased
from core.records import Line
from core.shipping.ahead import Ahead
from core.shipping.ledger import ShipLedger
from core.shipping.load import Loaded, Loader, Sent
from core.shipping.ranges import Range, split_by_kind
from core.shipping.tails import Tail, Tails
from core.store.client import Store

log = structlog.get_logger(__name__)


class ShipOptions(Protocol):
    """What the shipper reads of `core.settings.JournalConfig`."""

    @property
    def keep_days(self) -> int: ...


class LineObserver(Protocol):
    """Sees lines of its kinds once they are confirmed; never replayed lines, never claimed ones (imports of history)."""

    @property
    def kinds(self) -> frozenset[str]: ...

    def observe(self, kind: str, lines: list[Line]) -> None: ...


class ShipReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did; `behind_bytes` is what it left for the next."""

    ranges: int = 0
    lines: int = 0
    bytes: int = 0
    dead_letters: int = 0
    behind_bytes: int = 0
    #: Rows that the store has beyond the lines sent. Never seen; nothing that is sent again can mend it.
    excess_rows: int = 0


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A range on its way, with its bytes."""

    tail: Tail
    range: Range
    data: bytes
    sent: Sent


class Shipper:
    """One per store. `run_once` is called by one thread at a time."""

    #: A block of this size costs the engine little more than its rows do, and is parsed in well under a second.
    MAX_RANGE_BYTES = 8 << 20
    #: One run ends after about this much, so that a stop is never far away.
    MAX_RUN_BYTES = 64 << 20
    #: How much shipping may lie between recording a range and trusting its token: far less than fills a table's deduplication
    #: window of 10,000 blocks.
    TOKEN_TRUST_MS = 60_000
    HOUSEKEEPING_MS = 60_000

    def __init__(
        self,
        store: Store,
        control: Engine,
        directory: Path,
        *,
        config: ShipOptions,
        clock: Clock = now_ms,
        observers: Sequence[LineObserver] = (),
        range_bytes: int = MAX_RANGE_BYTES,
    ) -> None:
        self._range_bytes = range_bytes
        self._control = control
        self._config = config
        self._clock = clock
        self._observers = observers
        self._loader = Loader(store)
        self._ledger = ShipLedger(control, store_id=store.store_id)
        self._erased = TombstoneBook(control)
        self._due = Due(control, clock=clock)
        self._one_at_a_time = threading.RLock()
        self._tails = Tails(directory, clean=self._without_erased)
        self._ahead = Ahead()
        self._begun = False
        self._replay_until: dict[str, int] = {}
        self._preloaded_kinds: list[str] = []
        self._examined: set[str] = set()
        self._last_activity = 0
        self._next_housekeeping = 0
        self._directory = directory
        self._through = 0

    def run_once(self) -> ShipReport:
        """Ship what is there, up to `MAX_RUN_BYTES`.

        Raises:
            StoreError: the store did not take a range; the next run sends it again.
            JournalError: a segment cannot be read.
        """
        with self._one_at_a_time:
            return self._run_once()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is shipped, compressed or dropped meanwhile; from here on nothing goes out that was erased before."""
        with self._one_at_a_time:
            self._read_tombstones()
            yield

    def _read_tombstones(self) -> None:
        if self._erased.refresh():
            self._ahead.clear()

    def _without_erased(self, segment: str, data: bytes, start: int) -> bytes:
        """Erased lines that came back (a late segment, one sent again, a backup): they are not shipped, and the segment is due to be cleaned."""
        cleaned = clean(data, self._erased.all, start=start)
        if cleaned.erased:
            self._due.add(segment)
        return cleaned.data

    def _run_once(self) -> ShipReport:
        self._begin()
        self._read_tombstones()
        asked_at = self._clock()
        tails = self._tails.look()
        report = ShipReport()
        while report.bytes < self.MAX_RUN_BYTES:
            pieces = list(self._pieces(tails))
            if not pieces:
                break
            report = self._ship(pieces, report=report)
        report = self._bury_torn(tails, report=report)
        self._through = max(self._through, self._complete_through(tails, asked_at=asked_at))
        self._keep_house(now=asked_at)
        return msgspec.structs.replace(report, behind_bytes=sum(tail.behind for tail in tails))

    def shipped_through(self, now: int) -> int:
        """The `known_at` up to which everything journaled is in the store, at most `now`; 0 before the first run.

        An as-of answer for a time up to this never changes.
        """
        return min(self._through, now)

    def _begin(self) -> None:
        if self._begun:
            return
        self._tails.begin(self._ledger.progress())
        self._replay_until = self._ledger.shipped_elsewhere()
        self._preloaded_kinds = self._loader.kinds_with_rows()
        self._last_activity = self._ledger.last_confirmed()
        self._begun = True

    # --- one round -----------------------------------------------------------------------------------------------------------

    def _pieces(self, tails: Sequence[Tail]) -> Iterator[_Piece]:
        """The next round: at most one range of each segment, those that are being written first, a bounded number of bytes.

        A compressed segment ends the round: it is unpacked as a whole, and one at a time is kept.
        """
        taken = 0
        for tail in sorted(tails, key=lambda tail: tail.final):
            if not tail.worth_reading:
                continue
            piece = self._piece(tail)
            if piece is not None:
                taken += len(piece.data)
                yield piece
                if taken >= self._range_bytes or tail.segment.compressed:
                    return

    def _piece(self, tail: Tail) -> _Piece | None:
        self._examine(tail)
        again = tail.under_way
        found = None if again else self._ahead.waiting(tail.segment.name, start=tail.shipped)
        found = found or self._tails.next_range(tail, limit=self._range_bytes)
        if found is None:
            return None
        return _Piece(tail=tail, range=found[0], data=found[1], sent=self._was_sent(tail, found[0], again=again))

    def _was_sent(self, tail: Tail, one: Range, *, again: Range | None) -> Sent:
        if one == again and self._last_activity - tail.recorded_at < self.TOKEN_TRUST_MS:
            return Sent.LATELY
        return Sent.PERHAPS if one.start < tail.suspect_until else Sent.NEVER

    def _examine(self, tail: Tail) -> None:
        """Once per segment: how far the store may know it although the ledger does not (a lost or older control database)."""
        name = tail.segment.name
        if name not in self._examined:
            self._examined.add(name)
            end = self._loader.end_of(name, start=tail.shipped, kinds=self._preloaded_kinds)
            tail.suspect_until = max(tail.suspect_until, end if end > tail.shipped else 0)

    def _ship(self, pieces: Sequence[_Piece], *, report: ShipReport) -> ShipReport:
        """Record, send, confirm. One segment's failure does not hold up the others."""
        self._record(pieces, now=self._clock())
        loaded: list[tuple[_Piece, Loaded]] = []
        failure: StoreError | None = None
        try:
            for piece in pieces:
                prepared = self._ahead.take(piece.range, piece.data) if piece.sent is Sent.NEVER else None
                self._look_ahead(piece)
                try:
                    result = self._loader.load(piece.range, piece.data, sent=piece.sent, prepared=prepared)
                    loaded.append((piece, result))
                except StoreError as error:
                    failure = failure or error
                    self._keep_under_way(piece)
            report = self._confirm(loaded, report=report)
        except Exception:  # whatever went wrong, e.g. a locked control database: what was sent is sent again unchanged
            for piece in pieces:
                self._keep_under_way(piece)
            raise
        if failure is not None:
            raise failure
        return report

    def _keep_under_way(self, piece: _Piece) -> None:
        """Recorded and perhaps sent, but not confirmed: the next round takes the same range, and looks at what the store has of it."""
        piece.tail.under_way = piece.range
        piece.tail.suspect_until = max(piece.tail.suspect_until, piece.range.end)

    def _look_ahead(self, piece: _Piece) -> None:
        """Begin to prepare what follows in the same segment, if it is much."""
        if piece.tail.size - piece.range.end >= self._range_bytes:
            following = self._tails.range_at(piece.tail, start=piece.range.end, limit=self._range_bytes)
            if following is not None:
                self._ahead.start(*following)

    def _record(self, pieces: Sequence[_Piece], *, now: int) -> None:
        self._ledger.record([piece.range for piece in pieces if piece.sent is not Sent.LATELY], now=now)
        for piece in pieces:
            if piece.sent is not Sent.LATELY:
                piece.tail.recorded_at = now

    def _confirm(self, loaded: Sequence[tuple[_Piece, Loaded]], *, report: ShipReport) -> ShipReport:
        bad = [letter for _, result in loaded for letter in result.bad]
        self._last_activity = self._clock()
        self._ledger.confirm([piece.range for piece, _ in loaded], bad=bad, now=self._last_activity)
        for piece, result in loaded:
            live = piece.range.start >= max(piece.tail.suspect_until, self._replay_until.get(piece.range.segment, 0))
            piece.tail.shipped = piece.range.end
            piece.tail.under_way = None
            if live:
                self._tell(piece, result)
        return ShipReport(
            ranges=report.ranges + len(loaded),
            lines=report.lines + sum(piece.range.lines for piece, _ in loaded),
            bytes=report.bytes + sum(len(piece.data) for piece, _ in loaded),
            dead_letters=report.dead_letters + len(bad),
            excess_rows=report.excess_rows + sum(result.excess for _, result in loaded),
        )

    def _tell(self, piece: _Piece, result: Loaded) -> None:
        wanted = [kind for kind in result.rows if any(kind in observer.kinds for observer in self._observers)]
        if not wanted:
            return
        groups, _ = split_by_kind(piece.data)
        for kind in wanted:
            lines = list(_live_lines(groups[kind], segment=piece.range.segment))
            for observer in self._observers:
                if lines and kind in observer.kinds:
                    self._observe(observer, kind, lines)

    def _observe(self, observer: LineObserver, kind: str, lines: list[Line]) -> None:
        try:
            observer.observe(kind, lines)
        except Exception:  # telemetry is a by-product: its failure is logged and must not stop the data path
            log.exception("a line observer failed", kind=kind)

    def _keep_house(self, *, now: int) -> None:
        """Now and then: compress one segment that every store has, drop what is older than it is kept."""
        if now < self._next_housekeeping:
            return
        oldest = now - self._config.keep_days * DAY_MS
        finished = self._tails.finished()
        dropped = retention.prune(self._directory, finished, before=oldest)
        if dropped:
            self._ledger.forget(dropped)
        shipped = self._ledger.shipped_by_all(since=oldest)
        compressed = retention.compress_next(self._directory, finished, shipped=shipped)
        self._next_housekeeping = now + (self.HOUSEKEEPING_MS if not compressed else self.HOUSEKEEPING_MS // 12)

    # --- torn lines and completeness -----------------------------------------------------------------------------------------

    def _bury_torn(self, tails: Sequence[Tail], *, report: ShipReport) -> ShipReport:
        """A dead writer's last, unfinished line is a dead letter; the segment is finished then."""
        torn: list[DeadLetter] = []
        for tail in tails:
            if tail.final and tail.behind and tail.looked_to == tail.size:
                rest = self._tails.rest(tail, limit=self._range_bytes)
                if not is_erased(rest):
                    torn.append(_torn(tail, rest))
            if tail.final and (tail.behind == 0 or tail.looked_to == tail.size):
                self._tails.finish(tail)
                tail.size = tail.shipped
        if torn:
            with self._control.begin() as connection:
                bury(connection, torn, now=self._clock())
        return msgspec.structs.replace(report, dead_letters=report.dead_letters + len(torn))

    def _complete_through(self, tails: Sequence[Tail], *, asked_at: int) -> int:
        """Everything stamped before `asked_at` is in the store, unless a segment is behind: then up to its first line left.

        A segment made after the listing was begun after `asked_at`, and so were its stamps.
        """
        unshipped = [self._first_unshipped(tail, asked_at=asked_at) for tail in tails if tail.behind]
        under_the_pen = [tail.pending_since for tail in tails if tail.pending_since]
        return min([asked_at, *unshipped, *under_the_pen]) - 1

    def _first_unshipped(self, tail: Tail, *, asked_at: int) -> int:
        head, newline, _ = self._tails.rest(tail, limit=self._range_bytes).partition(b"\n")
        if not newline:
            return asked_at  # under the pen: `pending_since` speaks for it
        for line in _live_lines([head], segment=tail.segment.name):
            return line.envelope.known_at
        return segments.created_ms(tail.segment.name)


def _torn(tail: Tail, rest: bytes) -> DeadLetter:
    detail = f"the writer died within this line; {len(rest)} bytes of it are there"
    return DeadLetter(segment=tail.segment.name, o=tail.shipped, reason="torn_line", detail=detail, line=rest)


def _live_lines(lines: Sequence[bytes], *, segment: str) -> Iterator[Line]:
    """The lines that are records and not claimed."""
    for raw in lines:
        try:
            line = decode_line(raw, segment=segment)
        except Invalid:
            continue
        if not line.envelope.claimed:
            yield line
