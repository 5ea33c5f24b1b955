"""From an incident in the store through a real Alertmanager to a webhook, and back to resolved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.pipeline import Alerts
from core.clock import now_ms, parse_rfc3339
from core.incidents import Recovery
from tests.alerts.receiver import Receiver, alertmanager, wait_for
from tests.alerts.world import INCIDENT_ID, PUBLIC_URL, World, affected


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def manager_url(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    with alertmanager(tmp_path, webhook_url=receiver.url) as url:
        yield url


def posted(url: str) -> dict[str, dict[str, Any]]:
    found = httpx.get(f"{url}/api/v2/alerts", timeout=5).json()
    return {alert["labels"]["alertname"]: alert for alert in found}


def tick(world: World, alerts: Alerts) -> None:
    """Alertmanager lives in real time, so the tick does too."""
    world.clock.now = now_ms()
    world.ship()
    alerts.tick(world.clock.now)


def test_an_incident_reaches_the_webhook_and_resolves(world: World, manager_url: str, receiver: Receiver) -> None:
    world.clock.now = now_ms()
    world.fresh()
    alerts = world.alerts(alertmanager_url=manager_url)
    world.incident(campaigns=[affected(client="acme")])
    tick(world, alerts)

    wait_for(lambda: receiver.alerts("PauseApprovalNeeded", "firing"))
    wait_for(lambda: receiver.alerts("ConversionIncident", "firing"))
    [group] = {body["groupKey"] for body in receiver.bodies}
    assert "scope=" in group, "one incident scope is one message"
    incident = receiver.alerts("ConversionIncident", "firing")[0]
    assert incident["labels"].keys() == {"alertname", "team", "client", "scope"}
    notes = incident["annotations"]
    assert notes["dollars_per_hour"] == "90.00"
    assert notes["runbook_url"] == f"{PUBLIC_URL}/runbooks/ConversionIncident"
    assert notes["approve_url"].startswith(f"{PUBLIC_URL}/approve/")
    assert incident["generatorURL"] == f"{PUBLIC_URL}/incidents/{INCIDENT_ID}"

    [action] = alerts.ledger.find()
    alerts.decisions.reject(action, by="Ann", via="key", now=world.clock.now)
    world.incident("closed", recovery=Recovery(recovered=True, text="Orders are back."))
    tick(world, alerts)
    tick(world, alerts)
    wait_for(lambda: receiver.alerts("ConversionIncident", "resolved"))
    wait_for(lambda: receiver.alerts("PauseApprovalNeeded", "resolved"))


def test_an_alert_ends_by_itself_after_three_refreshes_and_keeps_its_identity(
    world: World, manager_url: str, receiver: Receiver
) -> None:
    alerts = world.alerts(alertmanager_url=manager_url, refresh="20s")
    world.clock.now = now_ms()
    world.incident()
    tick(world, alerts)
    first = posted(manager_url)["ConversionIncident"]
    assert 55_000 <= parse_rfc3339(first["endsAt"]) - world.clock.now <= 65_000

    world.incident(verdict="unknown", scope={"device": "mobile", "page": "shop.example/cart"})
    tick(world, alerts)
    alerts_now = posted(manager_url)
    assert alerts_now["ConversionIncident"]["fingerprint"] == first["fingerprint"], (
        "a verdict that changes is the same alert"
    )
    assert alerts_now["ConversionIncident"]["annotations"]["verdict"] == "unknown"


def test_a_restart_tells_nothing_twice(world: World, manager_url: str, receiver: Receiver) -> None:
    world.clock.now = now_ms()
    world.fresh()
    world.incident()
    tick(world, world.alerts(alertmanager_url=manager_url))
    wait_for(lambda: receiver.alerts("ConversionIncident", "firing"))
    before = len(receiver.bodies)
    tick(world, world.alerts(alertmanager_url=manager_url))
    assert [a["labels"]["alertname"] for b in receiver.bodies[before:] for a in b["alerts"]] == []
    assert len(posted(manager_url)) == 2


def test_without_an_answer_from_alertmanager_the_stand_in_says_so(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(alertmanager_url="http://127.0.0.1:9", webhook_url=receiver.url)
    world.incident()
    world.tick(alerts)
    [incident] = receiver.alerts("ConversionIncident", "firing")
    assert incident["annotations"]["delivery"] == "Sent directly, because Alertmanager does not answer."
    world.tick(alerts)
    assert len(receiver.alerts("ConversionIncident", "firing")) == 1
    world.incident("closed")
    world.tick(alerts)
    assert len(receiver.alerts("ConversionIncident", "resolved")) == 1
