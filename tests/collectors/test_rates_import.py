"""The central bank's file of rates as it is downloaded, imported again and again, and the company's own table."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.files.importer import Imported, Importer
from collectors.files.reading import Reading
from core.clock import parse_rfc3339
from core.control.checkpoints import Checkpoints
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.records import Rate, Record

NOW = parse_rfc3339("2026-11-20T18:00:00Z")
#: As the bank writes it: newest first, an empty last column, N/A where a currency was not quoted.
FRIDAY = "2026-11-20,1.0876,163.2,N/A,0.8342,\n"
THURSDAY = "2026-11-19,1.0901,162.9,N/A,0.8350,\n"
HEADER = "Date,USD,JPY,RUB,GBP,\n"


@pytest.fixture
def run(journal: Any, control: Any, tmp_path: Path) -> Any:
    def go(content: str | bytes, *, name: str = "eurofxref-hist.csv", **how: Any) -> Imported:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Importer(journal, Checkpoints(control, "imports"), now=NOW, how=Reading(**how)).run("rates", path)

    return go


@pytest.fixture
def told(journaled: Callable[[], list[Record]]) -> Any:
    return lambda: [(one.source, one.base, one.currency, one.rate) for one in journaled() if isinstance(one, Rate)]


def test_every_quote_of_the_banks_file_becomes_a_rate_known_when_it_was_published(
    run: Any, told: Any, journal_dir: Path
) -> None:
    result = run(HEADER + FRIDAY + THURSDAY)
    assert (result.written, result.bad) == (6, 0)
    assert told()[:3] == [("ecb", "EUR", "USD", 1.0876), ("ecb", "EUR", "JPY", 163.2), ("ecb", "EUR", "GBP", 0.8342)]
    first = next(iter_lines(list_segments(journal_dir)[0].path))
    assert first.record.ts == parse_rfc3339("2026-11-20T00:00:00Z")
    assert first.envelope.known_at == parse_rfc3339("2026-11-20T15:00:00Z"), "16:00 in Frankfurt"


def test_tomorrows_file_brings_only_what_is_new_in_it(run: Any, told: Any) -> None:
    run(HEADER + THURSDAY)
    result = run(HEADER + FRIDAY + THURSDAY)
    assert (result.rows, result.written) == (3, 3)
    assert len(told()) == 6
    corrected = THURSDAY.replace("1.0901", "1.0911")
    assert run(HEADER + FRIDAY + corrected).written == 3
    assert told()[-3][3] == 1.0911


def test_a_new_currency_in_the_file_is_read_for_all_days(run: Any, told: Any) -> None:
    run(HEADER + THURSDAY)
    run("Date,USD,JPY,RUB,GBP,CHF,\n" + THURSDAY.replace(",\n", ",0.93,\n"))
    assert ("ecb", "EUR", "CHF", 0.93) in told()


def test_the_zip_is_read_as_it_is_downloaded(run: Any, told: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("eurofxref-hist.csv", HEADER + FRIDAY)
    run((tmp_path / "made.zip").read_bytes(), name="eurofxref-hist.zip")
    assert len(told()) == 3


def test_the_daily_file_is_read_too(run: Any, told: Any) -> None:
    run("Date, USD, JPY, \n20 November 2026, 1.0876, 163.2, \n", name="eurofxref.csv")
    assert told() == [("ecb", "EUR", "USD", 1.0876), ("ecb", "EUR", "JPY", 163.2)]


def test_lines_that_are_not_rates_are_told_by_number_and_the_rest_is_kept(run: Any, told: Any) -> None:
    result = run(HEADER + FRIDAY + "someday,1,2,3,4,\n2026-11-18,1.09\n" + THURSDAY.replace("1.0901", "many"))
    assert [(bad.line, bad.reason) for bad in result.bad_lines] == [
        (3, "malformed"),
        (4, "malformed"),
        (5, "bad_value"),
    ]
    assert len(told()) == 5


def test_an_own_table_has_a_line_a_rate(run: Any, told: Any) -> None:
    own = "date;currency;rate;base\n01.11.2026;AED;3,6725;USD\n01.11.2026;CHF;0,9300;\n"
    result = run(own, name="own.csv", decimal=",", date_format="%d.%m.%Y")
    assert result.bad == 0
    assert told() == [("own", "USD", "AED", 3.6725), ("own", "EUR", "CHF", 0.93)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-11-01,USD,0", "bad_value"),
        ("2026-11-01,USD,-1", "bad_value"),
        ("2026-11-01,USD,inf", "bad_value"),
        ("2026-11-01,USD,nan", "bad_value"),
        ("2026-11-01,EUR,1.5", "bad_value"),
        ("2026-11-01,dollars,1.5", "bad_value"),
        ("2026-13-01,USD,1.5", "bad_value"),
        ("2027-11-01,USD,1.5", "bad_value"),
        ("2026-11-01,,1.5", "missing_field"),
    ],
)
def test_what_is_no_rate_is_refused(run: Any, told: Any, row: str, reason: str) -> None:
    result = run("date,currency,rate\n" + row + "\n", name="own.csv")
    assert [bad.reason for bad in result.bad_lines] == [reason]
    assert told() == []
