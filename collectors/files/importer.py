"""Brings files into the journal: in batches, with claimed `known_at`, resumable, and the second time without effect.

1. The file's content hash, kind and column names make the import's key in the manifest (control checkpoints).
2. Rows become records; a bad one is noted with its number and reason, the rest go on.
3. After each batch stands in the journal, the manifest notes how many rows are done; a later run skips these.

A process killed between 2 and 3 repeats at most one batch when it is run again. Its facts have the same fact IDs and contents
(equal to the current version = nothing changed), its clicks the same click and hit IDs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from collectors.files import history, rates
from collectors.files.reading import Reading
from collectors.files.shapes import KINDS
from collectors.files.tables import KNOWN_AT, Columns, Row, Share, rows
from collectors.push.bodies import Shape, from_row
from core.clock import HOUR_MS, parse_rfc3339
from core.errors import Invalid, Refusal
from core.records import Rate, Record, Spend

JOURNAL: Final = "journal"
RATES: Final = "rates"
#: The manifest's entry about the days of the central bank's file.
BANK_DAYS: Final = "rates:ecb"
#: The central bank publishes a day's rates at 16:00 CET.
PUBLISHED_AFTER_MS: Final = 15 * HOUR_MS
SOURCE: Final = "file"
BATCH_ROWS: Final = 5_000
#: Bad lines that are told one by one; the others are only counted.
MAX_REPORTED: Final = 100

#: What a row without a column `known_at` claims: that it was known when it happened, or nothing (it becomes known now).
KnownAt = Literal["event", "now"]
Progress = Callable[[float, int], None]


class Journal(Protocol):
    """The writing side of `core.journal.writer.JournalWriter`."""

    def append_encoded(self, bodies: Sequence[bytes], *, known_at: Sequence[int] | None = None) -> None: ...


class Manifest(Protocol):
    """`core.control.checkpoints.Checkpoints` of the part "imports"."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    reason: str
    detail: str


class Imported(msgspec.Struct, kw_only=True):
    """What became of one file. `rows` were read now, `skipped` earlier; `bad_lines` are the first of `bad`.

    Of the central bank's rates, `rows` are quotes of days that were not known yet as they stand in the file.
    """

    file: str
    kind: str
    rows: int = 0
    written: int = 0
    skipped: int = 0
    bad: int = 0
    bad_lines: list[BadLine] = []
    already: bool = False


class _State(msgspec.Struct, kw_only=True):
    """The manifest's entry: rows done from the start of the file, good and bad."""

    done: int = 0
    bad: int = 0
    complete: bool = False


_encode = msgspec.json.Encoder().encode


class Importer:
    """Imports files of one kind after the other; `now` is the time of the import, for the checks of event times."""

    def __init__(
        self,
        journal: Journal,
        manifest: Manifest,
        *,
        now: int,
        known_at: KnownAt = "event",
        how: Reading | None = None,
        progress: Progress = lambda _share, _rows: None,
    ) -> None:
        self._journal = journal
        self._manifest = manifest
        self._now = now
        self._known_at = known_at
        self._how = how or Reading()
        self._progress = progress

    def run(self, kind: str, path: Path) -> Imported:
        """Import one file.

        Raises:
            Invalid: `unknown_kind`, `not_found`, or the file as a whole cannot be read.
            JournalError: the journal cannot be written; what is done is noted, run it again.
        """
        if kind != JOURNAL and kind not in KINDS:
            raise Invalid("unknown_kind", f"{kind}: known are {', '.join([*KINDS, JOURNAL])}")
        if not path.is_file():
            found = "is no file: name the files in it" if path.is_dir() else "no such file"
            raise Invalid("not_found", f"{path}: {found}")
        key = f"{kind}:{content_hash(path, self._how)}"
        saved = self._manifest.get(key)
        state = msgspec.json.decode(saved, type=_State) if saved else _State()
        result = Imported(file=str(path), kind=kind, skipped=state.done, already=state.complete, bad_lines=[])
        if not state.complete:
            self._import(kind, path, state, result, key=key)
        return result

    def _import(self, kind: str, path: Path, state: _State, result: Imported, *, key: str) -> None:
        if kind == JOURNAL:
            self._write(islice(self._journal_lines(path), state.done, None), state, result, key=key)
        elif kind == RATES and rates.is_the_banks(path):
            saved = self._manifest.get(BANK_DAYS)
            known = msgspec.json.decode(saved, type=rates.Days) if saved else {}
            seen: rates.Days = {}
            self._write(
                self._built(kind, rates.quotes(path, known=known, seen=seen), state.done), state, result, key=key
            )
            self._manifest.put(BANK_DAYS, _encode({**known, **seen}))
        else:
            table = rows(path, columns=Columns(KINDS[kind].body, self._how), how=self._how)
            self._write(self._built(kind, table, state.done), state, result, key=key)

    # --- reading -------------------------------------------------------------------------------------------------------------

    def _built(
        self, kind: str, table: Iterator[tuple[Row, Share]], skip: int
    ) -> Iterator[tuple[history.Body | BadLine, Share]]:
        shape = KINDS[kind]
        for row, share in islice(table, skip, None):
            yield self._body(shape, row), share

    def _body(self, shape: Shape, row: Row) -> history.Body | BadLine:
        refusal = row.problem
        if refusal is None:
            claimed = row.cells.pop(KNOWN_AT, None)
            try:
                record = from_row(shape, row.cells, now=self._now, source=SOURCE, short=row.short)
                return history.Body(_encode(record), self._claim(record, claimed))
            except Refusal as found:
                refusal = found
            except UnicodeEncodeError:
                refusal = Invalid("bad_value", "the row is not UTF-8")
        return BadLine(line=row.number, reason=refusal.reason, detail=refusal.detail)

    def _claim(self, record: Record, claimed: object) -> int:
        """The `known_at` of a row (ms): its own column, else when it happened, else now."""
        if isinstance(claimed, str):
            try:
                return min(parse_rfc3339(claimed), self._now)
            except ValueError as error:
                raise Invalid("bad_value", f"{KNOWN_AT}: {error}") from None
        if self._known_at == "now":
            return self._now
        return min(_happened(record), self._now)

    @staticmethod
    def _journal_lines(path: Path) -> Iterator[tuple[history.Body | BadLine, Share]]:
        size, read = max(1, path.stat().st_size), 0

        def share() -> float:
            return min(1.0, read / size)

        for number, line in history.lines(path):
            read += len(line) + 1
            try:
                yield history.body_of(line), share
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                yield BadLine(line=number, reason="not_a_record", detail=str(error)), share
            except Invalid as refusal:
                yield BadLine(line=number, reason=refusal.reason, detail=refusal.detail), share

    # --- writing -------------------------------------------------------------------------------------------------------------

    def _write(
        self, parsed: Iterator[tuple[history.Body | BadLine, Share]], state: _State, result: Imported, *, key: str
    ) -> None:
        batch: list[history.Body] = []
        for item, share in parsed:
            result.rows += 1
            if isinstance(item, BadLine):
                result.bad += 1
                if len(result.bad_lines) < MAX_REPORTED:
                    result.bad_lines.append(item)
            else:
                batch.append(item)
                if len(batch) >= BATCH_ROWS:
                    self._flush(batch, state, result, key=key)
                    self._progress(share(), result.rows)
        state.complete = True
        self._flush(batch, state, result, key=key)
        self._progress(1.0, result.rows)

    def _flush(self, batch: list[history.Body], state: _State, result: Imported, *, key: str) -> None:
        if batch:
            claims = None if self._known_at == "now" and result.kind != JOURNAL else [body.known_at for body in batch]
            self._journal.append_encoded([body.encoded for body in batch], known_at=claims)
            result.written += len(batch)
            batch.clear()
        state.done, state.bad = result.skipped + result.rows, result.bad
        self._manifest.put(key, msgspec.json.encode(state))


def _happened(record: Record) -> int:
    """When a record could first be known (ms): spend when its bucket is over, the bank's rates when they are published."""
    if isinstance(record, Spend):
        return record.ts + record.bucket_s * 1000
    if isinstance(record, Rate) and record.source == rates.SOURCE:
        return record.ts + PUBLISHED_AFTER_MS
    return record.ts


def content_hash(path: Path, how: Reading) -> str:
    """What makes two imports the same: the bytes, and how their columns are read."""
    plain = how == Reading(renames=how.renames, zones=how.zones)
    digest = blake2b(_encode(sorted(how.renames.items()) if plain else how), digest_size=20)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
