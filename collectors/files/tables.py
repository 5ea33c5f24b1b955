"""Rows of a CSV, NDJSON or Parquet file, all cells as the record's fields want them: text, or a list or map for such fields."""

from __future__ import annotations

import csv
import io
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, get_origin, get_type_hints

import msgspec
import pyarrow.parquet

from collectors.files.opening import opened, suffix
from collectors.files.reading import DATE, DAY, Reading, is_time
from collectors.push.bodies import MAX_TEXT
from core.errors import Invalid, Refusal
from core.near import hint, nearest

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
#: Text fields of the bodies that hold an amount.
AMOUNTS: Final = frozenset({"value", "cost", "daily_budget", "target_cpl", "margin", "cpc"})
PARQUET_BATCH: Final = 10_000
#: What `surrogateescape` makes of bytes that are not UTF-8.
_BYTES: Final = re.compile("[\udc80-\udcff]")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d")
DELIMITERS: Final = (",", ";", "\t")

#: The share of the file that is read, in [0, 1].
Share = Callable[[], float]


class Row(msgspec.Struct, frozen=True):
    """A row with its number in the file (a header is line 1), or the refusal of one that cannot be read.

    `short`: no cell can be longer than a text may be or hold a NUL, so nobody has to look.
    """

    number: int
    cells: dict[str, object]
    problem: Refusal | None = None
    short: bool = False


def format_of(path: Path) -> Format:
    """The format a file name says.

    Raises:
        Invalid: `unsupported_media_type`.
    """
    found = FORMATS.get(suffix(path))
    if found is None or (found == "parquet" and path.suffix.lower() != ".parquet"):
        raise Invalid(
            "unsupported_media_type",
            f"{path.name}: name it .csv, .tsv, .ndjson or .jsonl (also .gz, .zst or .zip), or .parquet",
        )
    return found


class Columns:
    """Renames the file's columns and gives every cell the form that its field wants.

    Args:
        body: the struct whose fields the columns are.
        how: what the caller says about the file.
    """

    def __init__(self, body: type[msgspec.Struct], how: Reading) -> None:
        self._how = how
        self._renames = how.renames
        hints = get_type_hints(body)
        fields = body.__struct_fields__
        self._nested = {name for name in fields if get_origin(hints[name]) in (dict, list)}
        numbers = {name for name in fields if hints[name] in (int, float)} | AMOUNTS
        self._numbers = numbers if how.decimal else set()
        self._known = {*fields, KNOWN_AT, *([DAY] if "bucket" in fields else [])}
        times = {name for name in self._known if is_time(name)} if how.zone or how.zones or how.date_format else set()
        days = {DAY} if "bucket" in fields else {DATE} & {*fields} if how.date_format else set()
        #: Fields whose cells are not taken as they are written; "" = columns that are left out.
        self._special = {*self._nested, *self._numbers, *times, *days, ""}
        self._seen: set[tuple[str, ...]] = set()
        self._check_constants()

    def check(self, names: Sequence[str]) -> list[str]:
        """Our names of a file's columns, "" for those left out. A column we do not know is refused: a typing error would be lost silently.

        Raises:
            Invalid: `unknown_field`, naming them all.
        """
        ours = [self._renames.get(name, name) for name in names]
        if (key := tuple(ours)) not in self._seen:
            unknown = [name for name, our in zip(names, ours, strict=True) if our and our not in self._known]
            if unknown:
                raise self._unknown(names, unknown)
            self._seen.add(key)
        return ours

    def of_texts(self, names: Sequence[str]) -> Callable[[Sequence[str]], dict[str, object]]:
        """What makes of the texts of these columns a row under our names, empty cells left out.

        Raises:
            Invalid: `unknown_field`.
        """
        ours = self.check(names)

        def plain(values: Sequence[str]) -> dict[str, object]:
            return {name: value for name, value in zip(ours, values, strict=True) if value}

        if self._special.isdisjoint(ours) and not self._how.constants:
            return plain
        return lambda values: self._understood(plain(values))

    def typed(self, values: Mapping[str, object]) -> dict[str, object]:
        """The same of a row whose values may have types already.

        Raises:
            Refusal: `unknown_field`, or a text cannot be understood the way the caller says.
        """
        names = self.check(list(values))
        row: dict[str, object] = {
            name: value.isoformat() if isinstance(value, datetime | date) else value
            for name, value in zip(names, values.values(), strict=True)
            if not _empty(value)
        }
        if self._how.constants or not self._special.isdisjoint(row):
            row = self._understood(row)
        return {name: value if name in self._nested else _text(value) for name, value in row.items()}

    def _understood(self, row: dict[str, object]) -> dict[str, object]:
        row.pop("", None)
        for name, constant in self._how.constants.items():
            row.setdefault(name, constant)
        for name in self._special.intersection(row):
            value = row[name]
            if isinstance(value, str):
                row.update(self._cell(name, value, row))
        row.pop(DAY, None)
        return row

    def _cell(self, name: str, value: str, row: Mapping[str, object]) -> Mapping[str, object]:
        if name in self._nested:
            return {name: _nested(value)}
        if name in self._numbers:
            return {name: self._how.number(value, name)}
        if name == DAY:
            return self._how.day(value, row)
        return {name: self._how.date(value) if name == DATE else self._how.time(value, row)}

    def _check_constants(self) -> None:
        for name in sorted(set(self._how.constants) - self._known):
            raise Invalid("unknown_field", f"--set {name}=…: there is no field {name}{hint(name, self._known)}")

    def _unknown(self, names: Sequence[str], unknown: Sequence[str]) -> Invalid:
        known = ", ".join(sorted(self._known))
        if len(unknown) == len(names) and any(map(_no_name, names)):
            return Invalid(
                "unknown_field", f"the first line must name the columns, and this one does not: known are {known}"
            )
        meant = {name: nearest(name, self._known - {*names}) for name in unknown}
        renamed = " ".join(f"--map {shlex.quote(f'{name}={ours}')}" for name, ours in meant.items() if ours)
        first = next((name for name, ours in meant.items() if not ours), unknown[0])
        mend = f"did you mean {renamed}? " if renamed else ""
        example = "" if renamed else f"rename one with --map {shlex.quote(f'{first}=OURS')}, "
        return Invalid(
            "unknown_field",
            f"column(s) {', '.join(unknown)}: {mend}{example}leave one out with --map {shlex.quote(f'{first}=')}; known are {known}",
        )


def _no_name(name: str) -> bool:
    """Whether a column's name is more likely a cell: a header was forgotten."""
    return not any(character.isalpha() for character in name) or bool(_TIME.match(name))


def rows(path: Path, *, columns: Columns, how: Reading | None = None) -> Iterator[tuple[Row, Share]]:
    """The rows of a file, each with the way to ask how far the file is read.

    Raises:
        Invalid: the file as a whole cannot be read, or has unknown columns.
    """
    read = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}[format_of(path)]
    yield from read(path, columns, how or Reading())


def delimiter_of(path: Path, header: str, how: Reading) -> str:
    """What stands between the cells: what the caller says, a tab in a .tsv, else what the header has most of."""
    return how.delimiter or ("\t" if suffix(path) == ".tsv" else max(DELIMITERS, key=header.count))


def _csv(path: Path, columns: Columns, how: Reading) -> Iterator[tuple[Row, Share]]:
    with opened(path) as file:
        text = io.TextIOWrapper(file.stream, encoding="utf-8-sig", newline="", errors="surrogateescape")
        first = text.readline()
        lines = _Lines(first, text)
        reader = csv.reader(lines, delimiter=delimiter_of(path, first, how))
        header = next(reader, [])
        if not header:
            raise Invalid("malformed", f"{path.name} has no header: its first line names the columns")
        if any(_BYTES.search(name) for name in header):
            raise Invalid("malformed", f"{path.name}: the header is not UTF-8: save the file as CSV UTF-8")
        cells = columns.of_texts(header)
        width, share = len(header), file.share
        for line in reader:
            if not line:
                continue
            number = reader.line_num
            if len(line) != width:
                problem = Invalid("malformed", f"{len(line)} cells, the header has {width}")
                yield Row(number, {}, problem), share
                continue
            try:
                yield Row(number, cells(line), None, number != lines.odd), share
            except Refusal as refusal:
                yield Row(number, {}, refusal), share


class _Lines:
    """The lines of a CSV; `odd` is the number of the last one after which cells must be looked at one by one.

    Looking at a line costs a tenth of looking at its cells. A cell over several lines makes all of them odd.
    """

    def __init__(self, first: str, rest: Iterator[str]) -> None:
        self._all = chain([first] if first else [], rest)
        self.odd = 0

    def __iter__(self) -> Iterator[str]:
        inside = False
        for number, line in enumerate(self._all, 1):
            if '"' in line and line.count('"') % 2:
                inside = not inside
                self.odd = number
            elif inside or len(line) > MAX_TEXT or "\x00" in line:
                self.odd = number
            yield line


def _ndjson(path: Path, columns: Columns, _how: Reading) -> Iterator[tuple[Row, Share]]:
    decoder = msgspec.json.Decoder(dict[str, object])
    with opened(path) as file:
        for number, line in enumerate(file.stream, 1):
            if not line.strip():
                continue
            try:
                yield Row(number, columns.typed(decoder.decode(line))), file.share
            except Refusal as refusal:
                # What the whole file would be refused for in a CSV is one line's fault here.
                problem = Invalid("malformed", refusal.detail) if refusal.reason == "unknown_field" else refusal
                yield Row(number, {}, problem), file.share
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                yield Row(number, {}, Invalid("malformed", str(error))), file.share


def _parquet(path: Path, columns: Columns, _how: Reading) -> Iterator[tuple[Row, Share]]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise Invalid("malformed", f"{path.name} is not Parquet: {error}") from None
    with file:
        columns.check(list(file.schema_arrow.names))
        total = max(1, int(file.metadata.num_rows))
        number = 0

        def share() -> float:
            return number / total

        for batch in file.iter_batches(PARQUET_BATCH):
            for values in batch.to_pylist(maps_as_pydicts="lossy"):
                number += 1
                try:
                    yield Row(number, columns.typed(values)), share
                except Refusal as refusal:
                    yield Row(number, {}, refusal), share


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: object) -> object:
    """A cell as text: the bodies convert from text, so that "10", 10 and 10.0 mean the same in every format."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, dict | list) else str(value)


def _nested(value: str) -> Any:
    """A cell of a map or list field; in a CSV it is JSON."""
    try:
        return msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return value
