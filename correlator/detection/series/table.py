"""A CSV file as a series, and the file again with the scores beside its columns.

Read in two passes, so that a file of millions of rows takes a few numbers a row and no text.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from core.near import hint
from correlator.detection.series.scoring import Series

Floats = NDArray[np.float64]

SCORE: Final = "anomaly_score"
TIME: Final = "timestamp"
MISSING: Final = frozenset(
    {"", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf", "+inf", "infinity", "-infinity"}
)
#: Numbers from here on are milliseconds, microseconds, nanoseconds; below, seconds: 1e11 s is the year 5138.
UNITS_FROM: Final = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (0.0, 1000.0))


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A file's series in time order, and the place of each of its rows: row `order[i]` of the file is row i of the series."""

    series: Series
    order: NDArray[np.int64]
    disordered: int
    missing: int


def read_table(lines: TextIO) -> Table:
    """The series of a CSV file with a header.

    Raises Invalid, with the line: `no_header`, `unknown_column` (neither timestamp,value nor timestamp,successes,trials), `no_rows`,
    `short_row`, `bad_timestamp`, `bad_number`, `negative_count`.
    """
    rows = _rows(lines)
    header = _header(rows)
    columns = _columns(header)
    times, first, second = array("d"), array("d"), array("d")
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) <= max(columns):
            raise Invalid("short_row", f"line {number}: {len(row)} fields, the header has {len(header)}")
        times.append(_time(row[columns[0]], line=number))
        first.append(_number(row[columns[1]], line=number, count=len(columns) == 3))
        if len(columns) == 3:
            second.append(_number(row[columns[2]], line=number, count=True))
    if not times:
        raise Invalid("no_rows", "the file has a header and no rows")
    return _table(np.array(times), np.array(first), np.array(second) if len(columns) == 3 else None)


def write_scored(lines: TextIO, out: TextIO, *, scores: Floats) -> None:
    """The file again, each row with its score (file order) in a last column; a score column that it had is replaced."""
    rows = _rows(lines)
    header = next(rows)
    taken = [_folded(name) for name in header].index(SCORE) if SCORE in map(_folded, header) else None
    written = csv.writer(out, delimiter=_delimiter(header), lineterminator="\n")
    written.writerow([*_without(header, taken), SCORE])
    told = iter(scores.tolist())
    for row in rows:
        if row:
            written.writerow([*_without(row, taken), f"{next(told):.6f}"])


class _Header(list[str]):
    """The header's names; remembers what stood between them."""

    delimiter = ","


def _rows(lines: TextIO) -> Iterator[list[str]]:
    """The header and the rows; a blank line is an empty row."""
    begin = lines.readline().removeprefix("\ufeff")
    if not begin.strip():
        raise Invalid("no_header", "the file is empty or its first line is; it must name the columns")
    delimiter = max(",;\t", key=begin.count)
    names = _Header(next(csv.reader([begin], delimiter=delimiter)))
    names.delimiter = delimiter
    yield names
    try:
        yield from csv.reader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise Invalid("bad_csv", str(error)) from error


def _delimiter(header: Sequence[str]) -> str:
    return header.delimiter if isinstance(header, _Header) else ","


def _header(rows: Iterator[list[str]]) -> list[str]:
    return [_folded(name) for name in next(rows)]


def _folded(name: str) -> str:
    return name.strip().casefold()


def _without(row: Sequence[str], taken: int | None) -> list[str]:
    return [field for k, field in enumerate(row) if k != taken]


def _columns(header: Sequence[str]) -> tuple[int, ...]:
    """Where the time and the value, or the time, successes and trials stand."""
    wanted = (TIME, "value") if "value" in header else (TIME, "successes", "trials")
    for name in wanted:
        if name not in header:
            near = hint(name, [each for each in header if each])
            raise Invalid(
                "unknown_column",
                f"there is no column {name}{near}. The header must have timestamp,value or timestamp,successes,trials",
            )
    return tuple(header.index(name) for name in wanted)


def _time(text: str, *, line: int) -> float:
    """Milliseconds of an ISO 8601 time (UTC without a zone) or of seconds, milli-, micro- or nanoseconds since 1970."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise Invalid(
                "bad_timestamp", f"line {line}: {text!r} is no ISO 8601 time and no number of seconds or milliseconds"
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000.0
    if not math.isfinite(number):
        raise Invalid("bad_timestamp", f"line {line}: the timestamp is {text!r}")
    return number * next(unit for least, unit in UNITS_FROM if abs(number) >= least)


def _number(text: str, *, line: int, count: bool) -> float:
    text = text.strip()
    if text.casefold() in MISSING:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        raise Invalid("bad_number", f"line {line}: {text!r} is no number") from None
    if count and number < 0:
        raise Invalid("negative_count", f"line {line}: {text} successes or trials")
    return number if math.isfinite(number) else math.nan


def _table(times: Floats, first: Floats, trials: Floats | None) -> Table:
    """In time order; rows of one time stay in the file's order."""
    order = np.argsort(times, kind="stable")
    disordered = int(np.sum(np.diff(times) < 0))
    values = first[order]
    if trials is not None:
        trials = np.where(np.isnan(values), 0.0, np.nan_to_num(trials[order]))
        values = np.where(trials > 0, values / np.where(trials > 0, trials, 1.0), np.nan)
    series = Series(times_ms=np.round(times[order]).astype(np.int64), values=values, trials=trials)
    return Table(series=series, order=order, disordered=disordered, missing=int(np.isnan(values).sum()))
