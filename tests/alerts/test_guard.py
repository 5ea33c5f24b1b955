"""Each guard alone: it asks or refuses with its word, and lets everything else pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alerts.actions.guard import GUARDS, GuardInput, rule_on
from alerts.config import GuardsConfig, MaintenanceWindow
from alerts.economics import PauseBalance, pause_balance
from core.clock import HOUR_MS, MINUTE_MS, to_rfc3339
from core.incidents import Recovery
from tests.alerts.world import affected, incident_payload

NOW = 1_790_000_000_000


def given(**changes: Any) -> GuardInput:
    """Everything is right: automatic mode, sandbox, plenty of live spend."""
    fields: dict[str, Any] = {
        "now": NOW,
        "mode": "automatic",
        "config": GuardsConfig(),
        "incident_state": "open",
        "incident": incident_payload(now=NOW),
        "campaign": affected(),
        "account_known": True,
        "client_exists": True,
        "sandbox": True,
        "switches": frozenset(),
        "paused_campaigns_last_hour": 0,
        "paused_spend_last_hour": 0.0,
        "spend_per_hour": 60e6,
        "live_spend_per_hour": 600e6,
        "ended_at": 0,
        "last_conversion": NOW - MINUTE_MS,
    }
    return GuardInput(**{**fields, **changes})


def test_with_everything_right_nobody_need_be_asked() -> None:
    ruling = rule_on(given())
    assert (ruling.needs, ruling.reason) == (0, "")
    assert len(ruling.findings) == len(GUARDS)


WINDOW = MaintenanceWindow(start=to_rfc3339(NOW - HOUR_MS), end=to_rfc3339(NOW + HOUR_MS), campaigns=["google:1:*"])
ELSEWHERE = MaintenanceWindow(start=WINDOW.start, end=WINDOW.end, campaigns=["meta:*"])
RECOVERED = incident_payload(now=NOW, recovery=Recovery(recovered=True, text="back"))


@pytest.mark.parametrize(
    ("changes", "needs", "reason"),
    [
        ({"campaign": affected("2")}, None, "unqualified_campaign"),
        ({"campaign": affected("google::2")}, None, "unqualified_campaign"),
        ({"account_known": False}, None, "unknown_account"),
        ({"client_exists": False}, None, "no_platform_client"),
        ({"switches": frozenset({"stop_pauses"})}, None, "pauses_stopped"),
        ({"switches": frozenset({"stop_returns"})}, None, "pauses_stopped"),
        ({"mode": "observe"}, None, "observe_mode"),
        ({"mode": "approve"}, 1, "approval_required"),
        ({"sandbox": False}, 1, "no_track_record"),
        ({"config": GuardsConfig(allowed_campaigns=["meta:*"])}, None, "not_allowed"),
        ({"incident_state": "recovering"}, None, "incident_over"),
        ({"incident_state": "closed"}, None, "incident_over"),
        ({"incident": RECOVERED}, None, "incident_over"),
        ({"incident": incident_payload(now=NOW, verdict="tracking_broken")}, None, "verdict_not_allowed"),
        ({"incident": incident_payload(now=NOW, confidence=0.79)}, 1, "low_confidence"),
        ({"campaign": affected(loses_sales=False)}, None, "keeps_sales"),
        ({"campaign": affected(break_even_rate=None)}, 1, "break_even_unknown"),
        ({"campaign": affected(break_even_rate=0.0)}, 1, "break_even_unknown"),
        ({"campaign": affected(scope_share=0.2)}, 1, "pause_costs_more"),
        ({"last_conversion": NOW - 16 * MINUTE_MS}, 1, "conversions_silent"),
        ({"last_conversion": 0}, 1, "conversions_silent"),
        ({"config": GuardsConfig(maintenance_windows=[WINDOW])}, None, "maintenance_window"),
        ({"ended_at": NOW - 29 * MINUTE_MS}, 1, "cool_down"),
        ({"paused_campaigns_last_hour": 20}, 2, "campaigns_per_hour"),
        ({"paused_spend_last_hour": 300e6, "live_spend_per_hour": 300e6}, 2, "spend_share"),
        ({"live_spend_per_hour": 0.0}, 2, "spend_unknown"),
        ({"config": GuardsConfig(second_approver_above=59.99)}, 2, "second_approver"),
    ],
)
def test_a_guard_says_its_word(changes: dict[str, Any], needs: int | None, reason: str) -> None:
    ruling = rule_on(given(**changes))
    assert (ruling.needs, ruling.reason) == (needs, reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": GuardsConfig(maintenance_windows=[ELSEWHERE])},
        {"ended_at": NOW - 31 * MINUTE_MS},
        {"paused_campaigns_last_hour": 19},
        {"paused_spend_last_hour": 200e6, "live_spend_per_hour": 400e6},
        {"live_spend_per_hour": 0.0, "config": GuardsConfig(max_spend_share_per_hour=1.0)},
        {"config": GuardsConfig(second_approver_above=60.0)},
        {"config": GuardsConfig(ask_when_pause_costs_more=False), "campaign": affected(scope_share=0.2)},
        {"incident": incident_payload(now=NOW, verdict="redirect_failing")},
    ],
)
def test_just_within_the_limit_passes(changes: dict[str, Any]) -> None:
    assert rule_on(given(**changes)).needs == 0


def test_every_guard_is_recorded_also_when_the_first_refuses() -> None:
    ruling = rule_on(given(campaign=affected("2"), sandbox=False))
    assert ruling.reason == "unqualified_campaign"
    assert "no_track_record" in {finding.reason for finding in ruling.findings}


def test_the_sandbox_exemption_is_said_and_holds_for_nobody_else() -> None:
    exempt = rule_on(given())
    assert [f.reason for f in exempt.findings if f.guard == "track_record"] == ["sandbox_exempt"]
    assert rule_on(given(sandbox=False)).needs == 1


def test_two_people_stay_needed_when_one_is_needed_as_well() -> None:
    ruling = rule_on(given(mode="approve", paused_campaigns_last_hour=20))
    assert (ruling.needs, ruling.reason) == (2, "campaigns_per_hour")


def test_the_balance_of_a_pause_to_the_cent() -> None:
    # $60 an hour inside the fault, which touches 60 % of the campaign: $40 outside. Rate 0.4 %, break-even 1.5 %, baseline 2 %.
    incident = incident_payload(now=NOW)
    balance = pause_balance(affected(scope_share=0.6), incident)
    assert balance == PauseBalance(saved_micros=44_000_000, given_up_micros=13_333_333)
    assert pause_balance(affected(break_even_rate=None), incident) is None


def test_findings_travel_through_json() -> None:
    ruling = rule_on(given())
    assert msgspec.json.decode(msgspec.json.encode(ruling), type=type(ruling)) == ruling
