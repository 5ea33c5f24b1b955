"""`GET /api/v1/links/{name}/explain` and `clicktrace links explain`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import Result

from .test_links_api import api
from .test_links_command import links, monitor

__all__ = ["api", "links", "monitor"]

ROUTED: dict[str, Any] = {
    "slug": "spring",
    "destination": "https://shop.example/p",
    "rules": [
        {"name": "ios", "when": {"os": ["ios"], "country": ["AT"]}, "destination": "https://shop.example/ios"},
        {"name": "vip", "when": {"query": {"vip": "1"}}, "destination": "https://shop.example/vip"},
    ],
}


def test_the_api_explains_a_hit(api: TestClient) -> None:
    assert api.post("/api/v1/links", json=ROUTED).status_code == 201
    answer = api.get("/api/v1/links/spring/explain", params={"os": "ios", "country": "AT", "query": "a=1"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["location"] == "https://shop.example/ios?a=1&ct_click=<click-id>"
    assert [step["result"] for step in found["steps"]] == ["holds", "not_tried", "rule_destination"]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [({"at": "tomorrow"}, 422), ({"device": "phone"}, 422), ({"visitor": "xyz"}, 422), ({"at": "2026-11-20T10:00:00Z"}, 200)],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(api: TestClient, parameters: dict[str, str], status: int) -> None:
    api.post("/api/v1/links", json=ROUTED)
    assert api.get("/api/v1/links/spring/explain", params=parameters).status_code == status


def test_an_unknown_link_is_not_found(api: TestClient) -> None:
    assert api.get("/api/v1/links/none/explain").status_code == 404


def test_the_command_explains_a_hit_in_words_and_as_json(links: Callable[..., Result]) -> None:
    links("add", "spring", "https://shop.example/p")
    shown = links("explain", "spring", "--query", "a=1", "--query", "gclid=x", "--at", "2026-11-20T10:00:00Z")
    assert shown.exit_code == 0
    assert "302 -> https://shop.example/p?a=1&gclid=x&ct_click=" in shown.output.replace("\n", "")
    found = json.loads(links("explain", "spring", "--json").output)
    assert (found["outcome"], found["trace"]) == ("redirected", [])
