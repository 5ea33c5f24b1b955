"""The words, read aloud: whole messages as a buyer and an engineer get them."""

from __future__ import annotations

import pytest

from alerts import message
from alerts.outbox import scope_hash
from alerts.stages import Hold
from alerts.state import ActionState
from core.clock import MINUTE_MS
from core.incidents import FailedTrace, Recovery, SuspectDeploy
from tests.alerts.test_stages import action
from tests.alerts.world import affected, incident_payload

NOW = 1_790_000_000_000  # 14:13 UTC; the incident began ten minutes earlier
LINK = "https://clicktrace.example/approve/abc"


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [
        (355_560_000, "USD", "$355.56"),
        (1_234_567_890_000, "EUR", "€1,234,567.89"),
        (5_000, "USD", "$0.01"),
        (-1_500_000, "GBP", "-£1.50"),
        (1_200_000_000, "CHF", "1,200.00 CHF"),
        (0, "", "0.00"),
    ],
)
def test_money_is_said_in_its_currency(micros: int, currency: str, text: str) -> None:
    assert message.money(micros, currency) == text


def test_a_buyer_on_a_phone_reads_what_happened_what_it_costs_and_what_to_press() -> None:
    asked = action(
        name="Spring", pause_cost="All of its clicks are affected, so pausing stops nothing that still works."
    )
    text = message.description(incident_payload(now=NOW), actions=[asked], held=None, links=[LINK], state="open")
    assert text.splitlines() == [
        "Since 14:03 UTC almost nobody on mobile can order: the checkout form fails after the deploy of shop 1.4.2.",
        "Since 14:03 UTC: $15.00 wasted of $20.00 spent in what is affected.",
        "Decide: pause Spring?",
        "All of its clicks are affected, so pausing stops nothing that still works.",
        f"Answer here: {LINK}",
    ]
    assert message.summary(incident_payload(now=NOW)) == "Mobile checkout is failing: wasting about $90 an hour"


def test_what_is_over_is_not_told_as_if_it_went_on() -> None:
    told = message.summary(incident_payload(now=NOW), state="closed")
    assert told.startswith("Over: Mobile checkout is failing, $")
    assert told.endswith(" wasted")
    assert "an hour" not in told


@pytest.mark.parametrize("verdict", ["tracking_broken", "platform_data_late"])
def test_the_headline_of_lost_tracking_claims_no_waste(verdict: str) -> None:
    text = message.summary(incident_payload(now=NOW, verdict=verdict))
    assert text == "Mobile checkout is failing: sales go on, but cannot be measured. Do not pause"


def test_several_campaigns_are_one_question_and_each_says_its_cost() -> None:
    asked = [
        action(name="A", pause_cost="costs a.", needs=2, reason="spend_share"),
        action(name="B", pause_cost="costs b."),
    ]
    text = message.description(incident_payload(now=NOW), actions=asked, held=None, links=[LINK], state="open")
    assert text.splitlines()[2:] == [
        "Decide: pause A and B?",
        "A: costs a.",
        "B: costs b.",
        "A person is asked because of: spend share.",
        "Two people must agree.",
        f"Answer here: {LINK}",
    ]


def test_what_was_done_and_what_is_left_by_hand_is_said() -> None:
    actions = [
        action(ActionState.PAUSED, name="A", lease_expires=NOW + 60 * MINUTE_MS),
        action(ActionState.FAILED, name="B"),
        action(ActionState.UNCONFIRMED, name="C"),
        action(ActionState.BY_HAND, name="D", reason="no_platform_client"),
        action(ActionState.HELD, name="E", reason="source_behind"),
        action(ActionState.RELEASED, name="F"),
        action(ActionState.REJECTED, name="G"),
        action(ActionState.PAUSED, name="H", kept_by="Ann"),
    ]
    text = message.description(incident_payload(now=NOW), actions=actions, held=None, links=[], state="open")
    assert text.splitlines()[2:] == [
        "Paused: A. Back by itself when the fault is gone, at the latest at 15:13 UTC.",
        "Changed on the platform by a person, so we leave it alone: F.",
        "Left running as decided: G.",
        "Could NOT be paused, please pause by hand: B.",
        "NOT CONFIRMED by the platform, please look: C.",
        "Kept paused by Ann, nothing switches it back on by itself: H.",
        "Pause by hand, we cannot write to these accounts: D.",
        "Not paused: E (source behind).",
    ]


def test_a_held_rule_says_what_it_waits_for() -> None:
    held = Hold(reason="minimum_clicks", text="640 of 1000 clicks so far")
    text = message.description(incident_payload(now=NOW), actions=[], held=held, links=[], state="open")
    assert text.splitlines()[-1] == "No pause is proposed yet: 640 of 1000 clicks so far."


def test_recovery_is_said_in_the_words_of_the_probe() -> None:
    payload = incident_payload(now=NOW, recovery=Recovery(recovered=True, text="Orders are back since 14:10 UTC."))
    returned = action(ActionState.RETURNED, name="A")
    text = message.description(payload, actions=[returned], held=None, links=[], state="closed")
    assert text.splitlines()[2:] == ["Orders are back since 14:10 UTC.", "Running again: A."]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "All of its clicks are affected, so pausing stops nothing that still works."),
        (
            {"scope_share": 0.6},
            "Pausing it also stops the 40% of its clicks that still work, worth about $13.33 an hour; it saves about $44.00 an hour.",
        ),
        (
            {"scope_share": 0.2},
            "Pausing it also stops the 80% of its clicks that still work, worth about $80.00 an hour; "
            "that is more than the $44.00 an hour it saves.",
        ),
        (
            {"scope_share": 0.6, "break_even_rate": None},
            "Pausing it also stops the 40% of its clicks that still work; what those are worth is not known, because its margin is not.",
        ),
    ],
)
def test_a_pause_says_what_it_costs_itself(changes: dict[str, float | None], text: str) -> None:
    assert message.pause_cost(affected(**changes), incident_payload(now=NOW)) == text


def test_an_engineer_reads_the_deploy_the_route_and_three_traces() -> None:
    payload = incident_payload(
        now=NOW,
        deploys=[
            SuspectDeploy(
                service="shop",
                version="1.4.2",
                change="deploy",
                ts=NOW - 12 * MINUTE_MS,
                score=0.9,
                reason="It touches the failing route.",
                author="jo",
            )
        ],
        routes=["POST /checkout"],
        traces=[
            FailedTrace(
                trace_id=f"{n}" * 32,
                click_id="",
                ts=NOW,
                service="shop",
                route="/checkout",
                error="boom",
                http_status=500,
            )
            for n in range(4)
        ],
    )
    assert message.engineer(payload).splitlines() == [
        "site failing (95% sure), since 14:03 UTC, scope: device mobile.",
        "Suspect: deploy of shop 1.4.2 by jo, 2 min before the onset. It touches the failing route.",
        "Failing or slow: POST /checkout.",
        *(f"Trace {str(n) * 32}: shop /checkout 500 boom" for n in range(3)),
    ]


def test_names_stop_being_listed_after_four() -> None:
    assert message.names([action(name=str(n)) for n in range(7)]) == "0, 1, 2, 3 and 3 more"
    assert message.names([action(name="")]) == "google:1:2"


def test_the_scope_label_does_not_depend_on_the_order_of_dimensions() -> None:
    assert scope_hash({"a": "1", "b": "2"}) == scope_hash({"b": "2", "a": "1"})
    assert len(scope_hash({})) == 12
