"""State, agreement and rebuilding of a journal and its store."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from core.journal.admin import rebuild_store, stat, verify
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.lines import click, touch


def test_stat_counts_what_there_is(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine
) -> None:
    assert stat(journal_dir, control, store_id=store.store_id).segments == 0
    journal.append(click(1))
    ship()
    size = journal.stats.bytes
    journal.append(click(2))
    state = stat(journal_dir, control, store_id=store.store_id)
    assert (state.segments, state.being_written, state.compressed) == (1, 1, 0)
    assert (state.journal_bytes, state.unshipped_bytes) == (journal.stats.bytes, journal.stats.bytes - size)
    assert state.oldest == state.newest == 1_790_000_000_000


def test_verify_finds_a_row_that_is_gone_and_one_that_is_doubled(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine
) -> None:
    journal.append_many([click(1), click(2), touch(3)])
    journal.append_many([click(4)])
    ship()
    result = verify(journal_dir, store, control)
    assert (result.ok, result.lines, result.segments) == (True, 4, 1)
    store.command("ALTER TABLE click DELETE WHERE o = 0 SETTINGS mutations_sync = 1")
    (wrong,) = verify(journal_dir, store, control).mismatches
    assert (wrong.kind, wrong.lines, wrong.rows, wrong.missing) == ("click", 3, 2, [0])
    store.command("INSERT INTO touch SELECT * FROM touch")
    wrongs = verify(journal_dir, store, control).mismatches
    assert [(one.kind, one.lines, one.rows) for one in wrongs] == [("click", 3, 2), ("touch", 1, 2)]


def test_a_rebuilt_store_has_exactly_what_the_journal_has(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    journal.append_many([click(number) for number in range(30)] + [touch(1)])
    ship()
    store.command("INSERT INTO click SELECT * FROM click LIMIT 5")
    before = store.rows("SELECT DISTINCT * FROM click ORDER BY o")
    old = store.store_id
    seen: list[int] = []
    result = rebuild_store(
        store, control, journal_dir, config=JournalConfig(), clock=clock, progress=lambda one: seen.append(one.lines)
    )
    assert (result.lines, result.dead_letters) == (31, 0)
    assert store.store_id != old
    assert sum(seen) == 31
    assert store.rows("SELECT * FROM click ORDER BY o") == before
    assert verify(journal_dir, store, control).ok
