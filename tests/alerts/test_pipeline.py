"""The whole pipeline over a real store, control database and journal; only the ad platform is in memory."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.actions.undo import end_all_leases
from alerts.config import AlertsConfig
from alerts.ledger import Ledger
from alerts.pipeline import Alerts
from alerts.rule_states import RuleStates
from alerts.state import ActionState
from alerts.verify import verify
from core.clock import HOUR_MS, MINUTE_MS
from core.errors import StoreError
from core.incidents import Recovery
from core.vendors.config import AccountConfig
from tests.alerts.world import FaultyPlatform, World, affected, transient

SANDBOX = [AccountConfig(platform="google", account="1", sandbox=True)]
AUTOMATIC = {"mode": "automatic"}


def steps(world: World, action_id: str) -> list[str]:
    return [entry.step for entry in Ledger(world.control).entries(action_id)]


class NoStore:
    """A store that does not answer."""

    def rows(self, sql: str, params: object = None) -> list[dict[str, object]]:
        raise StoreError("connection refused")


class EmptyStore:
    """A store right after it was wiped."""

    def rows(self, sql: str, params: object = None) -> list[dict[str, object]]:
        return []


def states(alerts: Alerts) -> dict[str, tuple[str, str]]:
    return {action.target: (str(action.state), action.waits_for or action.reason) for action in alerts.ledger.find()}


def test_an_incident_leads_to_a_question_and_an_approval_to_a_pause(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts()
    world.incident()
    world.tick(alerts)
    [action] = alerts.ledger.find()
    assert (action.state, action.target, action.reason) == (ActionState.AWAITING, "google:1:2", "approval_required")
    world.tick(alerts)
    assert google.writes == []

    alerts.decisions.approve(action, by="Ann", via="key", now=world.clock.now)
    world.tick(alerts)
    [action] = alerts.ledger.find()
    assert action.state is ActionState.PAUSED
    assert google.writes == [("google:1:2", "paused")]
    assert steps(world, action.action_id) == ["proposed", "asked", "approved", "intent", "call", "read_back"]


def test_recovery_gives_the_campaign_back(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    [action] = alerts.ledger.find()
    assert (action.state, action.decided_by) == (ActionState.PAUSED, "clicktrace (automatic)")

    world.incident("recovering", recovery=Recovery(recovered=True, text="Orders from mobile are back since 14:20 UTC."))
    world.tick(alerts)
    [action] = alerts.ledger.find()
    assert (action.state, action.return_reason) == (ActionState.RETURNED, "recovered")
    assert google.writes == [("google:1:2", "paused"), ("google:1:2", "enabled")]
    assert alerts.ledger.leases() == []


def test_an_account_that_is_no_sandbox_is_never_paused_automatically(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=[AccountConfig(platform="google", account="1", sandbox=False)], **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    world.tick(alerts)
    assert states(alerts) == {"google:1:2": ("awaiting", "no_track_record")}
    assert google.writes == []


def test_the_ledger_says_that_only_the_sandbox_made_it_automatic(world: World) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    [action] = alerts.ledger.find()
    proposed, approved, *_ = alerts.ledger.entries(action.action_id)
    assert proposed.payload["sandbox"] is True
    assert (approved.step, approved.reason) == ("approved", "sandbox_exempt")
    [finding] = [each for each in proposed.payload["findings"] if each["guard"] == "track_record"]
    assert finding["text"] == "sandbox account: exempt from the track record"


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"break_even_rate": None}, "awaiting", "break_even_unknown"),
        ({"scope_share": 0.5, "break_even_rate": 0.011}, "awaiting", "pause_costs_more"),
    ],
)
def test_automatic_mode_asks_where_it_cannot_know(
    world: World, google: FaultyPlatform, changes: dict[str, Any], state: str, reason: str
) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident(campaigns=[affected(**changes)])
    world.tick(alerts)
    assert states(alerts) == {"google:1:2": (state, reason)}
    assert google.writes == []


@pytest.mark.parametrize(
    "verdict", ["tracking_broken", "site_slow", "traffic_changed", "platform_data_late", "unknown"]
)
def test_other_verdicts_are_told_and_nothing_is_proposed(world: World, verdict: str) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident(verdict=verdict)
    world.tick(alerts)
    assert alerts.ledger.find() == []


def test_a_redirect_that_fails_pauses_only_where_buyers_are_lost(world: World, google: FaultyPlatform) -> None:
    meta = FaultyPlatform("meta", "9", campaigns=["3"])
    world.platforms["meta:9"] = meta
    world.fresh("google_ads:1", "meta_ads:9")
    accounts = [*SANDBOX, AccountConfig(platform="meta", account="9", sandbox=True)]
    alerts = world.alerts(accounts=accounts, mode="automatic", guards={"max_spend_share_per_hour": 1.0})
    lost = [affected("google:1:2", loses_sales=False, parallel_tracking=True), affected("meta:9:3")]
    world.incident(verdict="redirect_failing", campaigns=lost)
    world.tick(alerts)
    assert google.writes == []
    assert meta.writes == [("meta:9:3", "paused")]


def test_a_platform_without_a_client_is_for_people(world: World) -> None:
    accounts = [AccountConfig(platform="google", account="1"), AccountConfig(platform="microsoft", account="5")]
    alerts = world.alerts(accounts=accounts)
    world.incident(campaigns=[affected("microsoft:5:6"), affected("tiktok:7:8"), affected("no-platform")])
    world.tick(alerts)
    assert states(alerts) == {
        "microsoft:5:6": ("by_hand", "no_platform_client"),
        "tiktok:7:8": ("by_hand", "unknown_account"),
        "no-platform": ("held", "unqualified_campaign"),
    }


def test_a_source_that_stands_still_holds_the_pause_until_it_moves(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.clock.advance(3 * HOUR_MS + MINUTE_MS)
    world.traffic(c2=10, c3=10, c4=10, c5=10)
    world.incident()
    world.tick(alerts)
    assert states(alerts) == {"google:1:2": ("held", "source_behind")}
    assert google.writes == []

    world.fresh("google_ads:1")
    world.tick(alerts)
    assert states(alerts)["google:1:2"][0] == "paused"
    [action] = alerts.ledger.find()
    assert steps(world, action.action_id)[:3] == ["proposed", "held", "approved"]


def test_too_few_clicks_hold_the_rule_with_its_reason(world: World) -> None:
    alerts = world.alerts()
    world.incident(clicks=999.0)
    world.tick(alerts)
    assert alerts.ledger.find() == []
    assert [each.hold for each in RuleStates(world.control).load().values() if each.hold] == ["minimum_clicks"]


def test_observe_mode_writes_down_what_it_would_do(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, mode="observe")
    world.incident()
    for _ in range(3):
        world.tick(alerts)
    assert states(alerts) == {"google:1:2": ("held", "observe_mode")}
    assert google.writes == []
    assert len(alerts.ledger.entries()) == 2, "once, not at every tick"


def test_the_hourly_share_of_spend_needs_two_people_beyond_the_limit(world: World) -> None:
    # Four campaigns spend alike, so half of the spend is two of them.
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.platforms["google:1"] = google = FaultyPlatform("google", "1", campaigns=["2", "3", "4"])
    world.incident(campaigns=[affected("google:1:2"), affected("google:1:3"), affected("google:1:4")])
    world.tick(alerts)
    assert states(alerts)["google:1:4"] == ("awaiting", "spend_share")
    assert [campaign for campaign, _ in google.writes] == ["google:1:2", "google:1:3"]


def test_an_approval_does_not_outlive_the_reason_for_it(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts()
    world.incident()
    world.tick(alerts)
    [action] = alerts.ledger.find()
    alerts.decisions.approve(action, by="Ann", via="key", now=world.clock.now)
    world.incident(verdict="tracking_broken")
    world.tick(alerts)
    assert states(alerts) == {"google:1:2": ("withdrawn", "verdict_not_allowed")}
    assert google.writes == []


def test_a_question_nobody_answers_expires_and_is_asked_again(world: World) -> None:
    alerts = world.alerts(approval_expires="10m")
    world.incident()
    world.tick(alerts)
    world.fresh()
    world.incident()
    world.tick(alerts, after_ms=10 * MINUTE_MS)
    world.incident()
    world.tick(alerts)
    assert sorted(str(action.state) for action in alerts.ledger.find()) == ["awaiting", "expired"]


def test_what_a_person_kept_paused_stays_paused(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    [action] = alerts.ledger.find()
    alerts.decisions.keep(action, by="Ann", now=world.clock.now)
    world.incident("closed", recovery=Recovery(recovered=True, text="back"))
    world.tick(alerts, after_ms=5 * HOUR_MS)
    assert google.statuses["google:1:2"] == "paused"
    alerts.decisions.undo(alerts.ledger.get(action.action_id), by="Ann", via="key", now=world.clock.now)
    world.tick(alerts)
    assert google.statuses["google:1:2"] == "enabled"


def test_a_lease_ends_by_itself_although_the_fault_goes_on(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, lease="1h", **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    world.tick(alerts, after_ms=HOUR_MS)
    assert google.writes == [("google:1:2", "paused"), ("google:1:2", "enabled")]
    world.fresh()
    world.traffic(c2=10, c3=10, c4=10, c5=10)
    world.incident()
    world.tick(alerts)
    newest = max(alerts.ledger.find(), key=lambda action: action.attempt)
    assert (newest.attempt, newest.state, newest.reason) == (2, ActionState.AWAITING, "cool_down")


def test_a_restart_in_the_middle_goes_on_where_it_was(world: World, google: FaultyPlatform) -> None:
    world.incident()
    first = world.alerts()
    world.tick(first)
    [action] = first.ledger.find()
    second = world.alerts()
    second.decisions.approve(action, by="Ann", via="cli", now=world.clock.now)
    world.tick(second)
    world.tick(world.alerts())
    assert google.writes == [("google:1:2", "paused")]
    assert verify(second.ledger) == []


def test_two_monitors_at_once_write_once(world: World, google: FaultyPlatform) -> None:
    one, other = world.alerts(accounts=SANDBOX, **AUTOMATIC), world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    # While the first is in the middle of its call, the second ticks.
    google.after_effect = lambda: other.tick(world.clock.now)
    world.tick(one)
    assert google.writes == [("google:1:2", "paused")]
    assert verify(one.ledger) == []


def test_without_the_store_nothing_is_decided_but_leases_still_end(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, lease="1h", **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    world.clock.advance(HOUR_MS)
    with pytest.raises(StoreError):
        world.alerts(store=NoStore(), accounts=SANDBOX, **AUTOMATIC).tick(world.clock.now)
    assert google.statuses["google:1:2"] == "enabled"


def test_the_ledger_reaches_the_store_as_decisions(world: World) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    world.tick(alerts)
    rows = world.store.rows("SELECT action_id, state, rule, by, payload FROM decision ORDER BY o")
    [action] = alerts.ledger.find()
    assert {row["action_id"] for row in rows} == {action.action_id}
    assert [row["state"] for row in rows] == ["approved", "approved", "acting", "acting", "paused"]
    assert len(rows) == len(alerts.ledger.entries())


def test_an_imported_incident_is_history_and_starts_nothing(world: World) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident(claimed=True)
    world.tick(alerts)
    assert alerts.ledger.find() == []
    assert RuleStates(world.control).load().keys() <= {("redirect_latency", "redirect")}


def test_undo_direct_ends_every_lease_without_the_monitor(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, mode="automatic", guards={"max_spend_share_per_hour": 1.0})
    world.incident(campaigns=[affected("google:1:2"), affected("google:1:3")])
    world.tick(alerts)
    [kept, _] = sorted(alerts.ledger.find(), key=lambda action: action.target)
    alerts.decisions.keep(kept, by="Ann", now=world.clock.now)

    given = {
        "config": AlertsConfig(),
        "accounts": SANDBOX,
        "open_account": lambda _: google,
        "by": "Bob",
        "clock": world.clock,
    }
    undone = end_all_leases(world.control, **given)
    assert [(each.target, each.ended) for each in undone] == [("google:1:2", False), ("google:1:3", True)]
    assert google.statuses == {"google:1:2": "paused", "google:1:3": "enabled"}
    [again] = end_all_leases(world.control, include_kept=True, **given)
    assert (again.target, again.state) == ("google:1:2", "returned")
    assert end_all_leases(world.control, **given) == []
    world.tick(alerts)
    assert google.statuses == {"google:1:2": "enabled", "google:1:3": "enabled"}, "a person's undo stands"
    assert verify(alerts.ledger) == []


def test_undo_direct_gives_up_in_time_and_says_so(world: World, google: FaultyPlatform) -> None:
    alerts = world.alerts(accounts=SANDBOX, **AUTOMATIC)
    world.incident()
    world.tick(alerts)
    google.before_write = [transient()] * 1000
    [undone] = end_all_leases(
        world.control,
        config=AlertsConfig(),
        accounts=SANDBOX,
        open_account=lambda _: google,
        by="Bob",
        clock=world.clock,
        sleep=lambda seconds: world.clock.advance(round(seconds * 1000)),
    )
    assert (undone.ended, undone.state, undone.detail) == (False, "returning", "503")


def test_a_slow_redirect_is_looked_into_and_nothing_is_paused(world: World) -> None:
    alerts = world.alerts()
    for _ in range(4):
        world.traffic(c2=120, duration_us=80_000)
        world.tick(alerts, after_ms=MINUTE_MS)
    firing = {rule for (rule, _), each in RuleStates(world.control).load().items() if each.firing}
    assert firing == {"redirect_latency"}
    assert alerts.ledger.find() == []
    for _ in range(2):
        world.traffic(c2=120)
        world.tick(alerts, after_ms=MINUTE_MS)
    assert [each for each in RuleStates(world.control).load().values() if each.firing] == []


def test_a_campaign_that_joins_the_incident_joins_the_open_question(world: World) -> None:
    alerts = world.alerts()
    world.incident()
    world.tick(alerts)
    world.incident(campaigns=[affected("google:1:2"), affected("google:1:3")])
    world.tick(alerts)
    first, second = alerts.ledger.find()
    assert first.request == second.request


def test_a_campaign_that_leaves_the_incident_is_not_asked_about_any_more(world: World) -> None:
    alerts = world.alerts()
    world.incident()
    world.tick(alerts)
    world.incident(campaigns=[affected("google:1:3")])
    world.tick(alerts)
    assert states(alerts)["google:1:2"] == ("withdrawn", "campaign_left")


def test_a_store_that_is_filled_again_withdraws_nothing(world: World) -> None:
    world.incident()
    world.tick(world.alerts())
    world.tick(world.alerts(store=EmptyStore()))
    assert states(world.alerts()) == {"google:1:2": ("awaiting", "approval_required")}
