"""Links prepared when they are written: the same as prepared by the worker, and not believed where that could differ."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select, update

from core.control.tables import links
from core.destinations import AllowList
from redirect.compiled import FORMAT, REVISION, Loader, compile_link
from redirect.links.model import Link, LinkDefinition
from redirect.links.preparation import prepare_stale
from redirect.links.routing import Rule, Variant, When
from redirect.links.store import LinkStore, to_link
from redirect.live_link import to_live

ALLOWED = AllowList(["shop.example", "*.shop.example", "127.0.0.1:9000"])
PLAIN: list[dict[str, Any]] = [
    {},
    {"destination": "http://127.0.0.1:9000/a?x=1#f"},
    {
        "destination": "https://www.shop.example/",
        "domain": "go.example",
        "campaign": "google:1:2",
        "platform": "google",
    },
    {"disabled": True},
    {"answer": "unavailable", "client": "acme", "pass_personal": True, "parallel_tracking": True},
    {"status": 307, "ad_group": "google:1:3", "creative": "google:1:4"},
]


def stored(*, version: int = 3, **fields: Any) -> Link:
    definition = LinkDefinition(**{"slug": "spring", "destination": "https://shop.example/p?season=spring", **fields})
    return Link(link_id="ab" * 16, version=version, definition=definition, updated_at=5)


@pytest.mark.parametrize("fields", PLAIN)
def test_a_compiled_link_is_the_link_that_the_worker_would_prepare(fields: dict[str, Any]) -> None:
    link = stored(**fields)
    assert Loader(ALLOWED).load_compiled(compile_link(link, allowed=ALLOWED), version=3) == to_live(
        link, allowed=ALLOWED
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"rules": (Rule(name="r", when=When(device=("mobile",)), destination="https://shop.example/m"),)},
        {"variants": (Variant(name="a", destination="https://shop.example/a"),)},
        {"max_clicks": 5},
        {"destination": "https://elsewhere.example/"},
    ],
)
def test_routing_and_what_is_not_allowed_is_left_to_the_worker(fields: dict[str, Any]) -> None:
    assert compile_link(stored(**fields), allowed=ALLOWED) is None


@pytest.mark.parametrize("fields", PLAIN[:3])
def test_a_place_that_the_allow_list_no_longer_contains_is_not_believed(fields: dict[str, Any]) -> None:
    compiled = compile_link(stored(**fields), allowed=ALLOWED)
    assert Loader(AllowList(["other.example"])).load_compiled(compiled, version=3) is None


def test_a_place_that_became_the_redirects_own_is_not_believed() -> None:
    compiled = compile_link(stored(), allowed=ALLOWED)
    assert Loader(AllowList(["shop.example"], own=["shop.example"])).load_compiled(compiled, version=3) is None


@pytest.mark.parametrize(
    "location",
    [
        b"https://evil.example/p?",
        b"https://shop.example@evil.example/?",
        b"https://shop.example:8443/?",
        b"https://shop.example",
        b"//evil.example/?",
        b"javascript:alert(1)//",
        b"https://SHOP.example/?",
        b"https://shop.example\\@evil.example/?",
        b"\xff\xfe",
    ],
)
def test_a_location_that_somebody_wrote_into_the_database_is_not_sent(location: bytes) -> None:
    live = to_live(stored(), allowed=ALLOWED)
    target = msgspec.structs.replace(live.decision.target, location=location)
    forged = msgspec.structs.replace(live, decision=msgspec.structs.replace(live.decision, target=target))
    assert Loader(ALLOWED).load_compiled(FORMAT + msgspec.msgpack.encode(forged), version=3) is None


def test_another_format_another_version_and_damage_are_not_believed() -> None:
    compiled = compile_link(stored(), allowed=ALLOWED)
    assert compiled
    loader = Loader(ALLOWED)
    assert loader.load_compiled(None, version=3) is None
    assert loader.load_compiled(compiled, version=4) is None
    assert loader.load_compiled(b"12345678" + compiled[8:], version=3) is None
    for end in range(len(compiled)):
        assert loader.load_compiled(compiled[:end], version=3) is None


def test_whoever_prepares_links_differently_raises_the_revision() -> None:
    """What `to_live` makes of known definitions; when it changes on purpose, raise REVISION and put the new value here."""
    made = b"\n".join(msgspec.json.encode(to_live(stored(**fields), allowed=ALLOWED)) for fields in PLAIN)
    assert (REVISION, blake2b(made, digest_size=8).hexdigest()) == (3, "45aaa349873a64fd")


def test_links_from_before_an_upgrade_are_prepared_once_without_being_changed(control: Engine) -> None:
    store = LinkStore(control, allowed_destinations=["shop.example"])
    store.save(new=[stored(slug=f"s{n}").definition for n in range(1100)], author="t")
    routed = store.add(stored(slug="routed", max_clicks=5).definition, author="t")
    with control.begin() as connection:
        connection.execute(update(links).values(compiled=None))
        connection.execute(update(links).where(links.c.slug == "s7").values(compiled=b"87654321 of before"))
        before = connection.execute(select(links.c.link_id, links.c.version, links.c.change)).all()
    assert prepare_stale(control, allowed=ALLOWED) == 1100
    assert prepare_stale(control, allowed=ALLOWED) == 0
    with control.connect() as connection:
        assert connection.execute(select(links.c.link_id, links.c.version, links.c.change)).all() == before
        rows = connection.execute(select(links)).all()
    loader = Loader(ALLOWED)
    for row in rows:
        live = loader.load_compiled(row.compiled, version=row.version)
        assert live == (None if row.link_id == routed.link_id else to_live(to_link(row), allowed=ALLOWED))
