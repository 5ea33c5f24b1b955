"""Approval through a real HTTP server: the link's page, mail scanners, keys and their scopes."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine

from alerts.actions.base import Action
from alerts.api import Desk, build_approval_router, build_router
from alerts.approval import ApprovalLinks, Decisions
from alerts.ledger import Ledger
from alerts.message import action_sentence, pause_cost
from alerts.state import ActionState
from app.auth import KeyAuthorization, KeyRing
from app.http import build_app
from app.ports import free_port
from core.clock import HOUR_MS
from tests.alerts.receiver import wait_for
from tests.alerts.test_stages import action
from tests.alerts.world import PUBLIC_URL, Clock, FaultyPlatform, World, affected, incident_payload


class Site:
    """The alerts' routes on a loopback port."""

    def __init__(self, control: Engine, clock: Clock) -> None:
        self.ledger, self.clock, self.woken = Ledger(control), clock, 0
        self.links = ApprovalLinks(control, public_url=PUBLIC_URL)
        self.keys = KeyRing(control)
        desk = Desk(
            self.ledger, Decisions(self.ledger), self.links, public_url=PUBLIC_URL, clock=clock, on_change=self._wake
        )
        authorize = KeyAuthorization(self.keys)
        app = build_app([build_router(desk, authorize=authorize), build_approval_router(desk)], max_body_bytes=100_000)
        self.server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="warning", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.config.port}", timeout=10)

    def _wake(self) -> None:
        self.woken += 1

    def key(self, name: str, *scopes: str, clients: tuple[str, ...] = ()) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys.add(name, scopes=scopes, clients=clients)}"}

    @property
    def path(self) -> str:
        [action, *_] = self.ledger.find()
        return f"/approve/{self.links.token(action.request, expires_at=action.expires_at)}"

    def states(self) -> dict[str, str]:
        return {action.target: str(action.state) for action in self.ledger.find()}

    def ids(self) -> list[str]:
        return [action.action_id for action in self.ledger.find()]

    def close(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(10)


def question(clock: Clock, number: int, **changes: Any) -> Action:
    """A question about one campaign, as the guards leave it."""
    payload = incident_payload(now=clock.now)
    campaign = affected(f"google:1:{number}")
    fields: dict[str, Any] = {
        "action_id": str(number) * 32,
        "target": campaign.campaign,
        "name": campaign.name,
        "request": "0123456789abcdef",
        "proposed_at": clock.now,
        "expires_at": clock.now + 4 * HOUR_MS,
        "reason": "approval_required",
        "sentence": action_sentence(campaign, payload),
        "pause_cost": pause_cost(campaign, payload),
    }
    return action(**{**fields, **changes})


@pytest.fixture
def empty_site(control: Engine, clock: Clock) -> Iterator[Site]:
    made = Site(control, clock)
    yield made
    made.close()


@pytest.fixture
def site(empty_site: Site, clock: Clock) -> Site:
    """One request about two campaigns of two clients."""
    for asked in (question(clock, 2, client="acme"), question(clock, 3, client="bolt")):
        empty_site.ledger.propose(asked, step="asked", payload={}, now=clock.now)
    return empty_site


WAITING = {"google:1:2": "awaiting", "google:1:3": "awaiting"}


class Forms(HTMLParser):
    """The fields a browser would send, and every address it would fetch by itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden: list[tuple[str, str]] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "input" and values.get("type") == "hidden":
            self.hidden.append((values["name"], values["value"]))
        if tag in ("img", "script", "iframe") or (tag == "link" and "href" in values):
            self.fetched.append(tag)


def answer(site: Site, page: str, *, decision: str, name: str = "Ann Lee") -> httpx.Response:
    fields = [*Forms(page).hidden, ("decision", decision), ("name", name)]
    body = str(httpx.QueryParams(fields))
    return site.client.post(site.path, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})


def test_the_page_says_what_is_wrong_what_it_costs_and_asks(site: Site) -> None:
    page = site.client.get(site.path)
    assert page.status_code == 200
    text = re.sub(r"<[^>]+>", " ", page.text)
    assert "Pause 2 campaigns?" in text
    assert "converts at 0.40% instead of 2.00% and wastes about $45.00 an hour" in text
    assert "All of its clicks are affected, so pausing stops nothing that still works." in text
    assert Forms(page.text).fetched == []
    assert 'name="viewport"' in page.text


def test_the_page_allows_no_scripts_and_leaks_no_link(site: Site) -> None:
    headers = site.client.get(site.path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")


def test_a_scanner_that_follows_the_link_changes_nothing(site: Site) -> None:
    for method in ("GET", "HEAD", "GET", "OPTIONS", "PUT", "DELETE"):
        site.client.request(method, site.path)
    site.client.get(site.path, params={"decision": "approve", "name": "Bot"})
    assert site.states() == WAITING
    assert site.client.head(site.path).status_code == 200
    assert site.woken == 0


def test_only_the_post_acts_and_only_once(site: Site) -> None:
    page = site.client.get(site.path).text
    first = answer(site, page, decision="approve")
    assert first.status_code == 200
    assert "approved, about to be paused (decided by Ann Lee)" in first.text
    assert set(site.states().values()) == {"approved"}
    assert site.woken == 2
    again = answer(site, page, decision="reject", name="Mallory")
    assert again.status_code == 409
    assert set(site.states().values()) == {"approved"}
    assert {action.decided_by for action in site.ledger.find()} == {"Ann Lee"}


def test_leave_running_ends_it(site: Site) -> None:
    answer(site, site.client.get(site.path).text, decision="reject")
    assert set(site.states().values()) == {"rejected"}


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x00b"])
def test_a_decision_needs_a_name(site: Site, name: str) -> None:
    refused = answer(site, site.client.get(site.path).text, decision="approve", name=name)
    assert refused.status_code == 422
    assert "the ledger keeps who decided" in refused.text
    assert site.states() == WAITING


def test_only_what_the_page_showed_is_decided(site: Site) -> None:
    page = site.client.get(site.path).text
    kept, dropped = Forms(page).hidden
    answer(site, page.replace(dropped[1], "f" * 32), decision="approve")
    by_id = {action.action_id: action.state for action in site.ledger.find()}
    assert (by_id[kept[1]], by_id[dropped[1]]) == (ActionState.APPROVED, ActionState.AWAITING)


def test_an_unknown_button_changes_nothing(site: Site) -> None:
    assert answer(site, site.client.get(site.path).text, decision="delete").status_code == 422
    assert site.states() == WAITING


def test_an_altered_or_foreign_link_is_unknown(site: Site) -> None:
    token = site.path.rpartition("/")[2]
    request, expires, signature = token.split("-")
    later = f"{int(expires, 16) + 3600:x}"
    for forged in (f"{request}-{later}-{signature}", f"{'0' * 16}-{expires}-{signature}", "x", f"{token}0", "%00", "é"):
        assert site.client.get(f"/approve/{forged}").status_code == 404
        assert site.client.post(f"/approve/{forged}", content="decision=approve&name=M").status_code == 404
    assert site.states() == WAITING


def test_an_expired_link_shows_why_and_does_nothing(site: Site) -> None:
    page = site.client.get(site.path).text
    path = site.path
    site.clock.advance(4 * 3_600_000)
    assert site.client.get(path).status_code == 403
    fields = [*Forms(page).hidden, ("decision", "approve"), ("name", "Ann")]
    assert site.client.post(path, content=str(httpx.QueryParams(fields))).status_code == 403
    assert site.states() == WAITING


def test_a_huge_form_is_refused(site: Site) -> None:
    assert site.client.post(site.path, content="a" * 20_000).status_code == 413


def test_a_campaign_name_cannot_smuggle_markup(empty_site: Site, clock: Clock) -> None:
    hostile = question(clock, 4, name="<script>alert(1)</script>")
    empty_site.ledger.propose(hostile, step="asked", payload={}, now=clock.now)
    page = empty_site.client.get(empty_site.path).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_key_decides_by_the_api_under_its_name(site: Site) -> None:
    headers = site.key("ann", "read", "approve")
    [first, _] = site.ids()
    answered = site.client.post(f"/api/v1/actions/{first}/approve", headers=headers)
    assert answered.status_code == 200
    body = answered.json()
    assert (body["state"], body["decided_by"], body["approvals"][0]["via"]) == ("approved", "ann", "key")
    assert [entry["step"] for entry in body["ledger"]] == ["proposed", "asked", "approved"]
    assert site.client.post(f"/api/v1/actions/{first}/approve", headers=headers).json()["reason"] == "already_approved"


def test_from_the_link_to_the_pause_and_back(world: World, google: FaultyPlatform, control: Engine) -> None:
    alerts = world.alerts()
    world.incident()
    world.tick(alerts)
    site = Site(control, world.clock)
    try:
        headers = site.key("ann", "read", "approve")
        [action_id] = site.ids()
        site.client.put("/api/v1/actions/switches/stop_pauses", json={"on": True}, headers=headers)
        answer(site, site.client.get(site.path).text, decision="approve")
        world.tick(alerts)
        assert google.writes == []
        shown = site.client.get(f"/api/v1/actions/{action_id}", headers=headers).json()
        assert (shown["state"], shown["waits_for"]) == ("approved", "pauses_stopped")
        site.client.put("/api/v1/actions/switches/stop_pauses", json={"on": False}, headers=headers)
        world.tick(alerts)
        undone = site.client.post(f"/api/v1/actions/{action_id}/undo", headers=headers).json()
        assert undone["lease"]["target"] == "google:1:2"
        world.tick(alerts)
        assert google.writes == [("google:1:2", "paused"), ("google:1:2", "enabled")]
    finally:
        site.close()


@pytest.mark.parametrize(
    ("scopes", "status"), [(("read",), 403), (("links", "ingest"), 403), (("approve",), 200), (("admin",), 200)]
)
def test_deciding_needs_the_scope(site: Site, scopes: tuple[str, ...], status: int) -> None:
    headers = site.key("somebody", *scopes)
    assert site.client.post(f"/api/v1/actions/{site.ids()[0]}/reject", headers=headers).status_code == status


def test_without_a_key_nothing_is_shown(site: Site) -> None:
    assert site.client.get("/api/v1/actions").status_code == 401
    assert site.client.post(f"/api/v1/actions/{site.ids()[0]}/approve").status_code == 401
    assert site.states() == WAITING


def test_a_key_sees_and_decides_its_clients_actions_only(site: Site) -> None:
    headers = site.key("acme-buyer", "read", "approve", clients=("acme",))
    shown = site.client.get("/api/v1/actions", headers=headers).json()["actions"]
    assert [action["target"] for action in shown] == ["google:1:2"]
    [foreign] = [action.action_id for action in site.ledger.find() if action.client == "bolt"]
    assert site.client.post(f"/api/v1/actions/{foreign}/approve", headers=headers).status_code == 404
    switched = site.client.put("/api/v1/actions/switches/stop_pauses", json={"on": True}, headers=headers)
    assert switched.json()["reason"] == "all_clients_only"


def test_the_list_pages_by_cursor(site: Site) -> None:
    headers = site.key("reader", "read")
    first = site.client.get("/api/v1/actions", params={"limit": 1}, headers=headers).json()
    second = site.client.get("/api/v1/actions", params={"limit": 1, "cursor": first["next"]}, headers=headers).json()
    assert [first["actions"][0]["action_id"], second["actions"][0]["action_id"]] == site.ids()
    assert second["next"] is None
    assert site.client.get("/api/v1/actions", params={"cursor": "x"}, headers=headers).status_code == 422


def test_there_are_two_switches(site: Site) -> None:
    headers = site.key("boss", "approve", "read")
    assert site.client.put("/api/v1/actions/switches/other", json={"on": True}, headers=headers).status_code == 404
    switched = site.client.put("/api/v1/actions/switches/stop_returns", json={"on": True}, headers=headers)
    assert switched.json() == {"on": ["stop_returns"]}
    assert site.client.get("/api/v1/actions/switches", headers=headers).json() == {"on": ["stop_returns"]}


def test_the_ledger_verifies_over_the_api(site: Site) -> None:
    assert site.client.get("/api/v1/actions/verify", headers=site.key("root", "admin")).json() == {
        "sound": True,
        "problems": [],
    }


def test_two_approvers_are_two_people_and_a_link_is_only_one_of_them(empty_site: Site, clock: Clock) -> None:
    site = empty_site
    site.ledger.propose(question(clock, 2, needs=2), step="asked", payload={}, now=clock.now)
    page = site.client.get(site.path).text
    assert "Two people must agree" in page
    assert "Ann Lee agreed; one more is needed" in answer(site, page, decision="approve").text
    assert answer(site, page, decision="approve").status_code == 409
    answer(site, page, decision="approve", name="Ann under another name")
    assert set(site.states().values()) == {"awaiting"}
    headers = site.key("bob", "approve")
    answered = site.client.post(f"/api/v1/actions/{site.ids()[0]}/approve", headers=headers).json()
    assert answered["state"] == "approved"
    assert "bob" in answered["decided_by"]
