"""Import and export over HTTP: added, changed, unchanged, refused; and nobody's links but one's own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine

from core.principal import Principal
from redirect.links.desk import LinkDesk
from redirect.links.importer import Importer, Summary
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.links.transfer import FORMATS, MEDIA_TYPES, Format, read, write

from .any_link import many_links
from .conftest import MAX_BODY, Keys

SHOP = "https://shop.example/"
CSV = {"Content-Type": "text/csv"}
EVA = Principal(name="eva", scopes=frozenset(("links",)))


def counts(answer: dict[str, Any]) -> tuple[int, ...]:
    return tuple(answer[name] for name in ("added", "changed", "unchanged", "refused"))


def load(store: LinkStore, many: list[LinkDefinition], kind: Format, *, dry_run: bool = False) -> Summary:
    text = b"".join(write(many, kind)).decode()
    return Importer(LinkDesk(store), EVA, dry_run=dry_run).run(read(text.splitlines(keepends=True), kind))


@given(many=many_links)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_exported_imports_to_the_same_links(store: LinkStore, many: list[LinkDefinition]) -> None:
    load(store, many, "ndjson")
    wanted = {(link.slug, link.domain): link for link in many}
    found = {name: link.definition for name, link in store.find_all(wanted).items()}
    assert found == wanted
    assert load(store, list(found.values()), "ndjson").unchanged == len(many)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_exported_changes_nothing_when_it_comes_back(api: TestClient, kind: Format) -> None:
    rule = {"name": "ios", "when": {"os": ["ios"], "query": {"a": "*"}}, "destination": f"{SHOP}i"}
    api.post(
        "", json={"slug": "a", "destination": f"{SHOP}a", "tags": ["x", "y"], "note": '=1;"2",\n3', "rules": [rule]}
    )
    api.post("", json={"slug": "b", "destination": f"{SHOP}b", "domain": "kurz.example", "platform": "google"})
    exported = api.get("/export", params={"format": kind})
    assert exported.headers["content-type"] == MEDIA_TYPES[kind]
    assert exported.headers["content-disposition"] == f'attachment; filename="links.{kind}"'
    headers = {"Content-Type": MEDIA_TYPES[kind]}
    assert counts(api.post("/import", content=exported.content, headers=headers).json()) == (0, 0, 2, 0)
    before = api.get("").json()["links"]
    api.patch("/a", json={"rules": [], "tags": ["z"], "disabled": True})
    assert counts(api.post("/import", content=exported.content, headers=headers).json()) == (0, 1, 1, 0)
    without_times = [{k: v for k, v in link.items() if k not in ("version", "updated_at")} for link in before]
    assert [
        {k: v for k, v in link.items() if k not in ("version", "updated_at")} for link in api.get("").json()["links"]
    ] == without_times
    assert api.get("/a/history").json()["changes"][-1]["author"] == "eva"


def test_every_line_is_taken_or_refused_by_itself(api: TestClient) -> None:
    api.post("", json={"slug": "old", "destination": f"{SHOP}o", "note": "kept"})
    text = (
        "slug,destination\n"
        f"new,{SHOP}n\n"
        f"old,{SHOP}changed\n"
        f"bad slug,{SHOP}b\n"
        "evil,https://evil.example/\n"
        f"new,{SHOP}n\n"
        f"new,{SHOP}twice\n"
        f"only,one,more\n"
    )
    expected = (1, 2, 1, 3)
    tried = api.post("/import", content=text, headers=CSV, params={"dry_run": True}).json()
    assert (counts(tried), tried["dry_run"]) == (expected, True)
    assert [link["slug"] for link in api.get("").json()["links"]] == ["old"], "a dry run changes nothing"
    done = api.post("/import", content=text, headers=CSV).json()
    assert counts(done) == expected
    assert [(error["line"], error["slug"], error["reason"]) for error in done["errors"]] == [
        (4, "bad slug", "slug"),
        (5, "evil", "destination_not_allowed"),
        (8, "", "cells"),
    ]
    old = api.get("/old").json()
    assert (old["destination"], old["note"]) == (f"{SHOP}changed", "kept"), "what a file does not mention stays"
    assert api.get("/new").json()["destination"] == f"{SHOP}twice"


def test_a_new_link_of_a_file_has_the_defaults_of_a_new_link(api: TestClient, keys: Keys) -> None:
    text = f"slug,destination,campaign\ng,{SHOP},google:1:2\n"
    api.post("/import", content=text, headers=CSV | keys.of("bob", "acme"))
    link = api.get("/g").json()
    assert (link["parallel_tracking"], link["client"], link["platform"]) == (True, "acme", "google")


def test_columns_may_have_other_names(api: TestClient) -> None:
    text = f"Short,Ziel,Owner\na,{SHOP}a,kim\n"
    assert api.post("/import", content=text, headers=CSV).json()["reason"] == "unknown_column"
    renames = {"map": ["Short=slug", "Ziel=destination", "Owner="]}
    assert counts(api.post("/import", content=text, headers=CSV, params=renames).json()) == (1, 0, 0, 0)
    assert api.post("/import", content=text, headers=CSV, params={"map": "x"}).json()["reason"] == "map"


@pytest.mark.parametrize(
    ("content", "media", "status", "reason"),
    [
        (b"slug\n\xff\n", "text/csv", 422, "encoding"),
        (b"", "text/csv", 422, "empty"),
        (b"nonsense", "application/json", 422, "malformed"),
        (b"x", "application/pdf", 415, "unsupported_media_type"),
        (b"x" * (MAX_BODY + 1), "text/csv", 413, "body_too_large"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(
    api: TestClient, content: bytes, media: str, status: int, reason: str
) -> None:
    answer = api.post("/import", content=content, headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "line",
    [
        '{"slug": "\\ud800", "destination": "https://shop.example/"}',
        '{"slug": "a\\u0000", "destination": "https://shop.example/"}',
        '{"slug": "a", "destination": "https://shop.example/", "note": "\\ud800"}',
        '{"slug": "a", "destination": "https://shop.example/", "note": "\\u0000"}',
        '{"slug": "a", "destination": "https://shop.example/", "domain": "\\udfff"}',
        '{"slug": "a", "destination": "https://shop.example/", "\\udfff": 1}',
        f'{{"slug": "a", "destination": "https://shop.example/", "max_clicks": {10**30}}}',
        '{"slug": 1, "destination": "https://shop.example/"}',
        '{"slug": "a", "destination": "https://shop.example/", "tags": [1]}',
        '{"slug": "a", "destination": "https://shop.example/", "rules": {"a": 1}}',
        '{"slug": "a", "rules": []}',
        '{"destination": "https://shop.example/"}',
        '"a"',
    ],
)
@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_what_no_link_can_say_is_refused_by_a_word(api: TestClient, line: str, kind: Format) -> None:
    content = f"[{line}]" if kind == "json" else line
    answer = api.post("/import", content=content, headers={"Content-Type": MEDIA_TYPES[kind]})
    assert answer.status_code == 200, answer.text
    assert counts(answer.json()) == (0, 0, 0, 1), answer.text
    assert answer.json()["errors"][0]["reason"]


def test_a_key_imports_and_exports_the_links_of_its_clients_only(api: TestClient, keys: Keys) -> None:
    acme = keys.of("bob", "acme")
    api.post("", json={"slug": "theirs", "destination": f"{SHOP}t", "client": "other"})
    api.post("", json={"slug": "ours", "destination": f"{SHOP}o", "client": "acme"})
    exported = api.get("/export", params={"format": "ndjson"}, headers=acme)
    assert [msgspec.json.decode(line)["slug"] for line in exported.content.splitlines()] == ["ours"]
    assert api.get("/export", params={"client": "other"}, headers=acme).json()["reason"] == "client"
    text = f"slug,destination,client\ntheirs,{SHOP}x,acme\nours,{SHOP}x,other\nnew,{SHOP}x,other\n"
    for dry_run in (True, False):
        answer = api.post("/import", content=text, headers=CSV | acme, params={"dry_run": dry_run}).json()
        assert [error["reason"] for error in answer["errors"]] == ["link_exists", "client", "client"]
    assert api.get("/theirs").json()["version"] == api.get("/ours").json()["version"] == 1


def test_somebody_else_at_work_on_the_same_links_stops_only_the_line_that_collides(
    store: LinkStore, control: Engine
) -> None:
    class Racing(LinkStore):
        """Somebody else adds `b` between the look and the write."""

        raced = False

        def save(self, **what: Any) -> Any:
            if not self.raced:
                self.raced = True
                store.add(LinkDefinition(slug="b", destination=f"{SHOP}other"), author="kim")
            return super().save(**what)

    racing = Racing(control, allowed_destinations=["shop.example"])
    many = [LinkDefinition(slug=slug, destination=f"{SHOP}p") for slug in "abc"]
    summary = load(racing, many, "csv")
    assert (summary.added, summary.changed, summary.refused) == (2, 1, 0)
    assert store.find("b").version == 2
