"""Days per table: what is older goes with what was derived from it; what the journal still holds stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.settings import load_settings
from core.clock import DAY_MS
from core.errors import SettingsError
from core.journal.admin import verify
from core.journal.segment import new_name
from core.journal.writer import JournalWriter
from core.records import Conversion
from core.settings import JournalConfig, RetentionConfig
from core.store.client import Store
from core.store.retention import apply, first_segment, state
from tests.conftest import START_MS, FakeClock, Ship
from tests.core.lines import click, order, touch

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


def test_nothing_is_kept_for_a_shorter_time_than_the_journal() -> None:
    assert RetentionConfig().shorter_than(35) == []
    assert RetentionConfig(span=7, touch=35).shorter_than(35) == ["span"]
    with pytest.raises(SettingsError, match="touch would be kept for a shorter time than the raw journal"):
        load_settings(environ={"CLICKTRACE_RETENTION__TOUCH": "20"})


def test_segment_names_sort_by_time() -> None:
    assert first_segment(START_MS) < new_name(START_MS) < first_segment(START_MS + 1)
