"""The central bank's file of reference rates (eurofxref-hist.csv, as it is downloaded: .csv or .zip), one row per quote.

The bank adds a line a day to the same file, so the file is imported again and again: what was read before is left out day by day, and
a day that the bank corrects is read again. Format: "Date,USD,JPY,…," with an empty last column; "N/A" where a currency was not quoted.
Source: https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

from collectors.files.opening import opened
from collectors.files.tables import Row, Share, format_of
from core.errors import Invalid

#: The bank quotes what one euro is worth.
BASE: Final = "EUR"
SOURCE: Final = "ecb"
_ABSENT: Final = frozenset({"", "N/A"})
_CODE: Final = re.compile(r"^[A-Z]{3}$")

#: Day (ISO 8601) -> digest of its line.
Days = dict[str, str]


def is_the_banks(path: Path) -> bool:
    """True when the file begins as the bank's does; own tables have a line per rate."""
    if format_of(path) != "csv":
        return False
    with opened(path) as file:
        header = _cells(file.stream.readline().decode("utf-8-sig", "replace"))
    return header[:1] == ["Date"] and any(map(_CODE.match, header[1:]))


def quotes(path: Path, *, known: Days, seen: Days) -> Iterator[tuple[Row, Share]]:
    """The quotes of days that are not in `known` as they stand here; every day of the file is noted in `seen`."""
    with opened(path) as file:
        text = io.TextIOWrapper(file.stream, encoding="utf-8-sig", errors="replace", newline="")
        codes = _cells(text.readline())
        for number, line in enumerate(text, 2):
            cells = _cells(line)
            if not any(cells):
                continue
            day = _day(cells[0])
            if day is None or len(cells) != len(codes):
                yield Row(number, {}, Invalid("malformed", "not a day and its rates")), file.share
                continue
            digest = blake2b(repr(list(zip(codes, cells, strict=True))).encode(), digest_size=8).hexdigest()
            seen[day.isoformat()] = digest
            if known.get(day.isoformat()) != digest:
                for cells_of_one in _of_day(day, codes, cells):
                    yield Row(number, cells_of_one), file.share


def _of_day(day: date, codes: list[str], cells: list[str]) -> Iterator[dict[str, object]]:
    for code, rate in zip(codes[1:], cells[1:], strict=True):
        if code and rate not in _ABSENT:
            yield {"date": day.isoformat(), "base": BASE, "currency": code, "rate": rate, "quoted_by": SOURCE}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def _day(text: str) -> date | None:
    """``2026-11-20`` in the whole file, ``20 November 2026`` in the daily one."""
    for form in ("%Y-%m-%d", "%d %B %Y"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day of the calendar
        except ValueError:
            continue
    return None
