"""Links prepared when they are written: the same as prepared by the worker, and not believed where that could differ."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from redirect.compiled import FORMAT, REVISION, Loader, compile_link
from redirect.destinations import AllowList
from redirect.links.model import Link, LinkDefinition
from redirect.links.routing import Rule, Variant, When
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
    assert (REVISION, blake2b(made, digest_size=8).hexdigest()) == (1, "127741fc3430e2cd")
