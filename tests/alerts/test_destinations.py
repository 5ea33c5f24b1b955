"""What the watch found becomes alerts: one a host, told once, ended when the page is back, accepted or no longer led to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from alerts.destinations import HostView, Page, description, host_of, is_destination, subject_of, summary
from alerts.rule_states import RuleStates
from core.clock import HOUR_MS
from core.records import Check
from tests.alerts.receiver import Receiver
from tests.alerts.world import PUBLIC_URL, World

State = Literal["ok", "care", "changed", "failing", "unused"]
HELD_MS = HOUR_MS


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def check(
    world: World, path: str = "/p", state: State = "failing", *, host: str = "shop.example", **fields: Any
) -> None:
    findings = {"failing": ["http_error"], "changed": ["final_url_changed"], "care": ["slow"]}.get(state, [])
    world.journal.append(
        Check(
            ts=world.clock.now,
            url=f"https://{host}{path}",
            host=host,
            state=state,
            holds_until=world.clock.now + HELD_MS,
            **{
                "source": "watch",
                "findings": findings,
                "details": ["The page answers 404."] if findings else [],
                "links": ["spring"],
                "campaigns": ["google:1:2"],
                **fields,
            },
        )
    )


def firing(world: World) -> set[tuple[str, str]]:
    return {key for key, each in RuleStates(world.control).load().items() if each.firing}


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [
        (each["labels"]["alertname"], each["status"], each["annotations"]["summary"])
        for call in receiver.bodies
        for each in call["alerts"]
    ]


def test_a_page_that_fails_is_told_once_and_its_end_too(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    check(world)
    check(world, "/q", "ok")
    for _ in range(3):
        world.tick(alerts)
    assert told(receiver) == [("DestinationFailing", "firing", "shop.example: 1 of 2 pages not working")]
    assert firing(world) == {("destination_failing", "@shop.example")}
    assert alerts.ledger.find() == [], "nothing is paused for this"
    check(world, state="ok")
    world.tick(alerts)
    world.tick(alerts)
    assert told(receiver)[1:] == [("DestinationFailing", "resolved", "shop.example: every page is as expected")]
    assert firing(world) == set()


def test_a_synthetic_check_of_a_watched_page_is_about_the_same_page(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    check(world, state="ok")
    check(world, "/p", "failing", source="checks:shop", findings=["form_missing"], details=["No form."], links=[])
    world.tick(alerts)
    assert told(receiver) == [("DestinationFailing", "firing", "shop.example: 1 of 1 pages not working")]
    notes = receiver.bodies[0]["alerts"][0]["annotations"]
    assert "https://shop.example/p: No form." in notes["description"]
    assert "Links: spring." in notes["description"], "which the watch knows"
    check(world, state="ok")
    world.tick(alerts)
    assert firing(world) == {("destination_failing", "@shop.example")}, "the watch does not look for the form"
    check(world, "/p", "ok", source="checks:shop")
    world.tick(alerts)
    world.tick(alerts)
    assert firing(world) == set()


def test_the_message_names_the_page_the_links_the_money_and_what_to_do(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    check(world, state="changed", details=["It now ends at https://parked.example/, before at https://shop.example/p."])
    world.tick(alerts)
    [alert] = receiver.bodies[0]["alerts"]
    notes = alert["annotations"]
    assert "https://shop.example/p: It now ends at https://parked.example/" in notes["description"]
    assert "Links: spring. Campaigns: google:1:2." in notes["description"]
    # Ten clicks at $0.50 in the last quarter of an hour.
    assert "spend about 20.00 an hour" in notes["description"]
    assert "clicktrace links check SLUG --accept" in notes["description"]
    assert notes["dollars_per_hour"] == "20.00"
    assert notes["runbook_url"] == f"{PUBLIC_URL}/runbooks/DestinationChanged"
    assert alert["labels"].keys() >= {"alertname", "team", "scope"}


def test_many_pages_of_one_host_are_one_alert_and_another_page_is_news(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    for number in range(8):
        check(world, f"/{number}")
    check(world, host="other.example", clients=["acme"])
    world.tick(alerts)
    assert sorted(told(receiver)) == [
        ("DestinationFailing", "firing", "other.example: 1 of 1 pages not working"),
        ("DestinationFailing", "firing", "shop.example: 8 of 8 pages not working"),
    ]
    named = [each["labels"].get("client", "") for body in receiver.bodies for each in body["alerts"]]
    assert sorted(named) == ["", "acme"]
    check(world, "/9")
    world.tick(alerts)
    assert told(receiver)[2:] == [("DestinationFailing", "firing", "shop.example: 9 of 9 pages not working")]


@pytest.mark.parametrize("end", ["unused", "silence"])
def test_what_no_link_leads_to_any_more_is_over(world: World, receiver: Receiver, end: str) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    check(world)
    world.tick(alerts)
    if end == "unused":
        check(world, state="unused")
    world.tick(alerts, after_ms=10_000 if end == "unused" else HELD_MS + 1_000)
    assert [status for _, status, _ in told(receiver)][-1] == "resolved"
    assert firing(world) == set()


def test_imported_checks_are_history_and_no_news(world: World, receiver: Receiver) -> None:
    alerts = world.alerts(webhook_url=receiver.url)
    world.journal.append(
        Check(
            ts=world.clock.now, source="watch", url="https://a.example/", host="a.example", state="failing",
            holds_until=world.clock.now + HELD_MS, findings=["http_error"],
        ),
        known_at=world.clock.now,
    )  # fmt: skip
    world.tick(alerts)
    assert receiver.bodies == []


def test_a_restart_tells_nothing_twice(world: World, receiver: Receiver) -> None:
    check(world)
    world.tick(world.alerts(webhook_url=receiver.url))
    world.tick(world.alerts(webhook_url=receiver.url))
    assert len(told(receiver)) == 1


def test_hosts_and_incidents_are_never_taken_for_each_other() -> None:
    assert host_of(subject_of("shop.example:8443")) == "shop.example:8443"
    assert is_destination(subject_of("abc"))
    assert not is_destination("0192" * 8)
    assert not is_destination("redirect")
    assert len(subject_of("a" * 300)) == 255


def test_a_long_list_is_cut_and_says_so() -> None:
    pages = tuple(
        Page(url=f"https://shop.example/{n}", state="failing", details=["404."], links=["l"] * 9) for n in range(9)
    )
    text = description(HostView(host="shop.example", pages=pages), spend_micros_per_hour={})
    assert "And 4 more" in text
    assert "l and 4 more." in text
    assert "--accept" not in text, "what does not work cannot be accepted"


def test_the_summary_counts_by_kind_the_worst_first() -> None:
    states = ("care", "failing", "changed", "ok", "failing")
    pages = tuple(Page(url=f"https://shop.example/{n}", state=state) for n, state in enumerate(states))
    view = HostView(host="shop.example", pages=pages)
    assert summary(view) == "shop.example: 2 of 5 pages not working, 1 changed, 1 in need of care"
    assert [page.state for page in view.concerned] == ["failing", "failing", "changed", "care"]
