"""Days per table: what is older goes with what was derived from it; what the journal still holds stays."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from app.settings import load_settings
from core.clock import DAY_MS
from core.control.checkpoints import Checkpoints
from core.errors import SettingsError
from core.journal.admin import verify
from core.journal.segment import new_name
from core.journal.writer import JournalWriter
from core.records import Canary, Check, Conversion, Gauge, Impression, Kinds, Reading, Record, Service
from core.settings import JournalConfig, RetentionConfig
from core.store.client import Store
from core.store.retention import FOR_GOOD, STANDING, WORKING, apply, derived_tables, first_segment, state
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator
from tests.conftest import START_MS, FakeClock, Ship
from tests.core.erasure.people import platform_click, span, upload
from tests.core.lines import click, order, touch

TABLES = (
    "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree')"
)
CONFIG = RetentionConfig(click=100, touch=40, conversion=100, span=0)


def counted(store: Store, table: str) -> int:
    return int(str(store.rows(f"SELECT count() AS n FROM {table}")[0]["n"]))


def write(directory: Path, clock: FakeClock, *records: object) -> None:
    writer = JournalWriter(directory, config=JournalConfig(), clock=clock)
    writer.append_many(records)  # type: ignore[arg-type] # records
    writer.close()


def test_old_rows_go_with_what_was_derived_from_them_and_the_journal_still_agrees(
    store: Store, control: Engine, journal_dir: Path, ship: Ship, clock: FakeClock
) -> None:
    write(journal_dir, clock, click(1), touch(1), order(1), order(2))
    clock.advance(60 * DAY_MS)
    late: Conversion = order(2, ts=clock.now)  # a later version: the conversion is as young as its newest
    write(journal_dir, clock, click(2, ts=clock.now), click(3, ts=START_MS), touch(2, ts=clock.now), late)
    ship()
    store.command("INSERT INTO conversion_match (fact_id, ts) SELECT fact_id, max(ts) FROM conversion GROUP BY fact_id")
    assert apply(store, CONFIG, now=clock.now - 20 * DAY_MS + 6 * DAY_MS) == {}, "not before a week has come together"
    assert apply(store, CONFIG, now=clock.now) == {"touch": 1}
    clock.advance(60 * DAY_MS)
    told = {kept.table: kept for kept in state(store, CONFIG, now=clock.now)}
    assert (told["click"].rows, told["click"].due, told["click"].oldest) == (3, 1, START_MS)
    assert (told["span"].days, told["span"].due, told["span"].oldest) == (0, 0, None)
    assert apply(store, CONFIG, now=clock.now) == {"click": 1, "touch": 1, "conversion": 1}
    assert {
        table: counted(store, table) for table in ("click", "touch", "conversion", "conversion_key", "conversion_match")
    } == {
        "click": 2,  # one is young, one came in a young segment
        "touch": 0,
        "conversion": 2,  # both versions of the one that was restated
        "conversion_key": 2,
        "conversion_match": 1,
    }
    assert apply(store, CONFIG, now=clock.now) == {}
    ship()  # the journal's own days: the segments of these rows are no longer kept
    assert verify(journal_dir, store, control).ok


def of_every_kind(number: int, ts: int) -> list[Record]:
    """One record of each kind that is kept for days."""
    who = {"click_id": f"{number:032x}", "visitor_id": f"{number:032x}"}
    facts: list[Record] = [
        click(number, ts=ts),
        click(number, ts=ts),  # hit twice
        click(7, ts=ts),  # an address that is shared, and hit for years
        touch(number, ts=ts),
        order(number, ts=ts),
        Impression(ts=ts, source="dsp", fact_id=f"i{number}", platform="dsp", campaign="dsp:1:1", visitor_id=who["visitor_id"]),
        msgspec.structs.replace(span(who["click_id"]), ts=ts),
        msgspec.structs.replace(platform_click(who["click_id"]), ts=ts),
        msgspec.structs.replace(upload(str(number)), ts=ts),
        Service(ts=ts, source="otlp", service="shop", route="/", version="1", requests=1, errors=0, buckets=[], duration_sum_s=0.1),
        Gauge(ts=ts, source="push", service="shop", name="queue", value=1.0),
        Check(ts=ts, source="watch", url="u", host="h", state="ok", holds_until=ts),
        Canary(ts=ts, source="canary", click_id=who["click_id"], step="click"),
        Reading(ts=ts, source="ga4", state="complete"),
    ]  # fmt: skip
    return [*facts, msgspec.structs.replace(click(number + 1, ts=ts), platform_ids={"gbraid": f"g{number}"})]


def test_every_table_says_how_long_it_is_kept_and_what_is_past_that_is_gone_after_a_run(
    store: Store, control: Engine, journal_dir: Path, journal: JournalWriter, ship: Ship, clock: FakeClock
) -> None:
    tables = {str(row["name"]): str(row["engine_full"]) for row in store.rows(TABLES)}
    kept, derived = set(RetentionConfig().days()), derived_tables()
    said = [*kept, *derived, *FOR_GOOD, *STANDING, *WORKING]
    assert sorted(said) == sorted(tables), "each table in one list: a new one says what becomes of its rows"
    assert set(FOR_GOOD) | kept == set(Kinds.BY_NAME)
    assert {name for name, engine in tables.items() if "TTL" in engine} <= WORKING

    days = RetentionConfig(**dict.fromkeys(kept, 40))
    write(journal_dir, clock, *of_every_kind(1, clock.now))
    clock.advance(60 * DAY_MS)
    write(journal_dir, clock, *of_every_kind(3, clock.now))
    ship()
    Correlator(store, journal, Checkpoints(control, "correlator"), config=CorrelatorConfig(), clock=clock).tick()
    store.command("INSERT INTO conversion_flag (fact_id, ts) SELECT fact_id, ts FROM conversion")
    store.command("INSERT INTO hit_flag (segment, o, ts) SELECT segment, o, ts FROM click")
    before = {table: counted(store, table) for table in (*kept, *derived)}
    assert all(count >= 2 and (count % 2 == 0 or table == "repeated_click") for table, count in before.items()), before
    gone = apply(store, days, now=clock.now)
    assert set(gone) == kept
    left = {table: counted(store, table) for table in (*kept, *derived)}
    assert left == {table: count // 2 + (table == "repeated_click") for table, count in before.items()}
    assert store.rows("SELECT count() AS n FROM repeated_click WHERE click_id = unhex({id:String})", {"id": f"{8:032x}"}) == [{"n": 1}]  # fmt: skip


def test_nothing_is_kept_for_a_shorter_time_than_the_journal() -> None:
    assert RetentionConfig().shorter_than(35) == []
    assert RetentionConfig(span=7, touch=35).shorter_than(35) == ["span"]
    with pytest.raises(SettingsError, match="touch would be kept for a shorter time than the raw journal"):
        load_settings(environ={"CLICKTRACE_RETENTION__TOUCH": "20"})


def test_segment_names_sort_by_time() -> None:
    assert first_segment(START_MS) < new_name(START_MS) < first_segment(START_MS + 1)
