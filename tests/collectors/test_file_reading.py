"""Files as people have them: decimal comma, their own dates and clocks, packed, without the columns that are the same in every row."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collectors.files.importer import Imported, Importer
from collectors.files.reading import Reading
from collectors.refusals import REASONS
from core.clock import parse_rfc3339, to_rfc3339
from core.control.checkpoints import Checkpoints
from core.errors import Invalid
from core.records import Conversion, Record, Spend

NOW = parse_rfc3339("2026-12-01T00:00:00Z")


@pytest.fixture
def run(journal: Any, control: Any, tmp_path: Path, journaled: Callable[[], list[Record]]) -> Any:
    """Imports a text or bytes as a file; what became of it, and the records it brought."""
    count = 0

    def go(kind: str, content: str | bytes, *, name: str = "rows.csv", **how: Any) -> tuple[Imported, list[Any]]:
        nonlocal count
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        result = Importer(journal, Checkpoints(control, "imports"), now=NOW, how=Reading(**how)).run(kind, path)
        new = journaled()[count:]
        count += len(new)
        assert all(bad.reason in REASONS for bad in result.bad_lines)
        return result, new

    return go


SPEND = "platform,account,campaign,bucket,bucket_s,cost,currency\ngoogle,1,2,{bucket},3600,{cost},EUR\n"


@pytest.mark.parametrize(
    ("decimal", "text", "micros"),
    [
        (",", '"12,5"', 12_500_000),
        (",", '"1.234.567,89"', 1_234_567_890_000),
        (",", '"1 234,5"', 1_234_500_000),
        (",", "1234", 1_234_000_000),
        (".", '"1,234.5"', 1_234_500_000),
        ("", "1234.5", 1_234_500_000),
    ],
)
def test_amounts_are_read_the_way_they_are_said_to_be_written(run: Any, decimal: str, text: str, micros: int) -> None:
    content = SPEND.format(bucket="2026-09-01T10:00:00Z", cost=text)
    _, (record,) = run("spend", content, decimal=decimal)
    assert record.cost_micros == micros


@pytest.mark.parametrize(
    ("decimal", "text"), [(",", "1.5"), (",", '"1,5,5"'), (".", '"1,5"'), (".", '"12,34.5"'), ("", '"1,5"')]
)
def test_an_amount_that_could_be_another_is_refused(run: Any, decimal: str, text: str) -> None:
    result, records = run("spend", SPEND.format(bucket="2026-09-01T10:00:00Z", cost=text), decimal=decimal)
    assert [bad.reason for bad in result.bad_lines] == ["bad_value"]
    assert "cost" in result.bad_lines[0].detail
    assert records == []


@given(st.integers(0, 10**12), st.sampled_from([",", "."]))
def test_what_is_written_with_either_sign_is_read_back_to_the_cent(cents: int, decimal: Any) -> None:
    english = f"{cents // 100:,}.{cents % 100:02}"
    written = english if decimal == "." else english.translate(str.maketrans(",.", ".,"))
    assert Reading(decimal=decimal).number(written, "cost") == f"{cents // 100}.{cents % 100:02}"


@pytest.mark.parametrize(
    ("how", "text", "ts"),
    [
        ({"zone": "Europe/Berlin"}, "2026-07-01 10:00:00", "2026-07-01T08:00:00.000Z"),
        ({"zone": "Europe/Berlin", "date_format": "%d.%m.%Y %H:%M"}, "01.12.2025 10:00", "2025-12-01T09:00:00.000Z"),
        ({"zone": "Europe/Berlin"}, "2026-07-01T10:00:00Z", "2026-07-01T10:00:00.000Z"),
        ({"date_format": "%m/%d/%Y %H:%M %z"}, "07/01/2026 10:00 -0400", "2026-07-01T14:00:00.000Z"),
        ({"zones": {"google:1": "America/New_York"}}, "2026-07-01 10:00", "2026-07-01T14:00:00.000Z"),
        ({"zones": {"google:1": "America/New_York"}, "zone": "UTC"}, "2026-07-01 10:00", "2026-07-01T10:00:00.000Z"),
        # The hour that exists twice: the first. The hour that does not exist: when it would have begun.
        ({"zone": "Europe/Berlin"}, "2026-10-25 02:30", "2026-10-25T00:30:00.000Z"),
        ({"zone": "Europe/Berlin"}, "2026-03-29 02:30", "2026-03-29T01:00:00.000Z"),
    ],
)
def test_times_are_read_by_their_format_and_on_their_clock(run: Any, how: Any, text: str, ts: str) -> None:
    result, records = run("spend", SPEND.format(bucket=text, cost="1"), **how)
    assert result.bad_lines == []
    assert to_rfc3339(records[0].ts) == ts


def test_a_time_without_a_zone_is_refused_unless_somebody_says_whose_it_is(run: Any) -> None:
    result, _ = run("spend", SPEND.format(bucket="2026-07-01 10:00:00", cost="1"), zones={"google:7": "UTC"})
    assert [bad.reason for bad in result.bad_lines] == ["bad_value"]
    assert "no time zone" in result.bad_lines[0].detail


@pytest.mark.parametrize(
    ("day", "hours", "start"),
    [
        ("29.03.2026", 23, "2026-03-28T23:00:00.000Z"),
        ("30.03.2026", 24, "2026-03-29T22:00:00.000Z"),
        ("25.10.2026", 25, "2026-10-24T22:00:00.000Z"),
    ],
)
def test_a_day_of_spend_is_as_long_as_the_accounts_clock_makes_it(run: Any, day: str, hours: int, start: str) -> None:
    content = f'day;cost;clicks\n{day};"1.234,50";1.200\n'
    _, (record,) = run(
        "spend", content, decimal=",", date_format="%d.%m.%Y", zones={"meta:9": "Europe/Berlin"},
        constants={"platform": "meta", "account": "9", "campaign": "77", "currency": "EUR"},
    )  # fmt: skip
    assert isinstance(record, Spend)
    assert (to_rfc3339(record.ts), record.bucket_s) == (start, hours * 3600)
    assert (record.campaign, record.cost_micros, record.clicks) == ("meta:9:77", 1_234_500_000, 1200)


def test_a_day_needs_a_zone_and_has_to_be_one(run: Any) -> None:
    row = "platform,account,campaign,day,cost,currency\ngoogle,1,2,{},1,EUR\n"
    result, _ = run("spend", row.format("2026-09-01"))
    assert [bad.reason for bad in result.bad_lines] == ["missing_field"]
    result, _ = run("spend", row.format("1st of May"), zone="UTC")
    assert [bad.reason for bad in result.bad_lines] == ["bad_value"]


def test_what_every_row_has_may_be_said_once_and_a_rows_own_word_wins(run: Any) -> None:
    content = "conversion_id,ts,value,currency\nc-1,2026-09-01T10:00:00Z,5,\nc-2,2026-09-01T10:00:00Z,5,GBP\n"
    _, records = run("conversions", content, constants={"type": "order", "currency": "EUR", "status": "confirmed"})
    assert [(one.type, one.currency, one.status) for one in records] == [
        ("order", "EUR", "confirmed"),
        ("order", "GBP", "confirmed"),
    ]
    with pytest.raises(Invalid, match="curency"):
        run("conversions", content, constants={"curency": "EUR"})


ORDER = "conversion_id,type,ts\no-1,order,2026-09-01T10:00:00Z\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_what_the_header_has_most_of(run: Any, separator: str) -> None:
    _, records = run("conversions", ORDER.replace(",", separator))
    assert [one.conversion_id for one in records] == ["o-1"]


def test_another_separator_is_said(run: Any) -> None:
    _, records = run("conversions", ORDER.replace(",", "|"), delimiter="|")
    assert [one.conversion_id for one in records] == ["o-1"]


def _zipped(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("orders.csv", content)
    return path.read_bytes()


def test_packed_files_are_read_as_they_are(run: Any, tmp_path: Path) -> None:
    raw = ORDER.encode()
    line = b'{"conversion_id":"o-1","type":"order","ts":"2026-09-01T10:00:00Z"}\n'
    packed = {
        "a.csv.gz": gzip.compress(raw),
        "a.csv.zst": zstandard.compress(raw),
        "a.zip": _zipped(raw, tmp_path / "made.zip"),
        "a.ndjson.gz": gzip.compress(line),
    }
    for name, content in packed.items():
        result, records = run("conversions", content, name=name)
        assert [one.conversion_id for one in records] == ["o-1"], name
        assert result.bad == 0


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.zip"])
def test_a_file_that_is_not_packed_as_its_name_says_is_refused(run: Any, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        run("conversions", b"not packed at all, and long enough to be looked at", name=name)
    assert caught.value.reason == "malformed"


def test_a_packed_file_that_ends_too_early_is_refused_and_what_came_is_kept(run: Any, journaled: Any) -> None:
    rows = "".join(f"o-{number},order,2026-09-01T10:00:00Z\n" for number in range(20_000))
    whole = gzip.compress(("conversion_id,type,ts\n" + rows).encode())
    with pytest.raises(Invalid, match="unpacked"):
        run("conversions", whole[: len(whole) * 9 // 10], name="torn.csv.gz")
    assert len(journaled()) >= 10_000


def test_a_sale_that_no_browser_saw_is_an_offline_conversion_and_its_addresses_are_hashed(
    run: Any, journal_dir: Path
) -> None:
    content = (
        "sale_id,ts,value,currency,email,phone\n"
        "s-1,2026-09-01T10:00:00Z,90,EUR, Eva@Example.com ,+49 30 1234567\n"
        "s-2,2026-09-01T11:00:00Z,20,EUR,none,1234\n"
    )
    _, records = run("sales", content)
    first, second = records
    assert isinstance(first, Conversion)
    assert (first.origin, first.type, first.status, first.value_micros) == ("offline", "sale", "confirmed", 90_000_000)
    assert first.email_sha256 == sha256(b"eva@example.com").hexdigest()
    assert first.phone_sha256 == sha256(b"+49301234567").hexdigest()
    assert (second.email_sha256, second.phone_sha256) == ("", "")
    written = b"".join(path.read_bytes() for path in journal_dir.iterdir() if path.is_file())
    assert b"example.com" not in written.lower()
    assert b"1234567" not in written


def test_the_way_a_file_is_read_is_part_of_what_was_imported(run: Any) -> None:
    content = SPEND.format(bucket="2026-07-01 10:00:00", cost="1")
    run("spend", content, zone="UTC")
    again, _ = run("spend", content, zone="UTC")
    other, _ = run("spend", content, zone="Europe/Berlin")
    assert (again.already, other.already) == (True, False)


@pytest.mark.parametrize("value", ["x" * 2_049, "a\x00b", '"a\nb\x00c"', '"' + "x" * 1_500 + "\n" + "y" * 1_500 + '"'])
@pytest.mark.parametrize("place", ["o-2", "order"])
def test_a_text_that_no_line_may_hold_is_refused_wherever_it_stands(run: Any, place: str, value: str) -> None:
    rows = (
        'o-1,order,2026-09-01T10:00:00Z,\no-2,order,2026-09-01T10:00:00Z,\no-3,order,2026-09-01T10:00:00Z,"a ""b"""\n'
    )
    content = "conversion_id,type,ts,crm_id\n" + rows.replace(place, value, 1)
    result, records = run("conversions", content)
    assert [bad.reason for bad in result.bad_lines] == ["bad_value"]
    assert len(records) == 2


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "GCLID,Order ID,when",
            "column(s) GCLID, Order ID, when: did you mean --map GCLID=gclid --map 'Order ID=order_id'? leave one out with --map when=;",
        ),
        (
            "conversion_id,when",
            "column(s) when: rename one with --map when=OURS, leave one out with --map when=; known are",
        ),
        # `gclid` is taken: the other spelling cannot be meant for it.
        ("gclid,GCLID_2", "column(s) GCLID_2: did you mean --map GCLID_2=dclid?"),
        ("o-1,59.90,2026-09-01T10:00:00Z", "the first line must name the columns, and this one does not"),
        ("1,2,3", "the first line must name the columns, and this one does not"),
    ],
)
def test_a_column_that_is_not_known_is_answered_with_the_option_that_reads_it(run: Any, header: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        run("conversions", f"{header}\n")
    assert refused.value.reason == "unknown_field"
    assert refused.value.detail.startswith(said)


def test_a_constant_for_a_field_that_is_not_known_names_the_nearest(run: Any) -> None:
    with pytest.raises(Invalid, match=r"--set clint=…: there is no field clint; did you mean client\?"):
        run("conversions", "conversion_id\no-1\n", constants={"clint": "acme"})


@pytest.mark.parametrize("header", ["conversion_id,Größe\n".encode("cp1252"), bytes(range(128, 256))])
def test_a_header_that_is_not_utf_8_is_refused_without_repeating_its_bytes(run: Any, header: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        run("conversions", header)
    assert refused.value.detail == "rows.csv: the header is not UTF-8: save the file as CSV UTF-8"


def test_a_file_without_a_header_is_refused(run: Any) -> None:
    with pytest.raises(Invalid, match=r"malformed: rows\.csv has no header"):
        run("conversions", "")
