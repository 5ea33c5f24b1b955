"""The links API over HTTP, with keys that see all or some clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import pytest
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app import problems
from core.errors import Unauthorized
from core.principal import Principal, Scope
from redirect.links.api import build_router
from redirect.links.bodies import LinkBody, LinkChanges, LinkView
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

PRINCIPALS = {
    "Bearer all": Principal(name="eva", scopes=frozenset(("links",))),
    "Bearer acme": Principal(name="bob", scopes=frozenset(("links",)), clients=frozenset(("acme",))),
}


def authorize(scope: Scope) -> Callable[..., Principal]:
    assert scope == "links"

    def check(authorization: Annotated[str, Header()] = "") -> Principal:
        if authorization not in PRINCIPALS:
            raise Unauthorized("unknown_key", "no such key")
        return PRINCIPALS[authorization]

    return check


@pytest.fixture
def api(control: Engine) -> TestClient:
    app = FastAPI()
    problems.install(app)
    links = LinkStore(control, allowed_destinations=["shop.example"], base_url="https://go.example")
    app.include_router(build_router(links, authorize=authorize))
    return TestClient(app, headers={"Authorization": "Bearer all"})


SPRING = {"slug": "spring", "destination": "https://shop.example/p"}


def test_a_link_is_created_shown_changed_and_disabled(api: TestClient) -> None:
    created = api.post("/api/v1/links", json=SPRING | {"tags": ["sale"], "campaign": "meta:1:2"})
    assert created.status_code == 201
    link = created.json()
    assert created.headers["location"] == f"/api/v1/links/{link['link_id']}"
    assert (link["short_url"], link["platform"], link["version"]) == ("https://go.example/spring", "meta", 1)
    assert api.get("/api/v1/links/spring").json() == api.get(f"/api/v1/links/{link['link_id']}").json() == link
    changed = api.patch("/api/v1/links/spring", json={"answer": "unavailable", "tags": []})
    assert (changed.json()["answer"], changed.json()["tags"], changed.json()["version"]) == ("unavailable", [], 2)
    assert api.delete("/api/v1/links/spring").json()["disabled"] is True
    history = api.get("/api/v1/links/spring/history").json()
    assert [(change["version"], change["author"]) for change in history["changes"]] == [
        (1, "eva"),
        (2, "eva"),
        (3, "eva"),
    ]


def test_a_link_of_a_domain_is_named_with_it(api: TestClient) -> None:
    api.post("/api/v1/links", json=SPRING | {"domain": "Kurz.example"})
    assert api.get("/api/v1/links/spring").status_code == 404
    assert (
        api.get("/api/v1/links/spring", params={"domain": "kurz.example"}).json()["short_url"]
        == "https://kurz.example/spring"
    )


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (SPRING | {"destination": "https://evil.example/"}, 422, "destination_not_allowed"),
        (SPRING | {"destination": "http://127.0.0.1/"}, 422, "destination_private"),
        (SPRING | {"slug": "a/b"}, 422, "slug"),
        (SPRING | {"unknown": 1}, 422, "invalid_request"),
        ({"slug": "spring"}, 422, "invalid_request"),
        (SPRING | {"answer": "maybe"}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
    ],
)
def test_a_bad_link_is_refused_with_a_reason(api: TestClient, body: object, status: int, reason: str) -> None:
    answer = api.post("/api/v1/links", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_taken_slug_is_a_409_and_a_wrong_key_a_401(api: TestClient) -> None:
    api.post("/api/v1/links", json=SPRING)
    assert api.post("/api/v1/links", json=SPRING).json()["reason"] == "link_exists"
    assert api.get("/api/v1/links", headers={"Authorization": "Bearer none"}).status_code == 401


def test_links_are_listed_page_by_page(api: TestClient) -> None:
    for number in range(5):
        api.post("/api/v1/links", json=SPRING | {"slug": f"s{number}", "tags": ["even"] if number % 2 == 0 else []})
    found, cursor = [], ""
    while cursor is not None:
        page = api.get("/api/v1/links", params={"limit": 2, "cursor": cursor}).json()
        found += [link["slug"] for link in page["links"]]
        cursor = page["next"]
    assert found == ["s0", "s1", "s2", "s3", "s4"]
    assert [link["slug"] for link in api.get("/api/v1/links", params={"tag": "even"}).json()["links"]] == [
        "s0",
        "s2",
        "s4",
    ]


def test_a_key_sees_the_links_of_its_clients_only(api: TestClient) -> None:
    acme = {"Authorization": "Bearer acme"}
    api.post("/api/v1/links", json=SPRING | {"slug": "other", "client": "other"})
    mine = api.post("/api/v1/links", json=SPRING, headers=acme).json()
    assert mine["client"] == "acme", "a key of one client need not name it"
    assert [link["slug"] for link in api.get("/api/v1/links", headers=acme).json()["links"]] == ["spring"]
    assert api.get("/api/v1/links/other", headers=acme).status_code == 404
    assert api.patch("/api/v1/links/other", json={"note": "x"}, headers=acme).status_code == 404
    assert api.delete("/api/v1/links/other", headers=acme).status_code == 404
    assert api.get("/api/v1/links/other/history", headers=acme).status_code == 404
    for answer in (
        api.post("/api/v1/links", json=SPRING | {"slug": "x", "client": "other"}, headers=acme),
        api.patch("/api/v1/links/spring", json={"client": "other"}, headers=acme),
        api.get("/api/v1/links", params={"client": "other"}, headers=acme),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (403, "client")


@pytest.mark.parametrize(
    ("platform", "template"),
    [
        (
            "google",
            "https://go.example/spring?ct_campaign=google:77:{campaignid}&ct_ad_group=google:77:{adgroupid}"
            "&ct_creative=google:77:{creative}&ct_keyword={keyword}&gclid={gclid}&ct_lpurl={lpurl}",
        ),
        (
            "meta",
            "https://go.example/spring?ct_campaign=meta:77:{{campaign.id}}&ct_ad_group=meta:77:{{adset.id}}&ct_creative=meta:77:{{ad.id}}",
        ),
        (
            "microsoft",
            "https://go.example/spring?ct_campaign=microsoft:77:{CampaignId}&ct_ad_group=microsoft:77:{AdGroupId}"
            "&ct_creative=microsoft:77:{AdId}&ct_keyword={keyword}&msclkid={msclkid}&ct_lpurl={lpurl}",
        ),
        (
            "tiktok",
            "https://go.example/spring?ct_campaign=tiktok:77:__CAMPAIGN_ID__&ct_ad_group=tiktok:77:__AID__"
            "&ct_creative=tiktok:77:__CID__&ttclid=__CLICKID__",
        ),
        ("linkedin", ""),
    ],
)  # fmt: skip
def test_the_tracking_template_carries_qualified_ids(api: TestClient, platform: str, template: str) -> None:
    link = api.post("/api/v1/links", json=SPRING | {"platform": platform, "account": "77"}).json()
    assert link["tracking_template"] == template


def test_the_account_of_the_template_may_come_from_the_campaign(api: TestClient) -> None:
    assert "meta:5:{{" in api.post("/api/v1/links", json=SPRING | {"campaign": "meta:5:6"}).json()["tracking_template"]
    assert api.post("/api/v1/links", json=SPRING | {"slug": "x", "platform": "meta"}).json()["tracking_template"] == ""


def test_googles_links_track_in_parallel_unless_told_otherwise(api: TestClient) -> None:
    google = SPRING | {"platform": "google"}
    assert api.post("/api/v1/links", json=google).json()["parallel_tracking"] is True
    assert (
        api.post("/api/v1/links", json=google | {"slug": "b", "parallel_tracking": False}).json()["parallel_tracking"]
        is False
    )
    assert (
        api.post("/api/v1/links", json=SPRING | {"slug": "c", "platform": "meta"}).json()["parallel_tracking"] is False
    )


def test_the_models_of_the_api_have_the_fields_of_a_definition() -> None:
    fields = set(LinkDefinition.__struct_fields__)
    assert set(LinkBody.model_fields) == fields
    assert set(LinkChanges.model_fields) == (fields - {"slug", "domain"}) | {"version"}
    own = {"link_id", "version", "updated_at", "short_url", "tracking_template"}
    assert set(LinkView.model_fields) == fields | own
    assert [name for name in fields if not LinkBody.model_fields[name].description] == []
