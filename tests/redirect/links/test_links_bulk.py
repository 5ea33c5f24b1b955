"""Up to 100 changes in one call."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from .conftest import Keys

SHOP = "https://shop.example/p"


def add(slug: str, **fields: Any) -> dict[str, Any]:
    return {"op": "add", "link": {"slug": slug, "destination": SHOP, **fields}}


def test_each_item_has_its_own_result(api: TestClient) -> None:
    api.post("", json={"slug": "old", "destination": SHOP})
    answer = api.post(
        "/bulk",
        json=[
            add("a", tags=["x"]),
            add("a"),
            add("b", destination="https://evil.example/"),
            {"op": "edit", "name": "a", "changes": {"note": "n", "version": 1}},
            {"op": "edit", "name": "a", "changes": {"note": "m", "version": 1}},
            {"op": "disable", "name": "old"},
            {"op": "disable", "name": "none"},
            {"op": "enable", "name": "old"},
            {"op": "undo", "name": "a"},
            {"op": "explode", "name": "a"},
            {"op": "edit", "name": "a", "changes": {"slug": "c"}},
            "nonsense",
        ],
    )
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [(r["status"], r.get("reason", ""), r.get("version", 0)) for r in results] == [
        (201, "", 1),
        (409, "link_exists", 0),
        (422, "destination_not_allowed", 0),
        (200, "", 2),
        (409, "changed_meanwhile", 0),
        (200, "", 2),
        (404, "unknown_link", 0),
        (200, "", 3),
        (200, "", 3),
        (422, "invalid_request", 0),
        (422, "invalid_request", 0),
        (422, "invalid_request", 0),
    ]
    assert [r["index"] for r in results] == list(range(12))
    assert "'add', 'edit'" in results[9]["detail"]
    assert api.get("/a").json()["note"] == "", "the edit was undone"


def test_a_hundred_links_are_added_at_once_and_one_more_is_refused(api: TestClient) -> None:
    items = [add(f"s{number}") for number in range(101)]
    refused = api.post("/bulk", json=items)
    assert (refused.status_code, refused.json()["reason"]) == (413, "too_many_items")
    assert "at most 100" in refused.json()["detail"]
    assert api.get("").json()["links"] == []
    assert {result["status"] for result in api.post("/bulk", json=items[:100]).json()["results"]} == {201}


@pytest.mark.parametrize("op", ["disable", "enable", "undo", "edit"])
def test_a_key_reaches_no_link_of_another_client(api: TestClient, keys: Keys, op: str) -> None:
    api.post("", json={"slug": "other", "destination": SHOP, "client": "other"})
    item: dict[str, Any] = {"op": op, "name": "other"} | ({"changes": {"note": "x"}} if op == "edit" else {})
    answer = api.post("/bulk", json=[item, add("x", client="other"), add("y")], headers=keys.of("bob", "acme")).json()
    assert [result["status"] for result in answer["results"]] == [404, 403, 201]
    assert api.get("/other").json()["version"] == 1
    assert api.get("/y").json()["client"] == "acme"
