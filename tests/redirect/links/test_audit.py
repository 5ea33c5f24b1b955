"""The audit: each risk is found where it is and nowhere else, by its word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import Result

from core.destinations import AllowList
from core.errors import StoreError
from redirect.links.audit import NEED_USE, RISKS, Settings, Use, audit
from redirect.links.audit_api import _use
from redirect.links.model import Link, LinkDefinition
from redirect.links.routing import Rule, Variant, When
from redirect.links.store import LinkStore

from .conftest import Keys

NOW = 1_790_000_000_000  # 2026-09-21
DAY = 86_400_000
SAFE = "https://shop.example/p"
ALLOWED = AllowList(
    [
        "shop.example", "*.wide.example", "127.0.0.1:9000", "eva.github.io", "bit.ly", "münchen.example", "go.example",
        "xn--hop-ehd.example",
    ],
    own=["go.example"],
)  # fmt: skip
SETTINGS = Settings(allowed=ALLOWED, base_url="https://go.example", domains=frozenset(("go.example", "kurz.example")))


def stored(slug: str = "spring", *, updated_at: int = NOW, **fields: Any) -> Link:
    definition = LinkDefinition(**{"slug": slug, "destination": SAFE, **fields})
    return Link(link_id=slug.ljust(32, "0"), version=1, definition=definition, updated_at=updated_at)


def risks(*links: Link, use: dict[str, Use] | None = None) -> list[tuple[str, str]]:
    return [(found.slug, found.risk) for found in audit(links, settings=SETTINGS, now=NOW, use=use)]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, []),
        ({"destination": "https://gone.example/"}, ["destination_not_allowed"]),
        ({"destination": "no URL"}, ["destination_not_allowed"]),
        ({"fallback": "https://gone.example/"}, ["destination_not_allowed"]),
        ({"variants": (Variant(name="a", destination="https://gone.example/"),)}, ["destination_not_allowed"]),
        ({"rules": (Rule(name="r", when=When(device=("mobile",)), destination="https://gone.example/"),)}, ["destination_not_allowed"]),
        ({"destination": "https://go.example/other"}, ["destination_loop"]),
        ({"destination": "http://127.0.0.1:9000/"}, ["destination_private"]),
        ({"destination": "http://127.0.0.1/"}, ["destination_not_allowed", "destination_private"]),
        ({"destination": "http://shop.example/"}, ["plain_http"]),
        ({"destination": "https://eva.github.io/x"}, ["shared_host"]),
        ({"destination": "https://bit.ly/x"}, ["another_redirect"]),
        ({"destination": "https://xn--hop-ehd.example/"}, ["mixed_scripts"]),
        ({"destination": "https://xn--mnchen-3ya.example/"}, []),
        ({"destination": "https://a.wide.example/"}, ["wildcard_destination"]),
        ({"destination": "https://shop.example/out?url=https%3A%2F%2Fevil.example"}, ["nested_url"]),
        ({"destination": "https://shop.example/out?url=//evil.example"}, ["nested_url"]),
        ({"destination": "https://shop.example/out?q=about+https"}, []),
        ({"pass_personal": True}, ["passes_personal"]),
        ({"sign": "destination"}, ["signs_into_wildcard"]),
        ({"sign": "campaign"}, []),
        ({"domain": "kurz.example"}, []),
        ({"domain": "kurz.example:8443"}, []),
        ({"domain": "old.example"}, ["domain_not_served"]),
        ({"expires": "2026-01-01T00:00:00Z"}, ["over_without_fallback"]),
        ({"expires": "2026-01-01T00:00:00Z", "fallback": SAFE}, []),
        ({"expires": "2027-01-01T00:00:00Z", "starts": "2026-01-01T00:00:00Z"}, []),
        ({"starts": "2026-01-01T00:00:00Z"}, ["starts_without_end"]),
        ({"starts": "2026-01-01T00:00:00Z", "max_clicks": 5}, []),
        ({"platform": "meta"}, ["no_template"]),
        ({"platform": "meta", "account": "1"}, []),
        ({"platform": "google", "campaign": "google:1:2"}, ["google_without_parallel"]),
        ({"platform": "google", "campaign": "google:1:2", "parallel_tracking": True}, []),
        ({"disabled": True, "destination": "http://gone.example/"}, []),
    ],
)  # fmt: skip
def test_a_risk_is_found_by_its_word(fields: dict[str, Any], found: list[str]) -> None:
    assert [risk for _, risk in risks(stored(**fields))] == found


def test_a_place_that_is_named_twice_is_found_once_and_says_where() -> None:
    bad = "https://gone.example/"
    link = stored(destination=bad, fallback=bad)
    [finding] = audit([link], settings=SETTINGS, now=NOW)
    assert (finding.detail, finding.severity, finding.link_id) == (bad, "high", link.link_id)


def test_two_links_of_one_campaign_to_one_place_are_duplicates() -> None:
    same = {"campaign": "meta:1:2", "platform": "meta"}
    other = stored("c", **(same | {"campaign": "meta:1:3"}))
    assert risks(stored("a", **same), stored("b", **same), other) == [("a", "duplicate"), ("b", "duplicate")]
    assert risks(stored("a", **same), stored("b", disabled=True, **same)) == []
    assert risks(stored("a"), stored("b")) == [], "without a campaign nobody says that they are meant to be the same"


def test_a_link_without_client_stands_out_where_others_have_one() -> None:
    assert risks(stored("a", client="acme"), stored("b")) == [("b", "no_client")]
    assert risks(stored("a"), stored("b")) == []


def test_use_tells_of_dead_links_that_are_hit_and_live_ones_that_are_not() -> None:
    old = NOW - 100 * DAY
    links = (
        stored("dead", disabled=True),
        stored("quiet", updated_at=old),
        stored("new"),
        stored("used", updated_at=old),
    )
    use = {
        links[0].link_id: Use(last_90_days=9, disabled_last_week=3),
        links[3].link_id: Use(last_90_days=1),
    }
    assert risks(*links, use=use) == [("dead", "disabled_but_hit"), ("quiet", "unused")]
    assert risks(*links) == [], "without the store nothing is said about use"


def test_every_risk_has_a_test() -> None:
    tested = {
        risk for mark in test_a_risk_is_found_by_its_word.pytestmark for _, found in mark.args[1] for risk in found
    }  # type: ignore[attr-defined]
    assert tested | {"duplicate", "no_client", *NEED_USE} == set(RISKS)


def test_the_page_explains_every_risk() -> None:
    page = (Path(__file__).parents[3] / "docs" / "redirect.md").read_text("utf-8")
    assert [
        risk for risk, (severity, meaning) in RISKS.items() if f"| `{risk}` | {severity} | {meaning} |" not in page
    ] == []


def test_a_store_that_does_not_answer_costs_two_risks_not_the_audit() -> None:
    def away(_now: int) -> dict[str, Use]:
        raise StoreError("away")

    assert _use(away, NOW) is None


def test_the_api_counts_all_and_names_the_worst_first(api: TestClient, store: LinkStore) -> None:
    for number in range(3):
        store.add(LinkDefinition(slug=f"plain{number}", destination="http://shop.example/"), author="eva")
    store.add(LinkDefinition(slug="personal", destination=SAFE, pass_personal=True, client="acme"), author="eva")
    answer = api.get("/audit", params={"limit": 2}).json()
    assert (answer["audited"], answer["more"], answer["not_checked"]) == (4, 5, list(NEED_USE))
    counted = [(risk["severity"], risk["risk"], risk["links"]) for risk in answer["risks"]]
    assert counted == [("medium", "plain_http", 3), ("medium", "passes_personal", 1), ("low", "no_client", 3)]
    assert [(one["risk"], one["slug"]) for one in answer["findings"]] == [
        ("plain_http", "plain0"),
        ("plain_http", "plain1"),
    ]


def test_a_key_audits_its_clients_links_only(api: TestClient, store: LinkStore, keys: Keys) -> None:
    store.add(LinkDefinition(slug="ours", destination=SAFE, client="acme", pass_personal=True), author="eva")
    store.add(LinkDefinition(slug="theirs", destination=SAFE, client="other", pass_personal=True), author="eva")
    answer = api.get("/audit", headers=keys.of("bob", "acme")).json()
    assert [(one["slug"], one["risk"]) for one in answer["findings"]] == [("ours", "passes_personal")]
    assert api.get("/audit", headers=keys.of("bob"), params={"client": "other"}).json()["reason"] == "client"


def test_the_command_prints_a_table_and_json(command: Callable[..., Result], store: LinkStore) -> None:
    assert "0 links, no risk found." in command("audit").stdout
    store.add(LinkDefinition(slug="spring", destination="http://shop.example/"), author="eva")
    shown = command("audit").stdout
    assert "plain_http" in shown
    assert "http://shop.example/" in shown
    assert "not checked, the store did not answer: disabled_but_hit, unused" in shown
    assert '"risk": "plain_http"' in command("audit", "--json").stdout
    assert '"findings": []' in command("audit", "--risk", "shared_host", "--json").stdout
