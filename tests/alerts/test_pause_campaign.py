"""The code that writes to a platform, against an account whose faults are chosen: before the call, in it, after it, on reading back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from alerts.actions.base import Action
from alerts.actions.pause_campaign import UNKNOWN_HAND, WHOSE_PAUSE, PauseCampaign
from alerts.actions.platforms import Platforms
from alerts.config import AlertsConfig
from alerts.ledger import Ledger
from alerts.state import ActionState
from alerts.verify import verify
from core.vendors.config import AccountConfig
from tests.alerts.test_stages import action
from tests.alerts.world import Clock, FaultyPlatform, permanent, transient

TARGET = "google:1:2"


class Bench:
    """An approved pause of google:1:2, and the code that carries it out."""

    def __init__(self, control: Engine, google: FaultyPlatform, clock: Clock) -> None:
        self.ledger = Ledger(control)
        self.google, self.clock = google, clock
        accounts = [AccountConfig(platform="google", account="1")]
        self.pause = PauseCampaign(
            self.ledger, Platforms(accounts, lambda _: google), config=AlertsConfig(), clock=clock
        )
        self.ledger.propose(action(ActionState.APPROVED), step="approved", payload={}, now=clock.now)

    @property
    def action(self) -> Action:
        return self.ledger.get("a" * 32)

    def steps(self) -> list[tuple[str, str]]:
        return [(entry.step, entry.reason) for entry in self.ledger.entries()][2:]


@pytest.fixture
def bench(control: Engine, google: FaultyPlatform, clock: Clock) -> Iterator[Bench]:
    made = Bench(control, google, clock)
    yield made
    assert verify(made.ledger) == [], "whatever happens, the ledger tells one consistent story"


def test_intent_stands_before_the_call_and_the_read_back_after_it(bench: Bench) -> None:
    seen: list[tuple[str, str]] = []
    bench.google.after_effect = lambda: seen.extend(bench.steps())
    bench.pause.execute(bench.action)
    assert seen == [("intent", "")]
    assert bench.steps() == [("intent", ""), ("call", "ok"), ("read_back", "confirmed")]
    assert bench.action.state is ActionState.PAUSED
    [lease] = bench.ledger.leases()
    assert (lease.previous_status, lease.expires_at) == ("enabled", bench.clock.now + AlertsConfig().lease)


@pytest.mark.parametrize(("status", "reason"), [("paused", "already_paused"), ("removed", "not_delivering")])
def test_a_campaign_that_does_not_deliver_is_not_ours_to_pause(bench: Bench, status: str, reason: str) -> None:
    bench.google.statuses[TARGET] = status
    after = bench.pause.execute(bench.action)
    assert (after.state, after.reason) == (ActionState.WITHDRAWN, reason)
    assert bench.google.writes == []
    assert bench.ledger.leases() == []


def test_an_unreachable_platform_is_tried_again_before_anything_is_intended(bench: Bench) -> None:
    bench.google.on_read = [transient()]
    after = bench.pause.execute(bench.action)
    assert (after.state, after.error) == (ActionState.APPROVED, "503")
    assert bench.pause.execute(bench.action).state is ActionState.PAUSED


def test_a_passing_error_is_retried_within_the_deadline(bench: Bench) -> None:
    bench.google.before_write = [transient(), transient()]
    assert bench.pause.execute(bench.action).state is ActionState.ACTING
    bench.clock.advance(10_000)
    assert bench.pause.settle(bench.action).state is ActionState.ACTING
    bench.clock.advance(10_000)
    assert bench.pause.settle(bench.action).state is ActionState.PAUSED
    assert bench.google.writes == [(TARGET, "paused")]
    assert [reason for step, reason in bench.steps() if step == "call"] == ["transient", "transient", "ok"]


def test_after_the_deadline_no_more_calls_are_made(bench: Bench) -> None:
    bench.google.before_write = [transient()] * 9
    bench.pause.execute(bench.action)
    bench.clock.advance(66_000)
    after = bench.pause.settle(bench.action)
    assert (after.state, after.reason) == (ActionState.FAILED, "deadline")
    assert len(bench.google.before_write) == 8
    assert bench.ledger.leases() == []


def test_a_definite_refusal_fails_at_once(bench: Bench) -> None:
    bench.google.before_write = [permanent()]
    after = bench.pause.execute(bench.action)
    assert (after.state, after.reason, after.error) == (ActionState.FAILED, "platform_refused", "permission denied")
    assert bench.ledger.leases() == []


def test_a_lost_answer_is_settled_by_reading_back(bench: Bench) -> None:
    bench.google.after_write = [transient("timeout")]
    after = bench.pause.execute(bench.action)
    assert (after.state, after.reason) == (ActionState.PAUSED, "reconciled")
    assert bench.google.writes == [(TARGET, "paused")]


def test_a_pause_seen_too_late_to_say_whose_it_is_is_never_switched_on_by_itself(bench: Bench) -> None:
    bench.google.before_write = [transient()]
    bench.pause.execute(bench.action)
    bench.google.statuses[TARGET] = "paused"  # a person, while our failed call waits to be settled
    bench.clock.advance(66_000)
    after = bench.pause.settle(bench.action)
    assert (after.state, after.kept_by, after.escalated) == (ActionState.PAUSED, UNKNOWN_HAND, WHOSE_PAUSE)
    assert [lease.kept_by for lease in bench.ledger.leases()] == [UNKNOWN_HAND], (
        "it has an owner, and nothing returns it"
    )
    assert bench.ledger.entries(after.action_id)[-1].reason == WHOSE_PAUSE
    assert bench.google.writes == []


def test_a_read_back_that_fails_keeps_the_state_and_is_repeated(bench: Bench) -> None:
    bench.google.after_effect = lambda: bench.google.on_read.append(transient("read timeout"))
    after = bench.pause.execute(bench.action)
    assert (after.state, after.error) == (ActionState.ACTING, "read timeout")
    bench.clock.advance(10_000)
    assert bench.pause.settle(bench.action).state is ActionState.PAUSED


def test_an_unreadable_platform_after_the_deadline_escalates_and_reading_goes_on(bench: Bench) -> None:
    bench.google.after_effect = lambda: bench.google.on_read.append(transient())
    bench.pause.execute(bench.action)
    bench.clock.advance(66_000)
    bench.google.on_read = [transient()]
    assert bench.pause.settle(bench.action).state is ActionState.UNCONFIRMED
    assert len(bench.ledger.leases()) == 1, "it may be paused, so it has an owner"
    assert bench.pause.settle(bench.action).state is ActionState.PAUSED


def test_a_confirmed_write_that_reads_back_differently_escalates_before_it_fails(bench: Bench) -> None:
    bench.google.ignore_writes = True
    assert bench.pause.execute(bench.action).state is ActionState.ACTING
    bench.clock.advance(66_000)
    after = bench.pause.settle(bench.action)
    assert (after.state, after.reason) == (ActionState.UNCONFIRMED, "read_back_differs")
    assert bench.pause.settle(bench.action).state is ActionState.FAILED
    assert bench.google.writes == [(TARGET, "paused")]


@pytest.fixture
def paused(bench: Bench) -> Bench:
    bench.pause.execute(bench.action)
    bench.google.writes.clear()
    return bench


def test_a_campaign_is_given_back_and_read_back(paused: Bench) -> None:
    after = paused.pause.give_back(paused.action, reason="recovered")
    assert after.state is ActionState.RETURNED
    assert paused.google.statuses[TARGET] == "enabled"
    assert paused.steps()[3:] == [
        ("return_intent", "recovered"),
        ("return_call", "ok"),
        ("return_read_back", "recovered"),
    ]
    assert paused.ledger.leases() == []


@pytest.mark.parametrize("status", ["enabled", "removed", "unknown"])
def test_what_a_person_changed_is_left_alone(paused: Bench, status: str) -> None:
    paused.google.statuses[TARGET] = status
    after = paused.pause.give_back(paused.action, reason="recovered")
    assert (after.state, after.reason) == (ActionState.RELEASED, "changed_on_platform")
    assert paused.google.writes == []


def test_a_person_who_switches_it_on_is_noticed_before_the_return(paused: Bench) -> None:
    paused.google.statuses[TARGET] = "enabled"
    assert paused.pause.check(paused.action).state is ActionState.RELEASED
    paused.google.statuses[TARGET] = "paused"  # and pauses it again later, on their own account
    assert paused.ledger.leases() == []


def test_a_return_is_repeated_until_the_platform_confirms_it_and_a_person_hears_of_it(paused: Bench) -> None:
    paused.google.before_write = [transient(), permanent(), transient()]
    assert paused.pause.give_back(paused.action, reason="recovered").state is ActionState.RETURNING
    for _ in range(3):
        paused.clock.advance(66_000)
        after = paused.pause.settle_return(paused.action)
    assert after.state is ActionState.RETURNED
    assert after.escalated == "return_fails"
    assert paused.google.writes == [(TARGET, "enabled")]


def test_an_account_that_lost_its_permission_is_told_at_once(paused: Bench) -> None:
    paused.google.on_read = [permanent()]
    after = paused.pause.give_back(paused.action, reason="recovered")
    assert (after.state, after.escalated) == (ActionState.PAUSED, "return_fails")
