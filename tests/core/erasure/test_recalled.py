"""A control database that was put back from a backup knows nothing of the erasures since: the journal does, and they are done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.doctor_erasures import forgotten, unfinished
from core.control.engine import open_control
from core.erasure.audit import AGAIN
from core.erasure.controlled import count
from core.erasure.eraser import Eraser
from core.erasure.identifiers import subject
from core.erasure.recalled import recalled, unknown_here
from core.erasure.tombstones import TombstoneBook
from core.journal.writer import JournalWriter
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.erasure.people import ANNA, BEN, HOUR, annas, bens, in_control
from tests.postgresql import postgresql

Written = Callable[..., None]


@pytest.fixture
def anew(
    store: Store, journal_dir: Path, journal: JournalWriter, ship: Ship, clock: FakeClock
) -> Callable[[Engine], Eraser]:
    """The eraser of a process that starts with this control database."""

    def start(control: Engine) -> Eraser:
        return Eraser(store, control, journal_dir, journal, node="here", paused=ship.shipper.paused, clock=clock)

    return start


def backup(control: Engine, target: Path) -> None:
    with control.connect() as connection:
        connection.exec_driver_sql("VACUUM INTO ?", (str(target),))


def test_whoever_stands_again_in_a_control_database_from_a_backup_is_erased_again(
    eraser: Eraser,
    written: Written,
    ship: Ship,
    store: Store,
    control: Engine,
    anew: Callable[[Engine], Eraser],
    tmp_path: Path,
) -> None:
    eraser.run_once()  # the first start: from here on every backup has the secret
    written([*annas(), *bens()])
    ship()
    in_control(control)
    folder = tmp_path / "restored"
    folder.mkdir()
    backup(control, folder / "control.sqlite")
    asked = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    ship()  # the tombstone record
    stones = TombstoneBook(control).of([asked.erasure_id])

    old = open_control("", folder, migrate=False)
    assert count(old, stones) == {"dead_letters": 1, "uploads": 1, "postback_lives": 1, "actions": 1, "checkpoints": 1}
    lacking = recalled(unknown_here(store, old), secret=TombstoneBook(old).pseudonyms.mark)
    assert [one.erasure_id for one in lacking.again] == [asked.erasure_id]
    assert [found.state for found in forgotten(lacking)] == ["problem"]

    anew(old).run_once()

    (done,) = anew(old).audit.all()
    assert (done.erasure_id, done.state, done.by) == (asked.erasure_id, "done", AGAIN)
    assert done.nodes[0].control_rows == {
        "dead_letters": 1, "uploads": 1, "postback_lives": 1, "actions": 1, "checkpoints": 1,
    }  # fmt: skip
    assert count(old, stones) == {}
    assert unknown_here(store, old) == []
    written(annas())  # and nothing of hers is taken any more
    ship()
    assert store.rows("SELECT count() AS n FROM conversion WHERE order_id != '170'") == [{"n": 0}]
    old.dispose()
    data = (folder / "control.sqlite").read_bytes()
    assert (ANNA.encode() in data, BEN.encode() in data) == (False, True)


def test_whoever_stands_again_in_a_store_from_a_backup_is_erased_again_and_the_record_is_written_anew(
    eraser: Eraser,
    written: Written,
    ship: Ship,
    store: Store,
    control: Engine,
    clock: FakeClock,
    anew: Callable[[Engine], Eraser],
) -> None:
    written([*annas(), *bens()])
    ship()
    before = store.rows("SELECT * FROM conversion WHERE order_id = '17'")
    asked = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    ship()
    clock.advance(2 * HOUR)
    anew(control).run_once()
    assert anew(control).audit.one(asked.erasure_id).nodes[0].store_rows["conversion"] == 2, "nothing was done again"
    # The store as it was: her order is back, and the record of her erasure is not there yet.
    store.insert("conversion", list(before[0]), [list(row.values()) for row in before])
    store.command("TRUNCATE TABLE erasure SYNC")
    anew(control).run_once()
    again = anew(control).audit.one(asked.erasure_id)
    assert (again.state, again.nodes[0].store_rows["conversion"]) == ("done", 3)
    assert store.rows("SELECT count() AS n FROM conversion") == [{"n": 1}]
    ship()
    assert store.rows("SELECT fact_id FROM erasure") == [{"fact_id": asked.erasure_id}]


def test_an_erasure_that_was_under_way_in_the_backup_goes_on(
    eraser: Eraser, written: Written, ship: Ship, control: Engine, anew: Callable[[Engine], Eraser], tmp_path: Path
) -> None:
    written([*annas(), *bens()])
    ship()
    asked = eraser.ask(subject("visitor_id", ANNA), by="someone")
    folder = tmp_path / "restored"
    folder.mkdir()
    backup(control, folder / "control.sqlite")
    eraser.run_once()
    old = open_control("", folder, migrate=False)
    restarted = anew(old)
    assert restarted.audit.oldest_open() == asked.asked_at
    restarted.run_once()
    assert [(one.by, one.state) for one in restarted.audit.all()] == [("someone", "done")]
    old.dispose()


def test_a_control_database_begun_anew_says_that_it_cannot_tell_whom_the_journal_names(
    eraser: Eraser,
    written: Written,
    ship: Ship,
    store: Store,
    migrated: Path,
    anew: Callable[[Engine], Eraser],
    tmp_path: Path,
) -> None:
    written(annas())
    ship()
    eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    ship()
    folder = tmp_path / "fresh"
    folder.mkdir()
    shutil.copy(migrated, folder / migrated.name)
    fresh = open_control("", folder, migrate=False)
    anew(fresh).run_once()
    assert anew(fresh).audit.all() == []
    lacking = recalled(unknown_here(store, fresh), secret=TombstoneBook(fresh).pseudonyms.mark)
    assert (lacking.again, len(lacking.untold)) == ([], 1)
    (found,) = forgotten(lacking)
    assert "cannot be repeated" in found.text
    fresh.dispose()


def test_an_open_erasure_has_an_age_and_doctor_names_the_machine_that_it_waits_for(
    eraser: Eraser, written: Written, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    written(annas())
    ship()
    eraser.run_once()
    assert eraser.oldest_open is None
    absent = Eraser(store, control, Path("absent"), eraser._journal, node="there", paused=ship.shipper.paused, clock=clock)  # fmt: skip
    absent.audit.present()
    asked = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    assert eraser.oldest_open == asked.asked_at
    assert unfinished(eraser.audit.all(), now=clock() + HOUR) == []
    (found,) = unfinished(eraser.audit.all(), now=clock() + 3 * HOUR)
    assert (found.state, "waiting for there" in found.text, "3 hours" in found.text) == ("problem", True, True)
    absent.run_once()
    eraser.run_once()
    assert eraser.oldest_open is None
    assert unfinished(eraser.audit.all(), now=clock() + 3 * HOUR) == []


def test_with_postgresql_a_person_leaves_the_control_database_and_two_nodes_recall_an_erasure_once(
    written: Written, ship: Ship, store: Store, anew: Callable[[Engine], Eraser], tmp_path: Path
) -> None:
    with postgresql() as url:
        shared, again = (open_control(url, tmp_path) for _ in range(2))
        eraser = anew(shared)
        written([*annas(), *bens()])
        ship()
        in_control(shared)
        asked = eraser.ask(subject("visitor_id", ANNA), by="someone")
        eraser.run_once()
        (here,) = eraser.audit.one(asked.erasure_id).nodes
        gone = {"dead_letters": 1, "uploads": 1, "postback_lives": 1, "actions": 1, "checkpoints": 1}
        assert (here.control_rows, here.proof is not None and here.proof.clean) == (gone, True)
        with shared.connect() as connection:
            left = [
                str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
                for table in ("dead_letters", "uploads", "postback_lives", "actions", "checkpoints", "tombstones")
            ]
        assert (ANNA in str(left), BEN in str(left)) == (False, True)
        ship()
        with shared.begin() as connection:
            connection.exec_driver_sql("TRUNCATE erasures, erasure_nodes, tombstones")
        (found,) = unknown_here(store, shared)
        for node in (shared, again):
            anew(node).audit.ask_again(found)
        assert [one.by for one in eraser.audit.all()] == [AGAIN]
        for engine in (shared, again):
            engine.dispose()
