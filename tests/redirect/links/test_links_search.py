"""Lists, searches and tags: what is found, in which order, by whom, and without reading every definition."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from core.errors import Invalid
from redirect.links.model import LinkDefinition
from redirect.links.search import Filter, by_address, page
from redirect.links.store import LinkStore

from .conftest import Keys

SHOP = "https://shop.example/"


@pytest.fixture
def many(api: TestClient) -> TestClient:
    links: list[dict[str, Any]] = [
        {"slug": "autumn", "destination": f"{SHOP}coats", "tags": ["sale", "Hot"], "client": "acme"},
        {"slug": "spring", "destination": f"{SHOP}shoes", "tags": ["sale"], "client": "other", "note": "Für Ostern"},
        {
            "slug": "spring",
            "destination": f"{SHOP}a",
            "domain": "kurz.example",
            "campaign": "meta:1:99",
            "client": "acme",
        },
        {"slug": "summer", "destination": f"{SHOP}100%25_off", "tags": ["Hot", "sale", "x_y"], "client": "acme"},
    ]
    for link in links:
        assert api.post("", json=link).status_code == 201
    return api


def found(api: TestClient, **query: Any) -> list[str]:
    links = api.get("", params=query).json()["links"]
    return [f"{link['domain']}/{link['slug']}" for link in links]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["/autumn", "/spring", "kurz.example/spring", "/summer"]),
        ({"tag": "sale"}, ["/autumn", "/spring", "/summer"]),
        ({"tag": ["sale", "Hot"]}, ["/autumn", "/summer"]),
        ({"tag": ["Hot", "sale"], "search": "off"}, ["/summer"]),
        ({"tag": "hot"}, []),
        ({"search": "SPRING"}, ["/spring", "kurz.example/spring"]),
        ({"search": "shoes"}, ["/spring"]),
        ({"search": "meta:1:9"}, ["kurz.example/spring"]),
        ({"search": "FÜR OSTERN"}, ["/spring"]),
        ({"search": "hot"}, ["/autumn", "/summer"]),
        ({"search": "100%25_"}, ["/summer"]),
        ({"search": "%"}, ["/summer"]),
        ({"search": "x_y"}, ["/summer"]),
        ({"search": "xzy"}, []),
        ({"search": "autumnhttps"}, []),
        ({"client": "acme", "search": "spring"}, ["kurz.example/spring"]),
    ],
)
def test_links_are_found_by_tags_and_by_what_people_remember(
    many: TestClient, query: dict[str, Any], expected: list[str]
) -> None:
    assert found(many, **query) == expected


def test_pages_follow_each_other_whatever_the_filter(many: TestClient) -> None:
    for query in ({}, {"tag": "sale"}, {"search": "s"}, {"tag": ["sale", "Hot"], "search": "shop"}):
        pages, cursor = [], ""
        while cursor is not None:
            answer = many.get("", params={**query, "limit": 1, "cursor": cursor}).json()
            pages += [f"{link['domain']}/{link['slug']}" for link in answer["links"]]
            cursor = answer["next"]
        assert pages == found(many, **query)


def test_tags_are_counted(many: TestClient, keys: Keys) -> None:
    every = many.get("/tags").json()
    assert every == {
        "tags": [{"tag": "Hot", "links": 2}, {"tag": "sale", "links": 3}, {"tag": "x_y", "links": 1}],
        "next": None,
    }
    first = many.get("/tags", params={"limit": 2}).json()
    assert (len(first["tags"]), first["next"]) == (2, "sale")
    assert many.get("/tags", params={"limit": 2, "cursor": "sale"}).json()["tags"] == [{"tag": "x_y", "links": 1}]
    acme = keys.of("bob", "acme")
    assert many.get("/tags", headers=acme).json()["tags"][1] == {"tag": "sale", "links": 2}
    assert many.get("/tags", params={"client": "other"}, headers=acme).json()["reason"] == "client"


def test_a_change_moves_a_link_to_where_it_is_found_now(many: TestClient) -> None:
    many.patch("/autumn", json={"tags": ["new"], "note": "hat", "client": "other"})
    assert found(many, tag="sale") == ["/spring", "/summer"]
    assert found(many, tag="new") == found(many, search="HAT") == ["/autumn"]
    assert found(many, client="other") == ["/autumn", "/spring"]
    assert many.get("/tags").json()["tags"][0] == {"tag": "Hot", "links": 1}


def test_tags_are_trimmed_and_named_once(api: TestClient) -> None:
    link = api.post("", json={"slug": "a", "destination": SHOP, "tags": ["x ", "x", "y"]}).json()
    assert link["tags"] == ["x", "y"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"cursor": "garbage"}, "cursor"),
        ({"cursor": "a\tb\tc"}, "cursor"),
        ({"cursor": "\x00\t"}, "cursor"),
        ({"search": "a\x00"}, "search"),
        ({"search": "a" * 201}, "invalid_request"),
        ({"limit": 10**30}, "invalid_request"),
        ({"tag": ["t"] * 9}, "invalid_request"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_by_a_word(
    many: TestClient, query: dict[str, Any], reason: str
) -> None:
    answer = many.get("", params=query)
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    assert many.get("/tags", params={"cursor": "\x00"}).json()["reason"] == "cursor"


def test_a_filter_is_checked_before_the_database_is_asked() -> None:
    with pytest.raises(Invalid, match="search"):
        page(Filter(search="x" * 201), limit=1)


@pytest.mark.parametrize(
    ("wanted", "after"),
    [
        (Filter(), ""),
        (Filter(), "s\t"),
        (Filter(tags=("a",)), "s\t"),
        (Filter(tags=("a", "b")), "s\t"),
        (Filter(clients=frozenset(("acme",))), "s\t"),
        (Filter(search="x"), "s\t"),
    ],
)
def test_a_page_is_read_along_an_index_and_never_sorted(control: Engine, wanted: Filter, after: str) -> None:
    statement = page(wanted, after=after, limit=10).compile(control, compile_kwargs={"literal_binds": True})
    with control.connect() as connection:
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}".replace(":", r"\:")))]
    assert not any("TEMP B-TREE" in step for step in plan), plan
    assert not any(" links" in step for step in plan), "no definition is read"


def test_links_are_looked_up_by_their_addresses_along_an_index(control: Engine) -> None:
    queries = list(by_address([("a", ""), ("b", ""), ("a", "k.example")]))
    assert len(queries) == 2
    for query in queries:
        statement = query.compile(control, compile_kwargs={"literal_binds": True})
        with control.connect() as connection:
            plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
        assert all(step.startswith("SEARCH") for step in plan), plan


_words = st.sampled_from(("a", "b", "ab"))
_few = st.lists(
    st.tuples(_words, st.sampled_from(("", "k.example")), st.sets(_words, max_size=3), st.sampled_from(("", "acme"))),
    max_size=5,
    unique_by=lambda one: (one[0], one[1]),
)


@given(few=_few, tags=st.lists(_words, max_size=2), word=st.sampled_from(("", "a", "b")), acme=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_finds_what_looking_at_every_link_finds(
    store: LinkStore, control: Engine, few: list[Any], tags: list[str], word: str, acme: bool
) -> None:
    with control.begin() as connection:
        for table in ("links", "link_history", "link_index", "link_tags"):
            connection.execute(text(f"DELETE FROM {table}"))
    definitions = [
        LinkDefinition(slug=slug, domain=domain, tags=tuple(sorted(own)), client=client, destination=f"{SHOP}x")
        for slug, domain, own, client in few
    ]
    for definition in definitions:
        store.add(definition, author="t")
    wanted = Filter(tags=tuple(tags), search=word, clients=frozenset(("acme",)) if acme else None)
    expected = [
        one
        for one in sorted(definitions, key=lambda one: (one.slug, one.domain))
        if set(tags) <= set(one.tags)
        and any(word in part for part in (one.slug, one.destination, *one.tags))
        and (not acme or one.client == "acme")
    ]
    assert [link.definition for link in store.walk(wanted)] == expected
    counted = {one.tag: one.links for one in store.tags()}
    assert counted == {tag: sum(tag in one.tags for one in definitions) for one in definitions for tag in one.tags}
