"""The built-in notifiers against a real receiver, and their errors in the words of core.errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from alerts.notify.alertmanager import AlertmanagerNotifier
from alerts.notify.apprise import AppriseNotifier
from alerts.notify.base import Notification
from alerts.notify.webhook import WebhookNotifier
from app.ports import free_port
from core.errors import Permanent, QuotaExceeded, Transient
from tests.alerts.receiver import Receiver
from tests.alerts.world import World, affected

NOW = 1_790_000_000_000


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def notification(**changes: Any) -> Notification:
    fields: dict[str, Any] = {
        "labels": {"alertname": "ConversionIncident", "team": "ads", "scope": "abc"},
        "annotations": {"summary": "Mobile checkout is failing", "description": "Almost nobody can order."},
        "starts_at": NOW,
        "ends_at": NOW + 180_000,
        "resolved": False,
        "generator_url": "https://clicktrace.example/incidents/i",
    }
    return Notification(**{**fields, **changes})


def test_the_webhook_has_the_form_of_alertmanagers_own(receiver: Receiver) -> None:
    other = notification(labels={"alertname": "PauseApprovalNeeded", "team": "ads", "scope": "abc"})
    WebhookNotifier(receiver.url, console_url="https://clicktrace.example").send([notification(), other])
    [body] = receiver.bodies
    assert body.keys() == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["status"], body["groupLabels"]) == ("4", "firing", {"scope": "abc"})
    assert body["commonLabels"] == {"team": "ads", "scope": "abc"}
    first = body["alerts"][0]
    assert first.keys() == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"
    }  # fmt: skip
    assert first["endsAt"] == "0001-01-01T00:00:00Z"


def test_other_scopes_are_other_messages_and_resolved_ones_say_so(receiver: Receiver) -> None:
    other = notification(labels={"alertname": "ConversionIncident", "team": "ads", "scope": "xyz"}, resolved=True)
    WebhookNotifier(receiver.url).send([notification(), other])
    assert [body["status"] for body in receiver.bodies] == ["firing", "resolved"]


def test_a_passing_error_is_tried_again(receiver: Receiver) -> None:
    receiver.statuses = [503, 502]
    WebhookNotifier(receiver.url).send([notification()])
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize(
    ("statuses", "error"),
    [([500] * 3, Transient), ([429] * 3, QuotaExceeded), ([400], Permanent), ([401], Permanent), ([302], Permanent)],
)
def test_a_status_is_translated_once(receiver: Receiver, statuses: list[int], error: type[Exception]) -> None:
    receiver.statuses = statuses
    with pytest.raises(error):
        AlertmanagerNotifier(receiver.url).send([notification()])
    assert receiver.statuses == [], "what cannot pass is not tried again, what can is tried three times"


def test_nobody_there_is_transient_and_a_wrong_address_permanent() -> None:
    with pytest.raises(Transient):
        WebhookNotifier(f"http://127.0.0.1:{free_port()}/").send([notification()])
    with pytest.raises(Permanent):
        WebhookNotifier("ftp://example/").send([notification()])


def test_apprise_delivers_the_text_people_read(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "json://")
    AppriseNotifier([url]).send([notification(), notification(resolved=True)])
    first, second = receiver.bodies
    assert (first["title"], first["message"]) == ("Mobile checkout is failing", "Almost nobody can order.")
    assert second["title"] == "Resolved: Mobile checkout is failing"


def test_apprise_says_when_a_message_was_not_taken(receiver: Receiver) -> None:
    receiver.statuses = [500]
    with pytest.raises(Transient, match="1 of 1"):
        AppriseNotifier([receiver.url.replace("http://", "json://")]).send([notification()])
    with pytest.raises(Permanent, match=r"apprise_urls\.0"):
        AppriseNotifier(["nonsense"])


def test_the_built_in_notifier_tells_once_then_of_changes_then_of_the_end(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    world.incident(campaigns=[affected(), affected("microsoft:5:6")])
    for _ in range(3):
        world.tick(alerts, after_ms=60_000)
        world.fresh()
    [body] = receiver.bodies
    names = [alert["labels"]["alertname"] for alert in body["alerts"]]
    assert sorted(names) == ["ConversionIncident", "PauseApprovalNeeded", "PauseByHand"]

    world.incident("closed")
    world.tick(alerts)
    world.tick(alerts)
    assert sorted(
        a["labels"]["alertname"] for b in receiver.bodies[1:] for a in b["alerts"] if a["status"] == "resolved"
    ) == sorted(names)


def test_a_long_alert_is_told_again_after_the_repeat_interval(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url, repeat="10m")
    world.incident(campaigns=[])
    world.tick(alerts)
    world.tick(alerts, after_ms=9 * 60_000)
    assert len(receiver.bodies) == 1
    world.tick(alerts, after_ms=60_000)
    assert len(receiver.bodies) == 2
