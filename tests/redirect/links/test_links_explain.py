"""`GET /api/v1/links/{name}/explain` and `clicktrace links explain`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import Result

from app.cli.links import _print_link

ROUTED: dict[str, Any] = {
    "slug": "spring",
    "destination": "https://shop.example/p",
    "rules": [
        {"name": "ios", "when": {"os": ["ios"], "country": ["AT"]}, "destination": "https://shop.example/ios"},
        {"name": "vip", "when": {"query": {"vip": "1"}}, "destination": "https://shop.example/vip"},
    ],
}


def test_the_api_explains_a_hit(api: TestClient) -> None:
    assert api.post("", json=ROUTED).status_code == 201
    answer = api.get("/spring/explain", params={"os": "ios", "country": "AT", "query": "a=1"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["location"] == "https://shop.example/ios?a=1&ct_click=<click-id>"
    assert [step["result"] for step in found["steps"]] == ["holds", "not_tried", "rule_destination"]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [({"at": "tomorrow"}, 422), ({"device": "phone"}, 422), ({"visitor": "xyz"}, 422), ({"at": "2026-11-20T10:00:00Z"}, 200)],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(api: TestClient, parameters: dict[str, str], status: int) -> None:
    api.post("", json=ROUTED)
    assert api.get("/spring/explain", params=parameters).status_code == status


def test_an_unknown_link_is_not_found(api: TestClient) -> None:
    assert api.get("/none/explain").status_code == 404


def test_the_command_explains_a_hit_in_words_and_as_json(command: Callable[..., Result]) -> None:
    command("add", "spring", "https://shop.example/p")
    shown = command("explain", "spring", "--query", "a=1", "--query", "gclid=x", "--at", "2026-11-20T10:00:00Z")
    assert shown.exit_code == 0
    assert "302 -> https://shop.example/p?a=1&gclid=x&ct_click=" in shown.output.replace("\n", "")
    found = json.loads(command("explain", "spring", "--json").output)
    assert (found["outcome"], found["trace"]) == ("redirected", [])


@pytest.mark.parametrize("platform", ["google", "meta", "microsoft", "tiktok"])
def test_a_template_carries_qualified_ids_and_is_https(command: Callable[..., Result], platform: str) -> None:
    made = command("add", "spring", "https://shop.example/p", "--platform", platform, "--account", "7", "--json")
    template = json.loads(made.output)["tracking_template"]
    assert template.startswith(f"https://go.example/spring?ct_campaign={platform}:7:")


def test_the_command_says_when_a_template_is_not_https(capsys: pytest.CaptureFixture[str]) -> None:
    link = dict.fromkeys(("short_url", "destination", "campaign", "ad_group", "creative", "client", "note"), "")
    link |= {
        "version": 1,
        "tags": [],
        "disabled": False,
        "answer": "redirect",
        "parallel_tracking": True,
        "platform": "google",
    }
    _print_link(
        link | {"tracking_template": "http://localhost:8081/spring?ct_campaign=google:7:{campaignid}"}, json=False
    )
    assert "redirect.public_url" in capsys.readouterr().out
