"""Rows of a CSV, NDJSON or Parquet file, all cells as the record's fields want them: text, or a list or map for such fields."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal, get_origin, get_type_hints

import msgspec
import pyarrow.parquet

from core.errors import Invalid

Format = Literal["csv", "ndjson", "parquet"]
FORMATS: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
}
#: When the fact was known, for history that knows it; not a field of any body.
KNOWN_AT: Final = "known_at"
PARQUET_BATCH: Final = 10_000


class Row(msgspec.Struct, frozen=True):
    """A row with its number in the file (a header is line 1), how far the file is read in [0, 1], or why it cannot be read."""

    number: int
    cells: dict[str, object]
    share: float
    problem: str = ""


def format_of(path: Path) -> Format:
    """The format a file name says.

    Raises:
        Invalid: `unsupported_media_type`.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise Invalid("unsupported_media_type", f"{path.name}: name it .csv, .tsv, .ndjson, .jsonl or .parquet")
    return found


class Columns:
    """Renames the file's columns and gives every cell the form that its field wants.

    Args:
        body: the struct whose fields the columns are.
        renames: theirs -> ours; an empty name drops the column.
    """

    def __init__(self, body: type[msgspec.Struct], renames: Mapping[str, str]) -> None:
        self._renames = renames
        hints = get_type_hints(body)
        self._nested = {name for name in body.__struct_fields__ if get_origin(hints[name]) in (dict, list)}
        self._known = {*body.__struct_fields__, KNOWN_AT}

    def check(self, names: list[str]) -> None:
        """Refuse a file with columns we do not know: a typing error would be lost silently.

        Raises:
            Invalid: `unknown_field`, naming them all.
        """
        unknown = [name for name in names if self._renames.get(name, name) not in {*self._known, ""}]
        if unknown:
            raise Invalid(
                "unknown_field",
                f"column(s) {', '.join(unknown)}: known are {', '.join(sorted(self._known))}; "
                f"rename one with --map {unknown[0]}=OURS, leave it out with --map {unknown[0]}=",
            )

    def cells(self, values: Mapping[str, object]) -> dict[str, object]:
        """The row under our names, empty cells left out."""
        row: dict[str, object] = {}
        for theirs, value in values.items():
            ours = self._renames.get(theirs, theirs)
            if ours and not _empty(value):
                row[ours] = _nested(value) if ours in self._nested else _text(value)
        return row


def rows(path: Path, *, columns: Columns, skip: int = 0) -> Iterator[Row]:
    """The rows of a file after the first `skip`.

    Raises:
        Invalid: the file as a whole cannot be read, or has unknown columns.
    """
    read = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}[format_of(path)]
    for at, row in enumerate(read(path, columns)):
        if at >= skip:
            yield row


def _csv(path: Path, columns: Columns) -> Iterator[Row]:
    size = max(1, path.stat().st_size)
    with path.open("r", encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        header = next(reader, [])
        columns.check(header)
        read = 0
        for line in reader:
            read += sum(map(len, line)) + len(line)
            if not line:
                continue
            problem = "" if len(line) == len(header) else f"{len(line)} cells, the header has {len(header)}"
            cells = {} if problem else columns.cells(dict(zip(header, line, strict=True)))
            yield Row(reader.line_num, cells, min(1.0, read / size), problem)


def _ndjson(path: Path, columns: Columns) -> Iterator[Row]:
    size = max(1, path.stat().st_size)
    decoder = msgspec.json.Decoder(dict[str, object])
    read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            read += len(line)
            if not line.strip():
                continue
            try:
                values = decoder.decode(line)
                columns.check(list(values))
            except (msgspec.MsgspecError, UnicodeDecodeError, Invalid) as error:
                yield Row(number, {}, read / size, getattr(error, "detail", str(error)))
                continue
            yield Row(number, columns.cells(values), read / size)


def _parquet(path: Path, columns: Columns) -> Iterator[Row]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise Invalid("malformed", f"{path.name} is not Parquet: {error}") from None
    with file:
        columns.check(list(file.schema_arrow.names))
        total = max(1, file.metadata.num_rows)
        number = 0
        for batch in file.iter_batches(PARQUET_BATCH):
            for values in batch.to_pylist(maps_as_pydicts="lossy"):
                number += 1
                yield Row(number, columns.cells(values), number / total)


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: object) -> object:
    """A cell as text: the bodies convert from text, so that "10", 10 and 10.0 mean the same in every format."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, dict | list) else str(value)


def _nested(value: object) -> object:
    """A cell of a map or list field; in a CSV it is JSON."""
    if isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.MsgspecError:
            return value
    return value
