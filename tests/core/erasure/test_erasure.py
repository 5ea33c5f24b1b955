"""One person leaves everything the house keeps, the neighbour stays to the last byte, and nothing brings the person back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard
from sqlalchemy import Engine

from core.control.tables import tombstones
from core.erasure.eraser import Eraser
from core.erasure.identifiers import subject
from core.erasure.stored import StoredPeople
from core.errors import Invalid
from core.journal import segment as segments
from core.journal.admin import rebuild_store, verify
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Kinds
from core.settings import JournalConfig
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.erasure.people import (
    ANNA,
    ANNA_MAIL,
    ANNA_ORDER,
    BEN,
    BEN_CLICK,
    FIRST,
    HOUR,
    SECOND,
    SECRETS,
    SHARED,
    annas,
    bens,
    click,
    hex32,
    in_control,
    order,
    touch,
)

Written = Callable[..., None]


def everything(directory: Path) -> bytes:
    """All bytes below a directory, segments unpacked."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found.append(zstandard.ZstdDecompressor().decompress(data) if path.suffix == ".zst" else data)
    return b"\n".join(found)


def left_of_anna(directory: Path) -> list[str]:
    data = everything(directory)
    return [secret for secret in SECRETS if secret.encode() in data]


def rows(store: Store) -> dict[str, int]:
    parts = [f"SELECT '{kind}' AS kind, count() AS n FROM {kind}" for kind in Kinds.BY_NAME if kind != "erasure"]
    return {str(row["kind"]): int(str(row["n"])) for row in store.rows(" UNION ALL ".join(parts)) if row["n"]}


def of_ben(store: Store) -> dict[str, object]:
    return {
        "click": store.rows("SELECT * FROM click WHERE visitor_id = unhex({v:String}) ORDER BY o", {"v": BEN}),
        "touch": store.rows("SELECT * FROM touch WHERE visitor_id = unhex({v:String}) ORDER BY o", {"v": BEN}),
        "conversion": store.rows("SELECT * FROM conversion WHERE order_id = '170'"),
        "span": store.rows("SELECT * FROM span WHERE click_id = unhex({c:String})", {"c": BEN_CLICK}),
    }


def test_a_person_leaves_segments_store_and_control_database(
    eraser: Eraser,
    written: Written,
    journal_dir: Path,
    ship: Ship,
    store: Store,
    control: Engine,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    written(annas())
    clock.advance(1)
    written(bens())
    clock.advance(1)  # a segment's place is told by the millisecond in which it was begun
    ship()
    assert [one.compressed for one in list_segments(journal_dir)] == [True, False]
    in_control(control)
    before, bens_before, size = rows(store), of_ben(store), [segments.size(one) for one in list_segments(journal_dir)]

    ways = {"visitor_id": ANNA, "order_id": ANNA_ORDER, "email_sha256": ANNA_MAIL, "click_id": SECOND}
    preview, *others = [eraser.preview(subject(name, value)) for name, value in ways.items()]
    assert all(other == preview for other in others), "whichever way she is named, it is the same person"
    shared = eraser.preview(subject("click_id", SHARED))
    assert (shared.identifiers, shared.store_rows) == ({"click_id": 1}, {"click": 2, "touch": 1}), (
        "it leads to neither visitor"
    )
    info = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()

    done = eraser.audit.one(info.erasure_id)
    (here,) = done.nodes
    assert (done.state, done.subject, done.by) == ("done", "visitor_id", "someone")
    assert done.identifiers == {
        "click_id": 2, "order_id": 2, "fact_id": 2, "visitor_id": 1, "crm_id": 1, "email_sha256": 1,
    } == preview.identifiers  # fmt: skip
    gone = {"click": 3, "touch": 2, "span": 1, "platform_click": 1, "impression": 1, "conversion": 2, "upload": 1}
    assert here.journal_lines == {**gone, "incident": 1}
    assert {kind: here.store_rows[kind] for kind in (*gone, "incident")} == {**gone, "incident": 1}
    assert preview.store_rows == here.store_rows
    assert here.control_rows == {"dead_letters": 1, "uploads": 1, "postback_lives": 1, "actions": 1, "checkpoints": 1}
    assert here.proof is not None
    assert here.proof.clean
    assert (here.proof.journal.lines, here.proof.journal.found) == (len(annas()) + len(bens()) + 1, 0)

    control.dispose()
    assert left_of_anna(tmp_path) == []
    assert rows(store) == {
        kind: before[kind] - gone.get(kind, 0) for kind in before if before[kind] > gone.get(kind, 0)
    }
    assert of_ben(store) == bens_before
    assert [segments.size(one) for one in list_segments(journal_dir)][:2] == size
    shown = msgspec.json.decode(str(store.rows("SELECT payload FROM incident")[0]["payload"]))
    assert shown == {"failed_traces": ["0" * 32, BEN_CLICK], "lost": 12}
    assert verify(journal_dir, store, control).ok
    kept = store.rows("SELECT command FROM system.mutations WHERE database = currentDatabase()")
    assert kept
    assert not [secret for secret in SECRETS for row in kept if secret in str(row["command"])], (
        "the engine keeps them for a while"
    )
    assert store.rows("SELECT fact_id, subject FROM erasure") == []  # its record is not shipped yet
    ship()
    assert store.rows("SELECT fact_id, subject FROM erasure") == [{"fact_id": info.erasure_id, "subject": "visitor_id"}]


def test_a_rebuilt_store_and_a_restored_segment_hold_nothing_and_the_segment_is_cleaned_again(
    eraser: Eraser,
    written: Written,
    journal_dir: Path,
    ship: Ship,
    store: Store,
    control: Engine,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    written(annas())
    written(bens())
    ship()
    old = next(one for one in list_segments(journal_dir) if FIRST.encode() in one.path.read_bytes())
    backup = old.path.read_bytes()
    eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    after = rows(store)
    old.path.write_bytes(backup)
    rebuild_store(store, control, journal_dir, config=JournalConfig(), clock=clock)
    assert rows(store) == after
    eraser.run_once()
    assert left_of_anna(tmp_path) == []
    assert verify(journal_dir, store, control).ok


def test_what_is_sent_again_does_not_come_back_and_a_new_visit_is_a_new_visit(
    eraser: Eraser,
    written: Written,
    journal_dir: Path,
    journal: JournalWriter,
    ship: Ship,
    store: Store,
    clock: FakeClock,
    control: Engine,
) -> None:
    written(annas())
    ship()
    eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    ship()
    later = clock() + HOUR
    journal.append_many(
        [
            msgspec.structs.replace(order(ANNA_ORDER), ts=later),  # the same order once more, under no other key
            msgspec.structs.replace(touch("", click_id=FIRST), ts=later),  # the old click's cookie lives 90 days
            touch(ANNA),  # a late line of before
            click(hex32("new"), ANNA, ts=later, number=9),
            msgspec.structs.replace(order("19", email_sha256=ANNA_MAIL), ts=later),
        ]
    )
    ship()
    assert rows(store) == {"click": 1, "conversion": 1}
    assert verify(journal_dir, store, control).ok
    eraser.run_once()  # the segment is still being written
    assert FIRST.encode() in everything(journal_dir)
    journal.close()
    eraser.run_once()
    assert FIRST.encode() not in everything(journal_dir)
    assert hex32("new").encode() in everything(journal_dir)


def test_lines_in_a_segment_that_is_being_written_leave_the_store_at_once_and_the_segment_when_it_is_final(
    eraser: Eraser, journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store
) -> None:
    journal.append_many([*annas(), *bens()])
    ship()
    info = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    waiting = eraser.audit.one(info.erasure_id)
    assert (waiting.state, waiting.nodes[0].segments_waiting) == ("waiting", 1)
    assert waiting.nodes[0].proof is not None
    assert waiting.nodes[0].proof.journal.found == 12
    assert rows(store)["click"] == 2
    journal.append_many(bens())
    journal.close()
    ship()
    reopened = JournalWriter(journal_dir, config=JournalConfig(), name="again")
    eraser._journal = reopened
    eraser.run_once()
    reopened.close()
    done = eraser.audit.one(info.erasure_id)
    assert (done.state, done.nodes[0].journal_lines["click"]) == ("done", 3)
    assert left_of_anna(journal_dir) == []


def test_erased_twice_changes_nothing_and_an_unknown_person_is_remembered(
    eraser: Eraser, written: Written, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    written([*annas(), *bens()])
    ship()
    for _ in range(2):
        clock.advance(1)
        eraser.ask(subject("email_sha256", ANNA_MAIL), by="someone")
        eraser.run_once()
    second, first = eraser.audit.all()
    assert (first.state, second.state) == ("done", "done")
    assert second.nodes[0].journal_lines == {}
    assert second.nodes[0].store_rows == {}
    eraser.ask(subject("order_id", "never seen"), by="someone")
    eraser.run_once()
    written([order("never seen"), order("seen")])
    ship()
    assert {row["order_id"] for row in store.rows("SELECT order_id FROM conversion")} == {"170", "seen"}
    with control.connect() as connection:
        kept = [str(tuple(row)) for row in connection.execute(tombstones.select())]
    assert not [secret for secret in SECRETS for row in kept if secret in row]


def test_a_key_of_many_people_is_refused(eraser: Eraser, written: Written, ship: Ship) -> None:
    written(order(str(number), email_sha256=ANNA_MAIL) for number in range(600))
    ship()
    with pytest.raises(Invalid) as refusal:
        eraser.ask(subject("email_sha256", ANNA_MAIL), by="someone")
    assert refusal.value.reason == "too_many"
    assert ANNA_MAIL not in str(refusal.value)
    assert eraser.audit.all() == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("visitor_id", "anna", "bad_value"),
        ("click_id", "0" * 32, "bad_value"),
        ("email_sha256", "anna@example.org", "bad_value"),
        ("order_id", " ", "bad_value"),
        ("phone", "1", "unknown_subject"),
    ],
)
def test_what_names_nobody_is_refused_without_being_repeated(name: str, value: str, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        subject(name, value)
    assert refusal.value.reason == reason
    assert value == " " or value not in refusal.value.detail


def test_another_machine_with_a_journal_is_waited_for(
    eraser: Eraser,
    written: Written,
    ship: Ship,
    store: Store,
    control: Engine,
    journal: JournalWriter,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    there = Eraser(store, control, tmp_path / "there", journal, node="there", paused=ship.shipper.paused, clock=clock)
    there.run_once()
    written([*annas()])
    ship()
    info = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    assert eraser.audit.one(info.erasure_id).state == "erasing"
    there.run_once()
    assert eraser.audit.one(info.erasure_id).state == "done"
    again = eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    eraser.audit.forget_node("there")
    assert eraser.audit.one(again.erasure_id).state == "done"


def test_the_sqlite_file_keeps_nothing_in_free_pages(eraser: Eraser, control: Engine, tmp_path: Path) -> None:
    in_control(control)
    eraser.ask(subject("visitor_id", ANNA), by="someone")
    eraser.run_once()
    control.dispose()
    assert ANNA.encode() not in (tmp_path / "control.sqlite").read_bytes()
    assert sqlite3.connect(tmp_path / "control.sqlite").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_every_table_with_an_identifier_is_reached(store: Store) -> None:
    """A new table whose identifier is called otherwise would be overlooked: whoever adds one answers here."""
    reached = {table.name for table in StoredPeople(store).tables()}
    telling = store.rows(
        "SELECT DISTINCT c.table AS name FROM system.columns AS c INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table"
        " WHERE c.database = currentDatabase() AND endsWith(t.engine, 'MergeTree') AND (match(c.name, 'visitor|person|email|phone|order_id|crm_id')"
        " OR c.type LIKE '%FixedString(16)%' OR (c.name LIKE '%click_id' AND c.type != 'Bool'))"
    )
    #: canary: our own clicks. reconciliation and the like hold sums.
    assert {str(row["name"]) for row in telling} - reached <= {"canary"}
