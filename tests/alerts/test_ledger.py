"""The ledger: one transaction per step, compare-and-set, publishing to the journal, and the check that finds a broken story."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, delete, insert, update

from alerts.ledger import Lease, Ledger
from alerts.state import ActionState
from alerts.verify import verify
from core.control.checkpoints import Checkpoints
from core.control.tables import actions, ledger, pause_leases
from core.errors import Conflict, NotFound
from core.records import Decision, Record
from tests.alerts.test_stages import action

NOW = 1_790_000_000_000


class ListJournal:
    """Keeps what is appended; `fail` makes the next append raise before anything is kept."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fail = False

    def append_many(self, records: Iterable[Record], /) -> int:
        if self.fail:
            raise OSError("disk full")
        found = list(records)
        self.records += found
        return len(found)


@pytest.fixture
def book(control: Engine) -> Ledger:
    made = Ledger(control)
    made.propose(action(ActionState.APPROVED), step="approved", payload={"sentence": "s"}, now=NOW)
    return made


LEASE = Lease(
    target="google:1:2",
    action_id="a" * 32,
    platform="google",
    previous_status="enabled",
    started_at=NOW,
    expires_at=NOW + 1,
)


def test_an_action_survives_its_way_into_the_table_and_back(book: Ledger) -> None:
    assert book.get("a" * 32) == action(ActionState.APPROVED)


def test_the_same_proposal_is_written_once(book: Ledger) -> None:
    assert book.propose(action(ActionState.APPROVED), step="approved", payload={}, now=NOW) is False
    assert len(book.entries()) == 2


def test_of_two_who_read_the_same_state_one_moves_it(book: Ledger) -> None:
    seen = book.get("a" * 32)
    book.move(seen, ActionState.ACTING, step="intent", now=NOW, lease=LEASE)
    with pytest.raises(Conflict) as raised:
        book.move(seen, ActionState.ACTING, step="intent", now=NOW, lease=LEASE)
    assert raised.value.reason == "already_acting"
    assert [entry.step for entry in book.entries()] == ["proposed", "approved", "intent"]


def test_a_transition_that_is_not_allowed_leaves_no_trace(book: Ledger) -> None:
    with pytest.raises(Conflict):
        book.move(book.get("a" * 32), ActionState.RETURNED, step="return_read_back", now=NOW)
    assert len(book.entries()) == 2


def test_lease_and_intent_are_one_transaction(book: Ledger) -> None:
    broken = msgspec.structs.replace(LEASE, platform=None)
    with pytest.raises(Exception, match="NOT NULL"):
        book.move(book.get("a" * 32), ActionState.ACTING, step="intent", now=NOW, lease=broken)
    assert book.get("a" * 32).state is ActionState.APPROVED
    assert len(book.entries()) == 2


def test_an_unknown_action_is_not_found(book: Ledger) -> None:
    with pytest.raises(NotFound):
        book.get("b" * 32)


def test_lines_are_journaled_once_and_again_only_with_the_same_identity(book: Ledger, control: Engine) -> None:
    journal, checkpoints = ListJournal(), Checkpoints(control, "alerts")
    assert book.publish(journal, checkpoints) == 2
    assert book.publish(journal, checkpoints) == 0
    book.move(book.get("a" * 32), ActionState.WITHDRAWN, step="withdrawn", reason="incident_over", now=NOW + 5)
    assert book.publish(journal, checkpoints) == 1
    last = journal.records[-1]
    assert isinstance(last, Decision)
    assert (last.fact_id, last.state, last.ts) == (f"decision:{'a' * 32}:3", "withdrawn", NOW + 5)
    assert last.payload == {"step": "withdrawn", "reason": "incident_over", "state": "withdrawn"}


def test_a_journal_that_refuses_gets_the_lines_the_next_time(book: Ledger, control: Engine) -> None:
    journal, checkpoints = ListJournal(), Checkpoints(control, "alerts")
    journal.fail = True
    with pytest.raises(OSError, match="disk full"):
        book.publish(journal, checkpoints)
    journal.fail = False
    assert book.publish(journal, checkpoints) == 2


def broken_state(control: Engine) -> None:
    with control.begin() as connection:
        connection.execute(update(actions).values(state="paused"))


def lost_lease(control: Engine) -> None:
    with control.begin() as connection:
        connection.execute(delete(pause_leases))


def lost_intent(control: Engine) -> None:
    with control.begin() as connection:
        connection.execute(delete(ledger).where(ledger.c.step == "intent"))


def stray_line(control: Engine) -> None:
    with control.begin() as connection:
        connection.execute(
            insert(ledger).values(
                action_id="f" * 32, at=NOW, step="proposed", by="x", reason="", payload={"state": "held"}
            )
        )


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (broken_state, "the ledger ends with acting, the action is paused"),
        (lost_lease, "it is acting without an open lease"),
        (lost_intent, "is call without intent before it"),
        (stray_line, "has ledger lines but is no action"),
    ],
)
def test_a_damaged_ledger_is_found_out(book: Ledger, control: Engine, damage: Any, found: str) -> None:
    moved = book.move(book.get("a" * 32), ActionState.ACTING, step="intent", now=NOW, lease=LEASE)
    book.note(moved, step="call", reason="ok", now=NOW)
    assert verify(book) == []
    damage(control)
    assert any(found in problem for problem in verify(book)), verify(book)
