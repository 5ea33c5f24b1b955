"""Which URLs are watched, and when each comes."""

from __future__ import annotations

from typing import Any

import pytest

from core.destinations import AllowList
from redirect.links.model import LinkDefinition
from redirect.links.routing import Rule, Variant, When
from redirect.watch.pace import FIRST_WITHIN_MS, due_at, first_at
from redirect.watch.targets import destinations_of, link_name, watched

NOW = 1_790_000_000_000
A, B, C, D = (f"https://shop.example/{name}" for name in "abcd")
PHONES = When(device=("mobile",))


def link(slug: str = "spring", destination: str = A, **fields: Any) -> LinkDefinition:
    return LinkDefinition(slug=slug, destination=destination, **fields)


@pytest.mark.parametrize(
    ("definition", "urls"),
    [
        (link(), {A}),
        (link(disabled=True), set()),
        (link(answer="unavailable"), set()),
        (link(fallback=B), {A, B}),
        (link(rules=(Rule(name="r", when=PHONES, destination=B),)), {A, B}),
        (link(variants=(Variant(name="x", destination=B), Variant(name="y", destination=C))), {B, C}),
        (link(variants=(Variant(name="x", destination=B), Variant(name="y", destination=C, weight=0))), {B}),
        (link(rules=(Rule(name="r", when=PHONES, variants=(Variant(name="x", destination=D),)),)), {A, D}),
        (link(expires="2026-01-01T00:00:00Z"), set()),
        (link(expires="2026-01-01T00:00:00Z", fallback=B), {B}),
        (link(expires="2030-01-01T00:00:00Z", fallback=B), {A, B}),
        (link(starts="2030-01-01T00:00:00Z"), {A}),
    ],
)
def test_every_place_a_link_may_send_somebody_is_watched(definition: LinkDefinition, urls: set[str]) -> None:
    assert set(destinations_of(definition, now=NOW)) == urls


def test_a_url_of_many_links_is_watched_once_and_names_them() -> None:
    links = [
        link("a", campaign="google:1:2", client="acme"),
        link("b", campaign="google:1:2"),
        link("c", B, domain="go.example", campaign="meta:9:3"),
    ]
    found, beyond = watched(links, allowed=AllowList(["shop.example"]), limit=10, now=NOW)
    assert (set(found), beyond) == ({A, B}, 0)
    assert (found[A].links, found[A].campaigns, found[A].clients) == (("a", "b"), ("google:1:2",), ("acme",))
    assert (found[B].links, found[B].host) == (("go.example/c",), "shop.example")
    assert link_name(links[2]) == "go.example/c"


def test_what_is_no_longer_allowed_is_not_visited() -> None:
    assert watched([link()], allowed=AllowList(["other.example"]), limit=10, now=NOW) == ({}, 0)


def test_what_is_beyond_the_limit_is_counted() -> None:
    links = [link("a", A), link("b", B), link("c", C), link("d", C), link("e", A)]
    found, beyond = watched(links, allowed=AllowList(["shop.example"]), limit=1, now=NOW)
    assert (set(found), beyond) == ({A}, 2)
    assert found[A].links == ("a", "e")


def test_looks_come_once_per_interval_and_spread_over_it() -> None:
    interval = 600_000
    urls = [f"https://shop.example/{number}" for number in range(400)]
    first = [due_at(url, checked_at=NOW, interval_ms=interval) for url in urls]
    assert all(0.5 * interval <= at - NOW <= 1.6 * interval for at in first)
    quarters = [sum(1 for at in first if q <= ((at - NOW) / interval - 0.55) * 4 < q + 1) for q in range(4)]
    assert min(quarters) > 60, "a fair share of the looks falls into each quarter"
    for url, at in zip(urls, first, strict=True):
        gap = due_at(url, checked_at=at, interval_ms=interval) - at
        assert 0.9 * interval <= gap <= 1.1 * interval


def test_what_fails_comes_again_sooner_and_what_is_new_at_once() -> None:
    assert due_at(A, checked_at=NOW, interval_ms=600_000, failing=True) <= NOW + 192_000
    assert NOW <= first_at(A, known_since=NOW, interval_ms=600_000) < NOW + FIRST_WITHIN_MS
    assert first_at(A, known_since=NOW, interval_ms=1_000) < NOW + 1_000
