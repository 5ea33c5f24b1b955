"""The reading routes as their users meet them: refusals by name, tenants, pages, campaigns, incidents."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.incidents import AffectedCampaign, Cost, IncidentPayload
from core.records import Incident
from tests.correlator.conftest import moment

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}


def tell_incident(
    world: Any, name: str, opened: str, *, state: str = "open", known: str = "", client: str = "acme"
) -> None:
    cost = Cost(
        currency="USD", exposed_micros=5_000_000, wasted_micros=2_500_000, exposed_per_hour_micros=1, wasted_per_hour_micros=1,
        wasted_per_hour_low_micros=0, wasted_per_hour_high_micros=2,
    )  # fmt: skip
    at = moment(opened)
    payload = IncidentPayload(
        incident_id=name, title="Conversions fell", sentence="…", verdict="site_failing", confidence=0.9, alternatives={}, direction="drop",
        hypothesis="arrival", scope={"device": "mobile"}, stream="all", onset=at, onset_low=at, onset_high=at, detected=at,
        complete_through=at, expected=1, observed=0, lost_share=1, lost_share_low=0.5, lost_share_high=1, clicks=10, baseline_rate=0.1,
        rate=0, rate_low=0, rate_high=0.05, cost=cost, campaigns=[AffectedCampaign(campaign="google:1:2", platform="google", client=client)],
    )  # fmt: skip
    record = Incident(
        ts=at, source="correlator", fact_id=name, incident_id=name, state=state, onset=at, opened=at, verdict="site_failing",
        scope={"device": "mobile"}, closed=moment(known) if state == "closed" else 0, payload=msgspec.to_builtins(payload),
    )  # fmt: skip
    world.tell(record, known=known or opened)


def test_as_of_is_refused_until_everything_journaled_by_then_is_shipped(world: Any) -> None:
    world.click("09:00")
    refusal = world.get("/roi", as_of="09:00", status=409, **DAY)
    assert (refusal["reason"], "as_of" in refusal["detail"]) == ("as_of_not_complete", True)
    world.settle("09:01")
    assert world.get("/roi", as_of="09:00", **DAY)["as_of"] == "2026-09-21T09:00:00.000Z"
    assert world.get("/roi", as_of="10:00", status=409, **DAY)["reason"] == "as_of_not_complete"


def test_as_of_waits_for_the_derived_tables_too(world: Any) -> None:
    world.settle("09:00")
    world.click("09:01")
    world.clock.now = moment("09:02")
    world.ship()
    assert world.get("/roi", as_of="09:01", status=409, **DAY)["reason"] == "as_of_not_complete"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"from": "yesterday"}, "bad_time"),
        ({"to": "2026-09-21T09:00:00"}, "bad_time"),
        ({"as_of": "noon"}, "bad_time"),
        ({"grain": "2h"}, "bad_grain"),
        ({"from": "2026-09-21T09:00:00Z", "to": "2026-09-21T09:00:00Z"}, "bad_period"),
        ({"from": "2020-01-01T00:00:00Z", "grain": "1m"}, "too_many_buckets"),
        ({"cursor": "%%%"}, "bad_cursor"),
        ({"limit": "0"}, "invalid_request"),
    ],
)
def test_a_wrong_question_is_refused_by_name(world: Any, query: dict[str, str], reason: str) -> None:
    answer = world.client.get("/api/v1/roi", params=query, headers={"Authorization": f"Bearer {world.key}"})
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["/campaigns", "/campaigns/google:1:2/timeline", f"/clicks/{'ab' * 16}", "/incidents", "/incidents/x", "/roi", "/attribution",
     "/reconciliation", "/freshness"],
)  # fmt: skip
def test_every_route_wants_a_key_with_the_scope_read(world: Any, path: str) -> None:
    assert world.client.get(f"/api/v1{path}").status_code == 401
    pusher = world.keys.add("pusher", scopes=["ingest"])
    assert world.get(path, key=pusher, status=403)["reason"] == "missing_scope"


def test_a_key_sees_its_clients_only(world: Any) -> None:
    world.campaign("08:00", campaign="google:1:2", client="acme", source="push")
    world.campaign("08:00", campaign="google:1:3", client="bolt", source="push")
    for campaign in ("google:1:2", "google:1:3"):
        click = world.click("09:00", campaign=campaign)
        world.conversion("09:01", click_id=click)
        world.spend("09:00", 10, known="11:00", campaign=campaign, clicks=1)
    world.conversion("09:05")
    tell_incident(world, "i-acme", "09:10")
    tell_incident(world, "i-bolt", "09:11", client="bolt")
    world.settle("12:00")
    acme = world.keys.add("acme", scopes=["read"], clients=["acme"])
    assert [row["campaign"] for row in world.get("/roi", key=acme, **DAY)["rows"]] == ["google:1:2"]
    assert {row["campaign"] for row in world.get("/attribution", key=acme, **DAY)["rows"]} == {"google:1:2"}
    assert [row["campaign"] for row in world.get("/campaigns", key=acme)["campaigns"]] == ["google:1:2"]
    assert [row["incident_id"] for row in world.get("/incidents", key=acme)["incidents"]] == ["i-acme"]
    (table,) = world.get("/reconciliation", key=acme, **DAY)["tables"]
    assert [leak["count"] for leak in table["leaks"]] == [1, 1, 1, 1]
    assert world.get("/incidents/i-bolt", key=acme, status=404)["reason"] == "unknown_incident"
    assert world.get("/campaigns/google:1:3/timeline", key=acme, status=404, **DAY)["reason"] == "unknown_campaign"
    assert world.get("/roi", key=acme, client="bolt", status=403, **DAY)["reason"] == "forbidden_client"
    assert {row["campaign"] for row in world.get("/roi", **DAY)["rows"]} == {"", "google:1:2", "google:1:3"}
    assert [row["campaign"] for row in world.get("/roi", client="bolt", **DAY)["rows"]] == ["google:1:3"]


def test_answers_come_in_pages(world: Any) -> None:
    for number in range(5):
        world.campaign("08:00", campaign=f"google:1:{number}", source="push")
    world.settle("09:00")
    seen: list[str] = []
    cursor = ""
    for size in (2, 2, 1):
        answer = world.get("/campaigns", limit="2", cursor=cursor)
        assert len(answer["campaigns"]) == size
        seen += [row["campaign"] for row in answer["campaigns"]]
        cursor = answer["next_cursor"] or ""
    assert (seen, cursor) == ([f"google:1:{number}" for number in range(5)], "")


def test_a_persons_break_even_and_the_platforms_status_both_stand(world: Any) -> None:
    world.campaign("08:00", name="Spring", status="enabled", currency="USD", daily_budget_micros=50_000_000)
    world.campaign(
        "08:30", name="my note", break_even_rate=0.02, margin_micros=25_000_000, client="acme", source="push"
    )
    world.campaign("09:00", name="Spring", status="paused", currency="USD", daily_budget_micros=60_000_000)
    world.spend("07:00", 30, known="09:00", clicks=60)
    world.settle("09:30")
    (found,) = world.get("/campaigns")["campaigns"]
    assert {name: found[name] for name in ("name", "status", "daily_budget", "break_even_rate", "margin", "client", "cost_per_click")} == {
        "name": "Spring", "status": "paused", "daily_budget": "60.00", "break_even_rate": 0.02, "margin": "25.00", "client": "acme",
        "cost_per_click": "0.50",
    }  # fmt: skip
    (before,) = world.get("/campaigns", as_of="08:10")["campaigns"]
    assert (before["status"], before["break_even_rate"], before["cost_per_click"]) == ("enabled", None, "0.00")


def test_break_even_follows_from_cost_per_click_and_margin(world: Any) -> None:
    world.campaign("08:00", margin_micros=25_000_000, cpc_micros=500_000, source="push")
    world.settle("09:00")
    assert world.get("/campaigns")["campaigns"][0]["break_even_rate"] == 0.02


def test_an_incident_is_told_in_its_newest_version_and_as_it_was(world: Any) -> None:
    tell_incident(world, "i-1", "09:10")
    tell_incident(world, "i-1", "09:10", state="closed", known="10:00")
    tell_incident(world, "i-2", "11:00")
    world.settle("12:00")
    found = world.get("/incidents")["incidents"]
    assert [(row["incident_id"], row["state"], row["closed"]) for row in found] == [
        ("i-2", "open", None), ("i-1", "closed", "2026-09-21T10:00:00.000Z"),
    ]  # fmt: skip
    assert [row["incident_id"] for row in world.get("/incidents", state="open")["incidents"]] == ["i-2"]
    assert world.get("/incidents/i-1", as_of="09:30")["state"] == "open"
    one = world.get("/incidents/i-1")
    assert one["cost"]["wasted"] == "2.50"
    assert msgspec.convert(one["payload"], IncidentPayload).campaigns[0].campaign == "google:1:2"
    assert world.get("/incidents/none", status=404)["reason"] == "unknown_incident"
    assert world.get("/incidents", campaign="google:1:9")["incidents"] == []
