"""Brings files into the journal: in batches, with claimed `known_at`, resumable, and the second time without effect.

1. The file's content hash, kind and column names make the import's key in the manifest (control checkpoints).
2. Rows become records; a bad one is noted with its number and reason, the rest go on.
3. After each batch stands in the journal, the manifest notes how many rows are done; a later run skips these.

A process killed between 2 and 3 repeats at most one batch when it is run again. Its facts have the same fact IDs and contents
(equal to the current version = nothing changed), its clicks the same click and hit IDs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from collectors.files import history
from collectors.files.shapes import KINDS
from collectors.files.tables import KNOWN_AT, Columns, Row, rows
from collectors.push.bodies import from_row
from core.clock import parse_rfc3339
from core.errors import Invalid, Refusal
from core.records import Record, Spend

JOURNAL: Final = "journal"
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
    """What became of one file. `rows` were read now, `skipped` earlier; `bad_lines` are the first of `bad`."""

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
        renames: Mapping[str, str] | None = None,
        progress: Progress = lambda _share, _rows: None,
    ) -> None:
        self._journal = journal
        self._manifest = manifest
        self._now = now
        self._known_at = known_at
        self._renames = dict(renames or {})
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
            raise Invalid("not_found", f"{path}: no such file")
        key = f"{kind}:{content_hash(path, self._renames)}"
        saved = self._manifest.get(key)
        state = msgspec.json.decode(saved, type=_State) if saved else _State()
        result = Imported(file=str(path), kind=kind, skipped=state.done, already=state.complete, bad_lines=[])
        if not state.complete:
            parsed = self._journal_lines(path) if kind == JOURNAL else self._table_rows(kind, path, skip=state.done)
            self._write(parsed, state, result, key=key, skip=state.done if kind == JOURNAL else 0)
        return result

    # --- reading -------------------------------------------------------------------------------------------------------------

    def _table_rows(self, kind: str, path: Path, *, skip: int) -> Iterator[tuple[float, history.Body | BadLine]]:
        columns = Columns(KINDS[kind].body, self._renames)
        for row in rows(path, columns=columns, skip=skip):
            yield row.share, self._body(kind, row)

    def _body(self, kind: str, row: Row) -> history.Body | BadLine:
        if row.problem:
            return BadLine(line=row.number, reason="malformed", detail=row.problem)
        claimed = row.cells.pop(KNOWN_AT, None)
        try:
            record = from_row(KINDS[kind], row.cells, now=self._now, source=SOURCE)
            return history.Body(_encode(record), self._claim(record, claimed))
        except Refusal as refusal:
            return BadLine(line=row.number, reason=refusal.reason, detail=refusal.detail)
        except UnicodeEncodeError:
            return BadLine(line=row.number, reason="bad_value", detail="the row is not UTF-8")

    def _claim(self, record: Record, claimed: object) -> int:
        """The `known_at` of a row (ms): its own column, else when it happened, else now."""
        if isinstance(claimed, str):
            try:
                return min(parse_rfc3339(claimed), self._now)
            except ValueError as error:
                raise Invalid("bad_value", f"{KNOWN_AT}: {error}") from None
        if self._known_at == "now":
            return self._now
        # Spend is known when its bucket is over.
        happened = record.ts + record.bucket_s * 1000 if isinstance(record, Spend) else record.ts
        return min(happened, self._now)

    @staticmethod
    def _journal_lines(path: Path) -> Iterator[tuple[float, history.Body | BadLine]]:
        size, read = max(1, path.stat().st_size), 0
        for number, line in history.lines(path):
            read += len(line) + 1
            try:
                yield min(1.0, read / size), history.body_of(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                yield min(1.0, read / size), BadLine(line=number, reason="not_a_record", detail=str(error))

    # --- writing -------------------------------------------------------------------------------------------------------------

    def _write(
        self,
        parsed: Iterator[tuple[float, history.Body | BadLine]],
        state: _State,
        result: Imported,
        *,
        key: str,
        skip: int,
    ) -> None:
        batch: list[history.Body] = []
        share = 0.0
        for share, item in parsed:
            if skip > 0:
                skip -= 1
                continue
            result.rows += 1
            if isinstance(item, BadLine):
                result.bad += 1
                if len(result.bad_lines) < MAX_REPORTED:
                    result.bad_lines.append(item)
            else:
                batch.append(item)
            if len(batch) >= BATCH_ROWS:
                self._flush(batch, state, result, key=key)
                self._progress(share, result.rows)
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


def content_hash(path: Path, renames: Mapping[str, str]) -> str:
    """What makes two imports the same: the bytes, and how their columns are read."""
    digest = blake2b(_encode(sorted(renames.items())), digest_size=20)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
