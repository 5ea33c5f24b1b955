"""The whole pipeline over a real store, control database and journal; only the ad platform is in memory."""

from __future__ import annotations

from alerts.state import ActionState
from core.incidents import Recovery
from core.vendors.config import AccountConfig
from tests.alerts.world import FaultyPlatform, World

SANDBOX = [AccountConfig(platform="google", account="1", sandbox=True)]
AUTOMATIC = {"mode": "automatic"}


def steps(world: World, action_id: str) -> list[str]:
    from alerts.ledger import Ledger

    return [entry.step for entry in Ledger(world.control).entries(action_id)]


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
