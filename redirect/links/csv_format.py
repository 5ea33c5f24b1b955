"""Links as CSV: a column for each field of a definition.

Tags stand in one cell with commas between them (a tag has none), rules and variants as JSON. A cell that a spreadsheet would take for a
formula (it begins with ``= + - @``, a tab or a line break) gets an apostrophe in front, which reading takes off again; a text that looks
like an escaped one gets one more, so nothing is lost on the way there and back.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from core.errors import Invalid
from redirect.links.file_lines import FIELDS, READ_ONLY, Line, decoded, no_field
from redirect.links.model import LinkDefinition

_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(LinkDefinition)}
_TRIGGERS: Final = frozenset("=+-@\t\r\n＝＋－＠")
_APOSTROPHE: Final = "'"
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

# The rules of a link may take more than the module's limit of 128 KiB a cell, which it keeps in one place for the whole process.
csv.field_size_limit(2**24)


def write_csv(links: Iterable[LinkDefinition]) -> Iterator[bytes]:
    """A line with the names of the columns, then one for each link."""
    # With \r\n at the ends of lines, every \r and \n within a cell is quoted.
    yield (",".join(FIELDS) + "\r\n").encode()
    for definition in links:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\r\n").writerow([_cell(name, getattr(definition, name)) for name in FIELDS])
        yield out.getvalue().encode()


def read_csv(lines: Iterable[str], renames: Mapping[str, str]) -> Iterator[Line]:
    """Links of a CSV file with a header; commas, semicolons or tabs between the cells.

    Raises:
        Invalid: `empty`, `unknown_column`, `missing_column`.
    """
    ahead = iter(lines)
    first = next(ahead, "").removeprefix("\ufeff")
    if not first.strip():
        raise Invalid("empty", "the first line is empty: it names the columns")
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(_with_first(first, ahead), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(rows), renames)
        number = rows.line_num + 1
        for row in rows:
            if row:
                yield _line_of_cells(number, columns, row)
            number = rows.line_num + 1
    except csv.Error as error:
        hint = "is a quotation mark missing? The rest of the file was not read"
        yield Line(number=rows.line_num, problem=Invalid("malformed", f"{error}: {hint}"))


def _with_first(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _columns(header: list[str], renames: Mapping[str, str]) -> list[str]:
    """Our field for each column, "" for one that is left out."""
    names = [renames.get(name, name) for name in (cell.strip() for cell in header)]
    columns = ["" if name in READ_ONLY else name for name in names]
    unknown = next((name for name in columns if name and name not in FIELDS), None)
    if unknown is not None:
        raise Invalid("unknown_column", no_field(unknown))
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise Invalid("unknown_column", f"two columns are called {twice!r}: leave one out with map=theirs=")
    if "slug" not in columns:
        raise Invalid("missing_column", "there is no column slug: name it with map=theirs=slug")
    return columns


def _line_of_cells(number: int, columns: list[str], cells: list[str]) -> Line:
    if len(cells) != len(columns):
        problem = Invalid("cells", f"{len(cells)} cells, but {len(columns)} columns: is a quotation mark missing?")
        return Line(number=number, problem=problem)
    try:
        values = {name: _value(name, cell) for name, cell in zip(columns, cells, strict=True) if name}
    except Invalid as problem:
        return Line(number=number, problem=problem)
    return Line(number=number, values=values)


def _value(name: str, cell: str) -> Any:
    """What a cell says; an empty one says the field's default."""
    default = _DEFAULTS[name]
    if name == "tags":
        return [tag for tag in (tag.strip() for tag in _unescaped(cell).split(",")) if tag]
    if default is msgspec.NODEFAULT or isinstance(default, str):
        return _unescaped(cell)
    if not cell.strip():
        return msgspec.to_builtins(default)
    if isinstance(default, bool):
        if cell.strip().lower() not in _FLAGS:
            raise Invalid(name, f"{cell!r}: write true or false")
        return _FLAGS[cell.strip().lower()]
    if isinstance(default, int):
        if not re.fullmatch(r"[0-9]{1,15}", cell.strip(), re.ASCII):
            raise Invalid(name, f"{cell!r} is no whole number")
        return int(cell)
    return decoded(name, cell)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "tags":
        value = ",".join(value)
    elif isinstance(value, tuple):
        return msgspec.json.encode(value).decode() if value else ""
    return _escaped(str(value))


def _escaped(text: str) -> str:
    return _APOSTROPHE + text if _triggers(text) else text


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith(_APOSTROPHE) and _triggers(cell[1:]) else cell


def _triggers(text: str) -> bool:
    """True for a formula, and for what would be read as an escaped one: apostrophes and then a formula."""
    return text.lstrip(_APOSTROPHE)[:1] in _TRIGGERS
