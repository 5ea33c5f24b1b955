"""The pipeline's decisions as tables."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.actions.base import Action, Approval
from alerts.actions.guard import Ruling
from alerts.observations import IncidentView, Observations, SourceState
from alerts.rules.schema import Gates, Rule, SourceGate
from alerts.stages import (
    deduplicate,
    enough,
    evaluate_incident,
    hold,
    hold_campaign,
    may_propose_again,
    next_step,
    requests,
    targets,
)
from alerts.state import ActionState
from core.clock import HOUR_MS, MINUTE_MS
from tests.alerts.world import affected, incident_payload

NOW = 1_790_000_000_000


def action(state: ActionState = ActionState.AWAITING, **changes: Any) -> Action:
    fields: dict[str, Any] = {
        "action_id": "a" * 32,
        "rule": "pause_failing_campaigns",
        "incident_id": "i",
        "kind": "pause_campaign",
        "target": "google:1:2",
        "client": "",
        "state": state,
        "mode": "approve",
        "proposed_at": NOW - MINUTE_MS,
        "expires_at": NOW + HOUR_MS,
        "spend_per_hour_micros": 60_000_000,
        "currency": "USD",
        "attempt": 1,
        "request": "r1",
        "name": "Spring",
        "sentence": "s",
        "pause_cost": "p",
        "runs_out": 4 * HOUR_MS,
    }
    return Action(**{**fields, **changes})


def ruling(needs: int | None, reason: str = "") -> Ruling:
    from alerts.actions.base import Finding

    return Ruling(
        needs=needs, reason=reason, text="", findings=[Finding(guard="g", needs=needs, reason=reason)] if reason else []
    )


def agreed(*names: str, via: str = "key") -> list[Approval]:
    return [Approval(by=name, via=via, at=NOW) for name in names]


@pytest.mark.parametrize(
    ("firing", "told", "tells", "age_ms", "reason"),
    [
        (True, "", "a", 0, "first_notification"),
        (True, "a", "a", 59_999, "nothing_new"),
        (True, "a", "a", 60_000, "refresh"),
        (True, "a", "b", 1, "changed"),
        (False, "a", "a", 1, "resolved"),
        (False, "", "a", 1, "nothing_new"),
    ],
)
def test_an_alert_is_sent_for_a_named_reason(firing: bool, told: str, tells: str, age_ms: int, reason: str) -> None:
    got = deduplicate(firing=firing, told=told, tells=tells, sent_at=NOW - age_ms, refresh_ms=60_000, now=NOW)
    assert got == reason


@pytest.mark.parametrize(
    ("given", "says", "due", "step"),
    [
        (action(), ruling(1), False, "wait"),
        (action(), ruling(0), False, "wait"),
        (action(), None, False, "wait"),
        (action(expires_at=NOW), None, False, "expire"),
        (action(), ruling(None, "campaign_left"), False, "withdraw"),
        (action(ActionState.APPROVED, approvals=agreed("Ann")), None, False, "wait"),
        (action(), ruling(None, "verdict_not_allowed"), False, "withdraw"),
        (action(), ruling(None, "pauses_stopped"), False, "wait"),
        (action(expires_at=NOW), ruling(1), False, "expire"),
        (action(ActionState.APPROVED, approvals=agreed("Ann")), ruling(1), False, "execute"),
        (action(ActionState.APPROVED), ruling(0), False, "execute"),
        (action(ActionState.APPROVED), ruling(1), False, "ask"),
        (action(ActionState.APPROVED, approvals=agreed("Ann")), ruling(2), False, "ask"),
        (action(ActionState.APPROVED, approvals=agreed("Ann")), ruling(None, "pauses_stopped"), False, "wait"),
        (action(ActionState.APPROVED, approvals=agreed("Ann")), ruling(None, "incident_over"), False, "withdraw"),
        (action(ActionState.APPROVED, expires_at=NOW), ruling(0), False, "expire"),
        (action(ActionState.HELD), ruling(None, "maintenance_window"), False, "wait"),
        (action(ActionState.HELD), ruling(1), False, "ask"),
        (action(ActionState.HELD), ruling(0), False, "allow"),
        (action(ActionState.BY_HAND), ruling(None, "no_platform_client"), False, "wait"),
        (action(ActionState.BY_HAND), None, False, "wait"),
        (action(ActionState.BY_HAND, expires_at=NOW), None, False, "withdraw"),
        (action(ActionState.BY_HAND, expires_at=NOW), ruling(None, "no_platform_client"), False, "wait"),
        (action(ActionState.ACTING), None, False, "settle"),
        (action(ActionState.UNCONFIRMED), None, True, "settle"),
        (action(ActionState.PAUSED, checked_at=NOW), None, True, "give_back"),
        (action(ActionState.PAUSED, checked_at=NOW), None, False, "wait"),
        (action(ActionState.PAUSED, checked_at=NOW - 5 * MINUTE_MS), None, False, "check"),
        (action(ActionState.RETURNING), None, True, "settle_return"),
        (action(ActionState.RETURNED), None, True, "wait"),
    ],
)
def test_every_state_has_one_next_step(given: Action, says: Ruling | None, due: bool, step: str) -> None:
    assert next_step(given, ruling=says, return_is_due=due, check_every_ms=5 * MINUTE_MS, now=NOW) == step


@pytest.mark.parametrize(
    ("approvals", "needs", "answer"),
    [
        ([], 0, True),
        ([], 1, False),
        (agreed("Ann"), 1, True),
        (agreed("Ann", via="link"), 1, True),
        (agreed("Ann"), 2, False),
        (agreed("Ann", "Bob"), 2, True),
        (agreed("Ann", "Ann"), 2, False),
        (agreed("Ann", "Bob", via="link"), 2, False),
        ([*agreed("Ann", via="link"), *agreed("Bob")], 2, True),
        ([*agreed("Ann", via="link"), *agreed("Ann")], 2, False),
    ],
)
def test_only_different_people_count_and_of_links_only_one(approvals: list[Approval], needs: int, answer: bool) -> None:
    assert enough(action(approvals=approvals), needs=needs) is answer


@pytest.mark.parametrize(
    ("last", "again"),
    [
        (None, True),
        (action(ActionState.EXPIRED), True),
        (action(ActionState.REJECTED), False),
        (action(ActionState.RELEASED), False),
        (action(ActionState.RETURNED, return_reason="lease_expired"), True),
        (action(ActionState.RETURNED, return_reason="recovered"), True),
        (action(ActionState.RETURNED, return_reason="undone"), False),
        (action(ActionState.FAILED, ended_at=NOW - 29 * MINUTE_MS), False),
        (action(ActionState.FAILED, ended_at=NOW - 30 * MINUTE_MS), True),
        (action(ActionState.PAUSED), False),
    ],
)
def test_a_persons_no_stands_and_a_failure_waits(last: Action | None, again: bool) -> None:
    assert may_propose_again(last, cool_down_ms=30 * MINUTE_MS, now=NOW) is again


def view(**changes: Any) -> IncidentView:
    return IncidentView(
        incident_id="i", state="open", opened=NOW, closed=0, payload=incident_payload(now=NOW, **changes)
    )


def observed(**changes: Any) -> Observations:
    fields: dict[str, Any] = {"now": NOW, "incidents": {}, "sources": {}, "origins": {}, "live_spend_micros": {}}
    return Observations(**{**fields, **changes})


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ({"minimum_clicks": 1200}, None),
        ({"minimum_clicks": 1201}, "minimum_clicks"),
        ({"minimum_confidence": 0.96}, "low_confidence"),
        ({"complete_within": "30s"}, None),
        ({"complete_within": "29s"}, "incomplete"),
        ({"sources": [{"match": "push", "behind_at_most": "5m"}]}, "source_unknown"),
        ({"sources": [{"match": "google*", "behind_at_most": "5m"}]}, "source_behind"),
        ({"sources": [{"match": "google*", "behind_at_most": "1h"}]}, None),
        ({"confirming_origin": {"origin": "backend", "within": "5m"}}, None),
        ({"confirming_origin": {"origin": "crm", "within": "5m"}}, "origin_silent"),
    ],
)
def test_a_closed_gate_holds_with_its_reason(gates: dict[str, Any], reason: str | None) -> None:
    seen = observed(
        sources={"google_ads:1": SourceState(complete_through=NOW - 4 * HOUR_MS, documented_lag_s=3 * 3600)},
        origins={"backend": NOW - MINUTE_MS},
    )
    held = hold(Gates.model_validate(gates), view(), seen)
    assert (held.reason if held else None) == reason


def test_a_documented_lag_is_not_lateness() -> None:
    state = SourceState(complete_through=NOW - 3 * HOUR_MS, documented_lag_s=3 * 3600)
    assert state.behind_ms(NOW) == 0


def test_a_gate_of_a_campaign_looks_at_its_own_account() -> None:
    gates = Gates(sources=[SourceGate.model_validate({"match": "{platform}_ads:{account}", "behind_at_most": "1h"})])
    seen = observed(
        sources={
            "google_ads:1": SourceState(complete_through=NOW - 2 * HOUR_MS),
            "google_ads:7": SourceState(complete_through=NOW),
        }
    )
    held = hold_campaign(gates, affected("google:1:2"), seen)
    assert held is not None
    assert held.text == "google_ads:1 is 2h behind its usual lag"
    assert hold_campaign(gates, affected("google:7:2"), seen) is None


SCOPED = Rule.model_validate(
    {
        "rule": "r",
        "description": "d",
        "owner": "o",
        "watch": "incident",
        "scope": {"platforms": ["meta"]},
        "when": {"fact": "incident.state", "equals": "open"},
        "steps": [{"pause": {}}],
    }
)


def test_a_rule_keeps_to_its_scope() -> None:
    both = view(campaigns=[affected("google:1:2"), affected("meta:9:3")])
    assert evaluate_incident(SCOPED, both, now=NOW).holds is True
    assert [each.campaign for each in targets(SCOPED, both)] == ["meta:9:3"]
    assert evaluate_incident(SCOPED, view(campaigns=[affected("google:1:2")]), now=NOW).holds is False


def test_questions_are_grouped_by_request_and_answered_ones_are_none() -> None:
    given = [
        action(target="b"),
        action(target="a"),
        action(target="c", request="r2"),
        action(ActionState.APPROVED, target="d"),
    ]
    assert {key: [each.target for each in group] for key, group in requests(given).items()} == {
        "r1": ["a", "b"],
        "r2": ["c"],
    }
