"""From journal lines to queryable rows: bad lines, completeness, observers, housekeeping and speed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from core.clock import DAY_MS
from core.control.tables import dead_letters, ship_ranges
from core.errors import StoreError
from core.journal.dead_letter import REASONS, redrive, waiting
from core.journal.reader import list_segments
from core.journal.segment import create
from core.journal.writer import JournalWriter
from core.records import Incident, Kinds, Line, Service, Spend
from core.settings import JournalConfig
from core.shipper import Shipper, ShipReport
from core.shipping.load import Loader, Sent
from core.shipping.ranges import Range, cut, passes_gate, split_by_kind
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.lines import click, order, touch

Make = Callable[..., Shipper]


@pytest.fixture
def make(store: Store, control: Engine, journal_dir: Path, clock: FakeClock) -> Make:
    def build(**options: object) -> Shipper:
        return Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock, **options)  # type: ignore[arg-type] # keywords of the test

    return build


def count(store: Store, table: str) -> int:
    return int(str(store.rows(f"SELECT count() AS n FROM {table}")[0]["n"]))


def write_lines(directory: Path, lines: list[bytes]) -> str:
    """A segment with exactly these lines, its writer gone; ``%d`` in a line stands for its own offset."""
    name, fd = create(directory, now=1_790_000_000_000)
    offset = 0
    with os.fdopen(fd, "wb") as file:
        for line in lines:
            whole = line.replace(b"%d", str(offset).encode()) + b"\n"
            file.write(whole)
            offset += len(whole)
    return name


def encoded(record: object) -> bytes:
    return msgspec.json.encode(record)[:-1] + b',"v":2,"known_at":1790000000000,"o":%d}'


# --- what arrives ----------------------------------------------------------------------------------------------------------------


def test_every_kind_arrives_in_its_table_with_its_fields(journal: JournalWriter, ship: Ship, store: Store) -> None:
    journal.append(click(7, campaign="google:1:2"))
    journal.append(touch(7))
    journal.append(order(7))
    journal.append(
        Spend(
            ts=1_790_000_000_000,
            source="google_ads",
            fact_id="f",
            platform="google",
            account="1",
            campaign="google:1:2",
            bucket_s=3600,
            cost_micros=12_340_000,
            currency="EUR",
        )
    )
    journal.append(
        Service(
            ts=1_790_000_000_000,
            source="otlp",
            service="shop",
            route="/p",
            version="1",
            requests=3,
            errors=1,
            buckets=[1, 2],
            duration_sum_s=0.5,
        )
    )
    journal.append(
        Incident(
            ts=1_790_000_000_000,
            source="correlator",
            fact_id="i",
            incident_id="i",
            state="open",
            onset=1,
            opened=2,
            verdict="unknown",
            scope={"device": "mobile"},
            payload={"a": [1, {"b": "c"}]},
        )
    )
    assert ship() == ShipReport(ranges=1, lines=6, bytes=journal.stats.bytes)
    (row,) = store.rows("SELECT * FROM click")
    assert row["click_id"] == (8).to_bytes(16, "big")
    assert row["campaign"] == "google:1:2"
    assert row["known_at"].isoformat() == "2026-09-21T14:13:20+00:00"  # type: ignore[attr-defined] # an aware datetime
    assert (row["o"], row["claimed"]) == (0, False)
    assert store.rows("SELECT cost_micros FROM spend")[0]["cost_micros"] == 12_340_000
    assert store.rows("SELECT buckets FROM service")[0]["buckets"] == [1, 2]
    (incident,) = store.rows("SELECT payload, scope FROM incident")
    assert msgspec.json.decode(str(incident["payload"])) == {"a": [1, {"b": "c"}]}
    assert incident["scope"] == {"device": "mobile"}
    assert store.rows("SELECT attributes FROM touch")[0]["attributes"] == {"n": "7"}
    assert [count(store, kind) for kind in ("click", "touch", "conversion")] == [1, 1, 1]


def test_a_second_run_ships_only_what_is_new(journal: JournalWriter, ship: Ship, store: Store) -> None:
    journal.append(click(1))
    assert ship().lines == 1
    assert ship() == ShipReport()
    journal.append(click(2))
    assert ship().lines == 1
    assert count(store, "click") == 2


def test_confirmed_ranges_of_a_segment_are_one_row(journal: JournalWriter, make: Make, control: Engine) -> None:
    shipper = make(range_bytes=700)
    journal.append_many([click(number) for number in range(20)])
    while shipper.run_once().ranges:
        pass
    with control.connect() as connection:
        (row,) = connection.execute(select(ship_ranges)).all()
    assert (row.start, row.end, row.lines) == (0, journal.stats.bytes, 20)


# --- bad lines -------------------------------------------------------------------------------------------------------------------

BAD = [
    (b'{"kind":"click",', "not_json"),
    (b"\x00\xff\xfe", "not_json"),
    (b"", "not_json"),
    (b'{"kind":"click","v":1,"known_at":1,"o":%d}', "not_a_record"),
    (encoded(click(1)).replace(b'"ts":1790000000000', b'"ts":"now"'), "not_a_record"),
    (encoded(click(1)).replace(b'"ts":1790000000000', b'"ts":99999999999999'), "not_a_record"),
    (encoded(order(1)).replace(b'"confirmed"', b'"bogus"'), "not_a_record"),
    (encoded(touch(1)).replace(b'{"n":"1"}', b'["n"]'), "not_a_record"),
    (encoded(touch(1)).replace(b'"kind":"touch"', b'"kind":"tuch"'), "unknown_kind"),
    (encoded(touch(1)).replace(b'"v":2', b'"v":3'), "unknown_version"),
    (encoded(touch(1)).replace(b"%d", b"7777777"), "wrong_offset"),
    (encoded(click(1)).replace(b"0" * 31 + b"2", b"0" * 40 + b"2"), "refused_by_store"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[f"{reason}-{number}" for number, (_, reason) in enumerate(BAD)])
def test_a_bad_line_is_a_dead_letter_and_the_rest_is_loaded(
    line: bytes, reason: str, journal_dir: Path, ship: Ship, store: Store, control: Engine
) -> None:
    good = [encoded(record) for record in (click(1), touch(2), click(3), order(4), touch(5))]
    name = write_lines(journal_dir, [*good[:3], line, *good[3:]])
    report = ship()
    assert (report.lines, report.dead_letters, report.behind_bytes, report.excess_rows) == (6, 1, 0, 0)
    assert [count(store, kind) for kind in ("click", "touch", "conversion")] == [2, 2, 1]
    (letter,) = waiting(control)
    assert (letter.segment, letter.reason) == (name, reason)
    assert letter.detail
    assert reason in REASONS
    stored = letter.line
    assert stored == line.replace(b"%d", str(letter.o).encode())


def test_many_bad_lines_among_many_good_ones(journal_dir: Path, ship: Ship, store: Store, control: Engine) -> None:
    lines = [encoded(click(number)) for number in range(300)]
    too_long = encoded(click(1)).replace(b"0" * 31 + b"2", b"0" * 40 + b"2")
    for place in (0, 50, 51, 299):
        lines[place] = too_long
    lines[100] = b"{"
    write_lines(journal_dir, lines)
    assert ship().dead_letters == 5
    assert count(store, "click") == 295
    assert len({row["o"] for row in store.rows("SELECT o FROM click")}) == 295
    assert [letter.reason for letter in waiting(control)].count("refused_by_store") == 4


def test_a_torn_last_line_of_a_dead_writer_is_a_dead_letter_and_blocks_nothing(
    journal_dir: Path, make: Make, store: Store, control: Engine
) -> None:
    name = write_lines(journal_dir, [encoded(click(1))])
    path = journal_dir / f"{name}.ndjson"
    with path.open("ab") as file:
        file.write(b'{"kind":"click","ts":1')
    shipper = make()
    assert shipper.run_once().dead_letters == 1
    assert (count(store, "click"), waiting(control)[0].reason) == (1, "torn_line")
    assert shipper.run_once() == ShipReport()
    assert make().run_once().behind_bytes == 0  # after a restart it is met again and kept once
    assert len(waiting(control)) == 1


def test_a_line_under_the_pen_waits_until_it_is_whole(journal_dir: Path, make: Make, store: Store) -> None:
    _name, fd = create(journal_dir, now=1_790_000_000_000)
    whole = encoded(click(1)).replace(b"%d", b"0") + b"\n"
    with os.fdopen(fd, "wb", buffering=0) as file:
        file.write(whole[:40])
        shipper = make()
        report = shipper.run_once()
        assert (report.lines, report.dead_letters, report.behind_bytes) == (0, 0, 40)
        file.write(whole[40:])
        assert shipper.run_once().lines == 1
    assert count(store, "click") == 1


def test_redriving_appends_what_is_a_record_by_now_and_only_once(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    write_lines(journal_dir, [b"{", encoded(click(1)).replace(b"%d", b"99")])
    assert ship().dead_letters == 2
    clock.advance(60_000)
    result = redrive(control, journal, now=clock.now)
    assert (result.redriven, result.still_bad) == (1, {"not_json": 1})
    assert redrive(control, journal, now=clock.now).redriven == 0
    assert ship().lines == 1
    (row,) = store.rows("SELECT click_id, toUnixTimestamp64Milli(known_at) AS known_at FROM click")
    assert (row["click_id"], row["known_at"]) == ((2).to_bytes(16, "big"), clock.now)


def test_a_failed_block_truly_inserts_nothing(store: Store) -> None:
    good = [encoded(click(number)).replace(b"%d", str(number).encode()) for number in range(2_000)]
    bad = encoded(click(1)).replace(b"0" * 31 + b"2", b"0" * 40 + b"2").replace(b"%d", b"5000")
    one = Range(segment="s", start=0, end=10**9, lines=2_001)
    with pytest.raises(StoreError):
        Loader(store)._send(one, "click", b"\n".join([*good, bad]))
    assert [count(store, table) for table in ("click", "arrival")] == [0, 0]
    # and its token is not spent
    Loader(store)._send(one, "click", b"\n".join(good))
    assert count(store, "click") == 2_000


def test_one_block_may_span_many_months(journal: JournalWriter, ship: Ship, store: Store) -> None:
    journal.append_many([click(number, ts=1_500_000_000_000 + number * 31 * DAY_MS) for number in range(150)])
    assert ship().lines == 150
    assert count(store, "click") == 150


@pytest.mark.parametrize("step", ["record", "confirm"])
def test_a_control_database_that_is_locked_in_the_middle_of_a_range_doubles_nothing(
    journal: JournalWriter, make: Make, store: Store, control: Engine, step: str
) -> None:
    """The same shipper goes on afterwards, and the journal has grown: what was sent comes again as the same range."""
    shipper = make()
    journal.append_many([click(number) for number in range(20)])
    shipper.run_once()
    journal.append_many([click(number) for number in range(20, 50)])

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("database is locked"))

    for grown in range(3):
        with pytest.MonkeyPatch.context() as locked:
            locked.setattr(shipper._ledger, step, refuse)
            with pytest.raises(OperationalError):
                shipper.run_once()
        journal.append_many([click(number) for number in range(50 + 10 * grown, 60 + 10 * grown)])
    for _ in range(3):
        shipper.run_once()
    [found] = store.rows("SELECT count() AS n, uniqExact(click_id) AS ids FROM click")
    assert found == {"n": 80, "ids": 80}


# --- completeness ----------------------------------------------------------------------------------------------------------------


def test_as_of_answers_wait_until_everything_journaled_is_shipped(
    journal: JournalWriter, make: Make, clock: FakeClock
) -> None:
    shipper = make()
    assert shipper.shipped_through(clock.now) == 0
    journal.append(click(1))
    shipper.run_once()
    assert shipper.shipped_through(clock.now) == clock.now - 1
    before = clock.now
    clock.advance(10_000)
    assert shipper.shipped_through(clock.now) == before - 1
    shipper.run_once()
    assert shipper.shipped_through(clock.now) == clock.now - 1
    assert shipper.shipped_through(before) == before


def test_what_a_run_leaves_behind_holds_completeness_back(journal: JournalWriter, make: Make, clock: FakeClock) -> None:
    shipper = make(range_bytes=400)
    shipper.MAX_RUN_BYTES = 1_000  # type: ignore[misc] # a small run for the test
    for number in range(10):
        journal.append(click(number))
        clock.advance(1_000)
    report = shipper.run_once()
    assert report.behind_bytes > 0
    assert shipper.shipped_through(clock.now) == 1_790_000_000_000 + report.lines * 1_000 - 1


def test_a_line_that_is_being_written_holds_completeness_back(
    journal: JournalWriter, journal_dir: Path, make: Make, clock: FakeClock
) -> None:
    """A writer that was stopped between stamping a line and writing it: the line will appear with an old `known_at`."""
    shipper = make()
    journal.append(click(1))
    (segment,) = list_segments(journal_dir)
    pending = journal_dir / f".{segment.name}.pending"
    pending.write_bytes((clock.now + 5).to_bytes(8, "little"))
    clock.advance(60_000)
    shipper.run_once()
    assert shipper.shipped_through(clock.now) == 1_790_000_000_000 + 4
    pending.write_bytes(bytes(8))
    shipper.run_once()
    assert shipper.shipped_through(clock.now) == clock.now - 1


# --- observers -------------------------------------------------------------------------------------------------------------------


class Seen:
    kinds = frozenset({"click", "conversion"})

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def observe(self, kind: str, lines: list[Line]) -> None:
        self.lines += [(kind, line.envelope.o) for line in lines]


class Broken:
    kinds = frozenset({"click"})

    def observe(self, kind: str, lines: list[Line]) -> None:
        raise RuntimeError("no collector")


def test_observers_see_confirmed_live_lines_of_their_kinds_once(
    journal: JournalWriter, make: Make, store: Store
) -> None:
    seen = Seen()
    shipper = make(observers=[Broken(), seen])
    journal.append(click(1))
    journal.append(touch(1))
    journal.append(click(2), known_at=5)
    journal.append(order(3))
    shipper.run_once()
    shipper.run_once()
    assert [kind for kind, _ in seen.lines] == ["click", "conversion"]
    store.wipe()
    replayed = Seen()
    again = make(observers=[replayed])
    assert again.run_once().lines == 4
    assert replayed.lines == []
    journal.append(click(4))
    again.run_once()
    assert len(replayed.lines) == 1


# --- housekeeping ----------------------------------------------------------------------------------------------------------------


def test_shipped_segments_are_compressed_and_dropped_after_they_were_kept(
    journal: JournalWriter, journal_dir: Path, make: Make, control: Engine, clock: FakeClock
) -> None:
    shipper = make()
    for number in range(3):
        journal.append(click(number))
        clock.advance(301_000)
        journal.flush()
    journal.append(click(9))
    for _ in range(4):
        clock.advance(61_000)
        shipper.run_once()
    found = list_segments(journal_dir)
    assert [segment.compressed for segment in found] == [True, True, True, False]
    clock.advance(36 * DAY_MS)
    journal.flush()
    shipper.run_once()
    clock.advance(61_000)
    shipper.run_once()
    assert len(list_segments(journal_dir)) == 0
    with control.connect() as connection:
        assert connection.execute(select(ship_ranges)).all() == []


def test_what_is_not_shipped_is_kept_however_old(
    journal: JournalWriter, journal_dir: Path, make: Make, clock: FakeClock
) -> None:
    journal.append(click(1))
    journal.close()
    clock.advance(400 * DAY_MS)
    shipper = make()
    shipper.MAX_RUN_BYTES = 0  # type: ignore[misc] # it looks and ships nothing
    shipper.run_once()
    assert len(list_segments(journal_dir)) == 1


# --- speed -----------------------------------------------------------------------------------------------------------------------


def test_an_idle_run_over_many_segments_takes_milliseconds(
    journal: JournalWriter, journal_dir: Path, make: Make
) -> None:
    line = encoded(click(1)).replace(b"%d", b"0")
    for _ in range(60):
        write_lines(journal_dir, [line])
    shipper = make()
    shipper.run_once()
    time.sleep(0.1)
    shipper.run_once()
    begun = time.perf_counter()
    for _ in range(20):
        assert shipper.run_once().ranges == 0
    assert (time.perf_counter() - begun) / 20 < 0.005


def test_a_click_is_queryable_within_two_seconds_at_500_a_second(
    store: Store, control: Engine, journal_dir: Path
) -> None:
    journal = JournalWriter(journal_dir, config=JournalConfig())
    shipper = Shipper(store, control, journal_dir, config=JournalConfig())
    begun = time.monotonic()
    written: list[float] = []
    delays: list[float] = []
    while time.monotonic() - begun < 3:
        for _ in range(int((time.monotonic() - begun) * 500) - len(written)):
            journal.append(click(len(written)))
            written.append(time.monotonic())
        if len(delays) < len(written):
            shipper.run_once()
            visible = count(store, "click")
            now = time.monotonic()
            delays += [now - at for at in written[len(delays) : visible]]
    journal.close()
    assert len(delays) > 500
    assert sorted(delays)[int(len(delays) * 0.95)] < 2.0


# --- pure pieces -----------------------------------------------------------------------------------------------------------------


def test_a_cut_ends_at_a_newline_and_a_line_longer_than_the_limit_goes_alone() -> None:
    assert cut(b"ab\ncd\nef", limit=100) == b"ab\ncd\n"
    assert cut(b"ab\ncd\nef", limit=4) == b"ab\n"
    assert cut(b"abcdef\ngh\n", limit=3) == b"abcdef\n"
    assert cut(b"abc", limit=2) == b""


def test_lines_are_split_by_the_kind_that_stands_first() -> None:
    lines = [
        b'{"kind":"click","ts":1}',
        b'{"kind":"touch","ts":2}',
        b'{"ts":1,"kind":"click"}',
        b"x",
        b'{"kind":"clickx"}',
    ]
    groups, lengths = split_by_kind(b"\n".join([*lines, b""]))
    assert lengths == [len(line) for line in lines]
    assert groups == {"click": lines[:1], "touch": lines[1:2], "": lines[2:]}


def test_the_gate_knows_every_kind() -> None:
    for kind in Kinds.BY_NAME:
        assert not passes_gate({kind: b'{"kind":"x","v":1,"known_at":1,"o":0}'}, lengths=[37], start=0)
    one = encoded(click(1)).replace(b"%d", b"70")
    assert passes_gate({"click": one}, lengths=[len(one)], start=70)
    assert not passes_gate({"click": one}, lengths=[len(one)], start=71)


def test_a_store_that_lost_rows_of_a_segment_gets_exactly_those_again(
    journal: JournalWriter, journal_dir: Path, make: Make, store: Store
) -> None:
    journal.append_many([click(number) for number in range(20)])
    make().run_once()
    store.command("ALTER TABLE click DELETE WHERE o > 2000 SETTINGS mutations_sync = 1")
    assert 0 < count(store, "click") < 20
    (segment,) = list_segments(journal_dir)
    data = segment.path.read_bytes()
    one = Range(segment=segment.name, start=0, end=len(data), lines=20)
    assert Loader(store).load(one, data, sent=Sent.LATELY).rows == {"click": 20}
    assert count(store, "click") == 20


def test_dead_letters_are_kept_with_the_confirmation(journal_dir: Path, ship: Ship, control: Engine) -> None:
    name = write_lines(journal_dir, [b"{", encoded(click(1))])
    ship()
    with control.connect() as connection:
        (letter,) = connection.execute(select(dead_letters)).all()
        (shipped,) = connection.execute(select(ship_ranges)).all()
    assert (letter.segment, letter.o, letter.line) == (name, 0, b"{")
    assert shipped.confirmed_at is not None
