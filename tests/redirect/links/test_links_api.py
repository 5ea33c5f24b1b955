"""The links API over HTTP, with keys that see all or some clients."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine

from app.auth import KeyAuthorization, KeyRing
from app.http import build_app
from redirect.links.api import build_router
from redirect.links.bodies import LinkBody, LinkChanges, LinkView
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

from .conftest import MAX_BODY, Keys

SPRING = {"slug": "spring", "destination": "https://shop.example/p"}


def test_a_link_is_created_shown_changed_and_disabled(api: TestClient) -> None:
    created = api.post("", json=SPRING | {"tags": ["sale"], "campaign": "meta:1:2"})
    assert created.status_code == 201
    link = created.json()
    assert created.headers["location"] == f"/api/v1/links/{link['link_id']}"
    assert (link["short_url"], link["platform"], link["version"]) == ("https://go.example/spring", "meta", 1)
    assert api.get("/spring").json() == api.get(f"/{link['link_id']}").json() == link
    changed = api.patch("/spring", json={"answer": "unavailable", "tags": []})
    assert (changed.json()["answer"], changed.json()["tags"], changed.json()["version"]) == ("unavailable", [], 2)
    assert api.delete("/spring").json()["disabled"] is True
    history = api.get("/spring/history").json()
    assert [(change["version"], change["author"]) for change in history["changes"]] == [
        (1, "eva"),
        (2, "eva"),
        (3, "eva"),
    ]


def test_a_link_of_a_domain_is_named_with_it(api: TestClient) -> None:
    api.post("", json=SPRING | {"domain": "Kurz.example"})
    assert api.get("/spring").status_code == 404
    assert api.get("/spring", params={"domain": "kurz.example"}).json()["short_url"] == "https://kurz.example/spring"


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
    answer = api.post("", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_taken_slug_is_a_409_and_a_wrong_key_a_401(api: TestClient) -> None:
    api.post("", json=SPRING)
    assert api.post("", json=SPRING).json()["reason"] == "link_exists"
    assert api.get("", headers={"Authorization": "Bearer none"}).status_code == 401


def test_links_are_listed_page_by_page(api: TestClient) -> None:
    for number in range(5):
        api.post("", json=SPRING | {"slug": f"s{number}", "tags": ["even"] if number % 2 == 0 else []})
    found, cursor = [], ""
    while cursor is not None:
        page = api.get("", params={"limit": 2, "cursor": cursor}).json()
        found += [link["slug"] for link in page["links"]]
        cursor = page["next"]
    assert found == ["s0", "s1", "s2", "s3", "s4"]
    assert [link["slug"] for link in api.get("", params={"tag": "even"}).json()["links"]] == [
        "s0",
        "s2",
        "s4",
    ]


def test_a_key_sees_the_links_of_its_clients_only(api: TestClient, keys: Keys) -> None:
    acme = keys.of("bob", "acme")
    api.post("", json=SPRING | {"slug": "other", "client": "other"})
    mine = api.post("", json=SPRING, headers=acme).json()
    assert mine["client"] == "acme", "a key of one client need not name it"
    assert [link["slug"] for link in api.get("", headers=acme).json()["links"]] == ["spring"]
    assert api.get("/other", headers=acme).status_code == 404
    assert api.patch("/other", json={"note": "x"}, headers=acme).status_code == 404
    assert api.delete("/other", headers=acme).status_code == 404
    assert api.get("/other/history", headers=acme).status_code == 404
    for answer in (
        api.post("", json=SPRING | {"slug": "x", "client": "other"}, headers=acme),
        api.patch("/spring", json={"client": "other"}, headers=acme),
        api.get("", params={"client": "other"}, headers=acme),
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
    link = api.post("", json=SPRING | {"platform": platform, "account": "77"}).json()
    assert link["tracking_template"] == template


def test_the_account_of_the_template_may_come_from_the_campaign(api: TestClient) -> None:
    assert "meta:5:{{" in api.post("", json=SPRING | {"campaign": "meta:5:6"}).json()["tracking_template"]
    assert api.post("", json=SPRING | {"slug": "x", "platform": "meta"}).json()["tracking_template"] == ""


def test_googles_links_track_in_parallel_unless_told_otherwise(api: TestClient) -> None:
    google = SPRING | {"platform": "google"}
    assert api.post("", json=google).json()["parallel_tracking"] is True
    assert api.post("", json=google | {"slug": "b", "parallel_tracking": False}).json()["parallel_tracking"] is False
    assert api.post("", json=SPRING | {"slug": "c", "platform": "meta"}).json()["parallel_tracking"] is False


def test_the_models_of_the_api_have_the_fields_of_a_definition() -> None:
    fields = set(LinkDefinition.__struct_fields__)
    assert set(LinkBody.model_fields) == fields
    assert set(LinkChanges.model_fields) == (fields - {"slug", "domain"}) | {"version"}
    own = {"link_id", "version", "updated_at", "short_url", "tracking_template"}
    assert set(LinkView.model_fields) == fields | own
    assert [name for name in fields if not LinkBody.model_fields[name].description] == []


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b'{"slug": "a\\u0000", "destination": "https://shop.example/"}', 422, "slug"),
        (b'{"slug": "a", "destination": "https://shop.example/\\u0000"}', 422, "destination_characters"),
        (b'{"slug": "a", "destination": "https://shop.example/", "note": "\\u0000"}', 422, "characters"),
        (b'{"slug": "a", "destination": "https://shop.example/", "tags": ["x\\u0085y"]}', 422, "characters"),
        (b'{"slug": "a", "destination": "https://shop.example/", "note": "\\ud800"}', 422, "invalid_request"),
        (b'{"slug": "a", "destination": "https://shop.example/", "\\ud800": 1}', 422, "invalid_request"),
        (
            b'{"slug": "a", "destination": "https://shop.example/", "max_clicks": 1000000000000000000000}',
            422,
            "invalid_request",
        ),
        (
            b'{"slug": "a", "destination": "https://shop.example/", "client": "' + b"c" * 65 + b'"}',
            422,
            "invalid_request",
        ),
        (b'{"max_clicks": ' + b"9" * 5000 + b"}", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (b"", 422, "invalid_request"),
    ],
)
def test_what_no_database_can_keep_is_refused_by_a_word(api: TestClient, body: bytes, status: int, reason: str) -> None:
    answer = api.post("", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("").json()["links"] == []


@pytest.mark.parametrize("name", ["%00", "%ff", "a%0ab", "~", "~none", "x" * 300, "%2e%2e", "ä"])
def test_a_name_that_no_link_can_have_is_unknown(api: TestClient, name: str) -> None:
    assert api.get(f"/{name}/history").status_code == 404
    assert api.get("/spring/history", params={"domain": "a\x00"}).json()["reason"] == "unknown_link"


def test_a_locked_control_database_is_said_and_changes_nothing(control: Engine, keys: Keys) -> None:
    impatient = create_engine(control.url, connect_args={"timeout": 0.05})
    store = LinkStore(impatient, allowed_destinations=["shop.example"])
    api = TestClient(
        build_app([build_router(store, authorize=KeyAuthorization(KeyRing(control)))], max_body_bytes=MAX_BODY)
    )
    headers = keys.of("eva")
    blocker = control.raw_connection()
    blocker.cursor().execute("BEGIN IMMEDIATE")
    answer = api.post("/api/v1/links", json=SPRING, headers=headers)
    blocker.rollback()
    assert (answer.status_code, answer.json()["reason"]) == (503, "control_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert api.post("/api/v1/links", json=SPRING, headers=headers).status_code == 201
    impatient.dispose()
