"""A CSV file as columns of text: one header, comma, semicolon or tab between cells, UTF-8 with or without a mark."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import Invalid

SEPARATORS = (",", ";", "\t", "|")
#: More rows than this do not fit the promise of bounded memory.
MOST_ROWS = 2_000_000


def read_columns(path: Path, *, needed: Sequence[str]) -> dict[str, list[str]]:
    """Column name -> its cells in order.

    Args:
        needed: columns that must be there; what separates cells is judged by them.

    Raises:
        Invalid: `no_file`, `not_text`, `no_header`, `no_column`, `same_column`, `ragged_row` or `too_many_rows`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = lines.readline()
            separator = _separator(header, needed)
            lines.seek(0)
            return _columns(csv.reader(lines, delimiter=separator), needed)
    except OSError as error:
        raise Invalid("no_file", f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Invalid("not_text", f"{path} is not UTF-8 text (byte {error.start}); export it as CSV in UTF-8") from None
    except csv.Error as error:
        raise Invalid("not_text", f"{path} is not a CSV file: {error}") from None


def _separator(header: str, needed: Sequence[str]) -> str:
    def fitting(separator: str) -> tuple[int, int]:
        names = [name.strip().strip('"') for name in header.rstrip("\r\n").split(separator)]
        return sum(name in names for name in needed), len(names)

    return max(SEPARATORS, key=fitting)


def _columns(rows: Iterator[list[str]], needed: Sequence[str]) -> dict[str, list[str]]:
    names = [name.strip() for name in next(rows, [])]
    if not any(names):
        raise Invalid("no_header", "the file is empty; its first line must name the columns")
    missing = [name for name in needed if name not in names]
    if missing:
        raise Invalid("no_column", f"there is no column {', '.join(missing)}; the header has: {', '.join(names)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid("same_column", f"the header names {', '.join(twice)} twice; rename one of them")
    columns: list[list[str]] = [[] for _ in names]
    for number, row in enumerate(rows, start=2):
        if not row:
            continue  # an empty line, as many exports end with
        if len(row) != len(names):
            raise Invalid(
                "ragged_row",
                f"row {number} has {len(row)} cells, the header {len(names)}; quote cells that contain the separator",
            )
        if len(columns[0]) >= MOST_ROWS:
            raise Invalid(
                "too_many_rows",
                f"more than {MOST_ROWS:,} rows; add up rows of equal attributes, or leave attributes out",
            )
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    return dict(zip(names, columns, strict=True))
