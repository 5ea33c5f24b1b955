from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.files.history import body_of
from collectors.files.importer import BATCH_ROWS, Importer
from collectors.files.reading import Reading
from collectors.files.shapes import KINDS
from collectors.refusals import REASONS
from core.clock import parse_rfc3339
from core.control.checkpoints import Checkpoints
from core.errors import Invalid, JournalError
from core.identity import derive
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.records import AnyRecord, Click, Conversion, Gauge, Record, Service, Spend, Touch

TS = "2026-09-01T10:00:00Z"
TS_MS = parse_rfc3339(TS)
NOW = 1_790_000_000_000
ORDERS = [
    {"conversion_id": "o-1", "type": "order", "status": "confirmed", "value": "59.90", "currency": "EUR", "ts": TS, "gclid": "a"},
    {"conversion_id": "o-2", "type": "order", "status": "confirmed", "value": "10.00", "currency": "EUR", "ts": TS, "gclid": "b"},
]  # fmt: skip


@pytest.fixture
def importer(journal: Any, control: Any) -> Any:
    def make(**options: Any) -> Importer:
        return Importer(journal, Checkpoints(control, "imports"), now=NOW, **options)

    return make


@pytest.fixture
def lines(journal_dir: Path) -> Any:
    return lambda: [line for segment in list_segments(journal_dir) for line in iter_lines(segment.path)]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_ndjson(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


FORMATS = pytest.mark.parametrize(
    ("suffix", "write"), [("csv", write_csv), ("ndjson", write_ndjson), ("parquet", write_parquet)]
)


@FORMATS
def test_every_format_brings_the_same_records(
    importer: Any, journaled: Any, tmp_path: Path, suffix: str, write: Any
) -> None:
    result = importer().run("conversions", write(tmp_path / f"orders.{suffix}", ORDERS))
    assert (result.rows, result.written, result.bad) == (2, 2, 0)
    first, second = journaled()
    assert first == Conversion(
        ts=TS_MS,
        source="file",
        fact_id="conversion::backend:order:o-1",
        conversion_id="o-1",
        type="order",
        status="confirmed",
        origin="backend",
        value_micros=59_900_000,
        currency="EUR",
        platform_ids={"gclid": "a"},
    )
    assert second.conversion_id == "o-2"


@FORMATS
def test_a_second_import_changes_nothing(
    importer: Any, journaled: Any, tmp_path: Path, suffix: str, write: Any
) -> None:
    path = write(tmp_path / f"orders.{suffix}", ORDERS)
    importer().run("conversions", path)
    again = importer().run("conversions", path.rename(tmp_path / f"renamed.{suffix}"))
    assert (again.already, again.written) == (True, 0)
    assert len(journaled()) == 2


def test_lines_claim_when_they_were_known(importer: Any, lines: Any, tmp_path: Path) -> None:
    importer().run("conversions", write_csv(tmp_path / "event.csv", ORDERS))
    known = [{**row, "known_at": "2026-09-02T00:00:00Z"} for row in ORDERS]
    importer().run("conversions", write_csv(tmp_path / "own.csv", known))
    spend = {
        "campaign": "google:1:2",
        "platform": "google",
        "bucket": TS,
        "bucket_s": 3600,
        "cost": "1",
        "currency": "EUR",
    }
    importer().run("spend", write_csv(tmp_path / "spend.csv", [spend]))
    importer(known_at="now").run("conversions", write_csv(tmp_path / "news.csv", [{**ORDERS[0], "value": "1"}]))
    found = [(line.envelope.known_at, line.envelope.claimed) for line in lines()]
    own = parse_rfc3339("2026-09-02T00:00:00Z")
    assert found[:5] == [(TS_MS, True)] * 2 + [(own, True)] * 2 + [(TS_MS + 3_600_000, True)]
    assert found[5] == (NOW, False), "news are stamped by the journal"


def test_nothing_claims_to_be_known_in_the_future(importer: Any, lines: Any, tmp_path: Path) -> None:
    importer().run("conversions", write_csv(tmp_path / "f.csv", [{**ORDERS[0], "known_at": "2027-01-01T00:00:00Z"}]))
    assert lines()[0].envelope.known_at == NOW


def test_bad_rows_are_told_by_number_and_the_rest_is_imported(importer: Any, journaled: Any, tmp_path: Path) -> None:
    rows = [
        ORDERS[0],
        {**ORDERS[0], "ts": "yesterday"},
        {**ORDERS[0], "status": "done"},
        ORDERS[1],
        {**ORDERS[1], "type": ""},
    ]
    result = importer().run("conversions", write_csv(tmp_path / "orders.csv", rows))
    assert [(bad.line, bad.reason) for bad in result.bad_lines] == [
        (3, "bad_value"),
        (4, "bad_value"),
        (6, "missing_field"),
    ]
    assert all(bad.reason in REASONS for bad in result.bad_lines)
    assert [record.conversion_id for record in journaled()] == ["o-1", "o-2"]


def test_torn_lines_are_told_too(importer: Any, journaled: Any, tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.write_bytes(b'{"conversion_id":"o-1"\n\n[1]\n{"typo":1}\n\xff\xfe\n' + json.dumps(ORDERS[0]).encode())
    result = importer().run("conversions", path)
    assert [bad.line for bad in result.bad_lines] == [1, 3, 4, 5]
    assert len(journaled()) == 1
    short = tmp_path / "short.csv"
    short.write_text("service,version,ts\nshop,1\nshop,1.0,2026-09-01T10:00:00Z,extra\n")
    assert [bad.reason for bad in importer().run("deploys", short).bad_lines] == ["malformed", "malformed"]


@FORMATS
def test_unknown_columns_are_refused_before_anything_is_written(
    importer: Any, journaled: Any, tmp_path: Path, suffix: str, write: Any
) -> None:
    path = write(tmp_path / f"orders.{suffix}", [{**ORDERS[0], "Order No": "7"}])
    if suffix == "ndjson":
        assert importer().run("conversions", path).bad_lines[0].line == 1
    else:
        with pytest.raises(Invalid, match="Order No") as caught:
            importer().run("conversions", path)
        assert caught.value.reason == "unknown_field"
    assert journaled() == []


def test_their_columns_are_mapped_to_ours(importer: Any, journaled: Any, tmp_path: Path) -> None:
    theirs = [{"Order No": "7", "kind": "order", "Amount": "5", "Cur": "EUR", "When": TS, "Internal": "x"}]
    renames = {
        "Order No": "conversion_id",
        "kind": "type",
        "Amount": "value",
        "Cur": "currency",
        "When": "ts",
        "Internal": "",
    }
    importer(how=Reading(renames=renames)).run("conversions", write_csv(tmp_path / "shop.csv", theirs))
    assert (journaled()[0].conversion_id, journaled()[0].value_micros) == ("7", 5_000_000)


def test_typed_parquet_columns_are_read(importer: Any, journaled: Any, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    rows = [
        {
            "campaign": "2", "platform": "google", "account": "1", "bucket": datetime(2026, 9, 1, 10, tzinfo=UTC),
            "bucket_s": 3600, "cost": Decimal("12.34"), "currency": "EUR", "clicks": 10.0, "impressions": 900, "ad_group": None,
        }
    ]  # fmt: skip
    importer().run("spend", write_parquet(tmp_path / "spend.parquet", rows))
    (record,) = journaled()
    assert isinstance(record, Spend)
    assert (record.cost_micros, record.clicks, record.ts) == (12_340_000, 10, TS_MS)


def test_clicks_get_the_ids_that_the_redirect_would_give_them(importer: Any, journaled: Any, tmp_path: Path) -> None:
    rows = [
        {"ts": TS, "gclid": "Cj0abc", "page": "https://Shop.example/p/?x=1", "campaign": "2", "platform": "google",
         "account": "1", "utm_source": "google", "user_agent": "Mozilla/5.0"},
        {"ts": TS, "gclid": "", "page": "shop.example", "campaign": "", "platform": "", "account": "", "utm_source": "",
         "user_agent": ""},
    ]  # fmt: skip
    importer().run("clicks", write_csv(tmp_path / "clicks.csv", rows))
    first, second = journaled()
    assert isinstance(first, Click)
    assert first.click_id == derive("gclid", b"Cj0abc")
    assert (first.page, first.campaign, first.utm) == ("shop.example/p", "google:1:2", {"utm_source": "google"})
    assert len({first.hit_id, second.hit_id}) == 2
    assert len(second.click_id) == 32


def test_the_same_click_in_another_file_has_the_same_ids(importer: Any, journaled: Any, tmp_path: Path) -> None:
    row = {"ts": TS, "slug": "spring", "page": "shop.example"}
    importer().run("clicks", write_csv(tmp_path / "a.csv", [row]))
    importer().run("clicks", write_csv(tmp_path / "b.csv", [row, {**row, "slug": "autumn"}]))
    first, again, other = journaled()
    assert (first.click_id, first.hit_id) == (again.click_id, again.hit_id) != (other.click_id, other.hit_id)


def test_touches_and_service_minutes_come_in(importer: Any, journaled: Any, tmp_path: Path) -> None:
    touch = {"ts": TS, "name": "form_error", "page": "https://shop.example/p", "attributes": '{"field":"zip"}'}
    importer().run("touches", write_csv(tmp_path / "t.csv", [touch]))
    service = {
        "ts": "2026-09-01T10:00:31Z",
        "service": "shop",
        "route": "/p",
        "requests": "4",
        "errors": "1",
        "duration_sum_s": "1.2",
    }
    importer().run("services", write_csv(tmp_path / "s.csv", [service, {**service, "errors": "5"}]))
    first, second = journaled()
    assert isinstance(first, Touch)
    assert first.attributes == {"field": "zip"}
    assert isinstance(second, Service)
    assert (second.ts, second.requests, sum(second.buckets)) == (TS_MS, 4, 4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_shape_that_refuses_an_empty_row_by_name(
    importer: Any, journaled: Any, tmp_path: Path, kind: str
) -> None:
    result = importer().run(kind, write_ndjson(tmp_path / "x.ndjson", [{}]))
    assert [bad.reason for bad in result.bad_lines] == ["missing_field"]
    assert journaled() == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.csv", None, "not_found"),
        ("x.xlsx", b"", "unsupported_media_type"),
        ("x.parquet", b"not parquet", "malformed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(
    importer: Any, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid) as caught:
        importer().run("conversions", tmp_path / name)
    assert caught.value.reason == reason
    with pytest.raises(Invalid, match="unknown_kind"):
        importer().run("orders", tmp_path / name)


def test_an_interrupted_import_goes_on_after_its_last_batch(
    importer: Any, journal: Any, journaled: Any, tmp_path: Path
) -> None:
    rows = [{**ORDERS[0], "conversion_id": f"o-{number}"} for number in range(2 * BATCH_ROWS + 10)]
    path = write_csv(tmp_path / "many.csv", rows)
    first = importer()
    write, batches = journal.append_encoded, []

    def breaking(bodies: Any, **known: Any) -> None:
        batches.append(len(bodies))
        if len(batches) == 2:
            raise JournalError("disk full")
        write(bodies, **known)

    first._journal = type("Breaking", (), {"append_encoded": staticmethod(breaking)})()
    with pytest.raises(JournalError):
        first.run("conversions", path)
    resumed = importer().run("conversions", path)
    assert (resumed.skipped, resumed.written) == (BATCH_ROWS, BATCH_ROWS + 10)
    ids = [record.conversion_id for record in journaled()]
    assert len(ids) == len(set(ids)) == len(rows)


def test_progress_ends_at_the_whole(importer: Any, tmp_path: Path) -> None:
    seen: list[tuple[float, int]] = []
    rows = [{**ORDERS[0], "conversion_id": f"o-{number}"} for number in range(BATCH_ROWS + 1)]
    importer(progress=lambda share, count: seen.append((share, count))).run(
        "conversions", write_csv(tmp_path / "many.csv", rows)
    )
    assert seen[-1] == (1.0, BATCH_ROWS + 1)
    assert 0 < seen[0][0] <= 1.0


# --- journal lines -------------------------------------------------------------------------------------------------------------

CLICK = Click(
    ts=TS_MS, source="redirect", click_id="a" * 32, hit_id="b" * 16, link_id="l", link_version=1, slug="s", domain="d",
    http_status=302, reason="ok", duration_us=40, page="shop.example",
)  # fmt: skip
ENVELOPES = {
    "as our writer leaves it": b'"v":2,"known_at":123456,"o":77}',
    "claimed before": b'"claimed":true,"v":2,"known_at":123456,"o":0}',
    "without an offset": b'"v":2,"known_at":123456}',
    "known_at alone": b'"known_at":123456}',
    "in another order": b'"known_at":123456,"o":5,"v":2,"claimed":false}',
    "with blanks": b'"v": 2, "known_at": 123456 }',
}


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_a_journal_line_keeps_its_record_and_gets_a_new_envelope(envelope: bytes) -> None:
    line = msgspec.json.encode(CLICK)[:-1] + b"," + envelope
    body = body_of(line)
    assert body.known_at == 123456
    assert msgspec.json.decode(body.encoded) == json.loads(msgspec.json.encode(CLICK))


def test_a_line_whose_kind_does_not_come_first_is_brought_into_form() -> None:
    line = json.dumps({"known_at": 5, **json.loads(msgspec.json.encode(CLICK))}).encode()
    assert body_of(line).encoded == msgspec.json.encode(CLICK)


def test_an_attribute_named_like_the_envelope_is_left_alone() -> None:
    gauge = Gauge(ts=1, source="s", service="x", name="n", value=1.0, attributes={"known_at": "7"})
    body = body_of(msgspec.json.encode(gauge)[:-1] + b',"v":2,"known_at":9}')
    assert (msgspec.json.decode(body.encoded, type=AnyRecord), body.known_at) == (gauge, 9)


def test_history_moves_in_with_its_own_times_and_bad_lines_are_told(
    importer: Any, lines: Any, tmp_path: Path, store: Any, ship: Any
) -> None:
    path = tmp_path / "history.ndjson"
    good = msgspec.json.encode(CLICK)[:-1] + b',"v":2,"known_at":%d}' % (TS_MS + 5)
    path.write_bytes(
        b"\n".join(
            [
                good,
                b"",
                b'{"kind":"unheard","known_at":1}',
                good.replace(b'"ts":', b'"tz":'),
                b"{",
                good[:-30] + b"}",
                good,
            ]
        )
    )
    result = importer().run("journal", path)
    assert [bad.line for bad in result.bad_lines] == [3, 4, 5, 6]
    assert {bad.reason for bad in result.bad_lines} == {"not_a_record"}
    assert [(line.envelope.known_at, line.envelope.claimed, line.record) for line in lines()] == [
        (TS_MS + 5, True, CLICK)
    ] * 2
    ship()
    assert store.rows("SELECT count() AS n, any(claimed) AS c FROM click")[0] == {"n": 2, "c": True}
    assert importer().run("journal", path).already


def test_a_sealed_segment_of_another_installation_can_be_imported(
    importer: Any, journaled: Any, tmp_path: Path
) -> None:
    import zstandard

    line = msgspec.json.encode(CLICK)[:-1] + b',"v":2,"known_at":5,"o":0}\n'
    path = tmp_path / "segment.ndjson.zst"
    path.write_bytes(zstandard.compress(line * 3))
    assert importer().run("journal", path).written == 3
    assert journaled() == [CLICK] * 3


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_whatever_stands_in_a_line_it_is_a_record_or_an_error_of_the_decoder(noise: bytes, at: int, byte: int) -> None:
    good = bytearray(msgspec.json.encode(CLICK)[:-1] + b',"v":2,"known_at":5}')
    good[at % len(good)] = byte
    for line in (noise, bytes(good)):
        try:
            body = body_of(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        assert isinstance(msgspec.json.decode(body.encoded, type=AnyRecord), Record)
