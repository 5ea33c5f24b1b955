"""The watch over HTTP and from the command line: what was seen, a look now, accepting it, and who may see what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyAuthorization, KeyRing
from app.http import build_app
from core.destinations import AllowList
from core.journal.writer import JournalWriter
from core.store.client import Store
from core.visits.guard import Guard
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.watch.api import build_router
from redirect.watch.check import Observation
from redirect.watch.config import WatchConfig
from redirect.watch.prober import Prober
from redirect.watch.visit import Visitor

from .shop import Names, Shop

if TYPE_CHECKING:
    from ...conftest import FakeClock, Ship


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


class Api:
    def __init__(self, control: Engine, shop: Shop, clock: FakeClock, journal: JournalWriter, store: Any) -> None:
        self.shop = shop
        self.base = f"http://127.0.0.1:{shop.port}"
        allowed = [f"127.0.0.1:{shop.port}"]
        self.links = LinkStore(control, allowed_destinations=allowed, clock=clock)
        visitor = Visitor(Guard(AllowList(allowed), resolve=Names()), timeout_s=30, max_hops=3)

        async def look(url: str) -> Observation:
            return await visitor.look(url, click_id="0af7651916cd43dd8448eb211c80319c")

        config = WatchConfig(retry_s=0, host_pause_s=0, slow_s=60)
        prober = Prober(control, journal, look, config=config, allowed=AllowList(allowed), clock=clock)
        self._ring = KeyRing(control)
        router = build_router(self.links, prober, store, authorize=KeyAuthorization(self._ring), clock=clock)
        self._app = build_app([router], max_body_bytes=2**20)
        self._keys: dict[tuple[str, ...], str] = {}

    def link(self, slug: str, path: str = "/p", **fields: Any) -> None:
        self.links.add(LinkDefinition(slug=slug, destination=self.base + path, **fields), author="t")

    def call(self, method: str, path: str, *, clients: Sequence[str] = (), **params: Any) -> Any:
        name = "-".join(("eva", *clients))
        key = self._keys.setdefault(tuple(clients), "") or self._ring.add(
            name, scopes=("links",), clients=tuple(clients)
        )
        self._keys[tuple(clients)] = key
        with TestClient(
            self._app, headers={"Authorization": f"Bearer {key}"}, base_url="http://localhost/api/v1"
        ) as client:
            return client.request(method, path, params=params)


class Empty:
    """A store into which nothing was shipped yet: starting the engine for it would cost most of these tests their time."""

    def rows(self, _sql: str, _params: object = None) -> list[dict[str, object]]:
        return []


@pytest.fixture
def api(control: Engine, shop: Shop, clock: FakeClock, journal: JournalWriter) -> Api:
    return Api(control, shop, clock, journal, Empty())


def test_before_anybody_looked_a_destination_says_so(api: Api) -> None:
    api.link("spring")
    answer = api.call("GET", "/links/spring/checks")
    assert answer.status_code == 200
    [destination] = answer.json()["destinations"]
    assert (destination["url"], destination["state"], destination["checked_at"]) == (f"{api.base}/p", None, "")
    assert answer.json()["history"] == []


def test_a_look_now_says_what_it_found_and_accepting_ends_it(
    control: Engine, shop: Shop, clock: FakeClock, journal: JournalWriter, store: Store, ship: Ship
) -> None:
    api = Api(control, shop, clock, journal, store)
    api.link("spring")
    assert api.call("POST", "/links/spring/checks").json()["destinations"][0]["state"] == "ok"
    api.shop.redirect("/p", "/summer")
    clock.advance(60_000)
    [changed] = api.call("POST", "/links/spring/checks").json()["destinations"]
    assert (changed["state"], changed["hops"], changed["statuses"]) == ("changed", 1, [302, 200])
    assert [finding["finding"] for finding in changed["findings"]] == ["final_url_changed"]
    assert changed["baseline"]["final_url"] == f"{api.base}/p"
    clock.advance(60_000)
    [accepted] = api.call("POST", "/links/spring/checks/accept").json()["destinations"]
    assert (accepted["state"], accepted["findings"]) == ("ok", [])
    assert accepted["baseline"]["accepted_by"] == "eva"
    ship()
    history = api.call("GET", "/links/spring/checks", history=10).json()["history"]
    assert [(each["state"], each["accepted_by"]) for each in history] == [("ok", "eva"), ("changed", ""), ("ok", "")]
    assert history[0]["at"] == "2026-09-21T14:15:20.000Z"
    assert len(api.call("GET", "/links/spring/checks", history=1).json()["history"]) == 1


def test_what_does_not_work_cannot_be_accepted(api: Api) -> None:
    api.shop.answers["/p"] = (500, {}, b"")
    api.link("spring")
    assert api.call("POST", "/links/spring/checks/accept").json()["reason"] == "not_checked"
    api.call("POST", "/links/spring/checks")
    refused = api.call("POST", "/links/spring/checks/accept")
    assert (refused.status_code, refused.json()["reason"]) == (409, "failing")


def test_a_link_that_is_switched_off_leads_nowhere(api: Api) -> None:
    api.link("spring", disabled=True)
    assert api.call("POST", "/links/spring/checks").json()["destinations"] == []
    assert api.call("POST", "/links/spring/checks/accept").status_code == 409
    assert api.shop.visits == []


def test_a_key_sees_the_destinations_of_its_clients_only(api: Api) -> None:
    api.link("a", "/a", client="acme")
    api.link("b", "/b", client="bolt")
    api.link("c", "/a", client="bolt")
    assert api.call("GET", "/links/b/checks", clients=["acme"]).status_code == 404
    assert api.call("POST", "/links/b/checks/accept", clients=["acme"]).status_code == 404
    seen = api.call("GET", "/destinations", clients=["acme"]).json()["destinations"]
    assert [(each["url"], each["links"]) for each in seen] == [(f"{api.base}/a", [])]
    everything = api.call("GET", "/destinations").json()["destinations"]
    assert [(each["url"], each["links"]) for each in everything] == [
        (f"{api.base}/a", ["a", "c"]),
        (f"{api.base}/b", ["b"]),
    ]


def test_destinations_are_listed_by_state(api: Api) -> None:
    api.link("a", "/a")
    api.link("b", "/b")
    api.shop.answers["/b"] = (404, {}, b"")
    for slug in ("a", "b"):
        api.call("POST", f"/links/{slug}/checks")
    for state, urls in (("ok", ["/a"]), ("failing", ["/b"]), ("care", [])):
        found = api.call("GET", "/destinations", state=state).json()["destinations"]
        assert [each["url"].removeprefix(api.base) for each in found] == urls


@pytest.mark.parametrize(
    ("method", "path", "params", "status"),
    [
        ("GET", "/links/nowhere/checks", {}, 404),
        ("GET", "/links/spring/checks", {"history": 501}, 422),
        ("GET", "/links/spring/checks", {"history": -1}, 422),
        ("GET", "/destinations", {"state": "odd"}, 422),
    ],
)
def test_nonsense_is_refused(api: Api, method: str, path: str, params: dict[str, Any], status: int) -> None:
    api.link("spring")
    assert api.call(method, path, **params).status_code == status


def test_the_routes_want_the_scope_links(api: Api) -> None:
    caller: Callable[..., Any] = TestClient(api._app, base_url="http://localhost/api/v1").get
    assert caller("/destinations").status_code == 401
