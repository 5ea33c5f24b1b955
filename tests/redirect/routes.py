"""Links with routing, visitors with stated facts, and a country database, for the tests of routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core.destinations import AllowList
from redirect.explain import StatedVisitor as Stated
from redirect.links.model import Link, LinkDefinition, checked
from redirect.links.routing import Rule, Variant, When
from redirect.live_link import LiveLink, to_live
from redirect.plan import Decision, Plan
from redirect.resolve import resolve

ALLOWED = AllowList(["shop.example"])
NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z, a Monday
VISITOR = "0123456789abcdef" * 2
OWN, RULED, FALLBACK = "https://shop.example/own", "https://shop.example/ruled", "https://shop.example/fallback"
A, B = "https://shop.example/a", "https://shop.example/b"
PAST, FUTURE = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"


def live(**fields: Any) -> LiveLink:
    definition = checked(LinkDefinition(**{"slug": "spring", "destination": OWN, **fields}), allowed=ALLOWED)
    return to_live(Link(link_id="ab" * 16, version=1, definition=definition, updated_at=NOW), allowed=ALLOWED)


def plan(**fields: Any) -> Plan:
    found = live(**fields).plan
    assert found is not None
    return found


def decide(
    visitor: Stated | None = None, *, now: int = NOW, key: str = VISITOR, exhausted: bool = False, **fields: Any
) -> Decision:
    """The decision on a link with these fields."""
    link = live(**fields)
    if link.plan is None:
        return link.decision
    return resolve(link.plan, visitor or Stated(), now=now, key=key, exhausted=exhausted)


def where(decision: Decision) -> str:
    """The destination's last path segment, or why the hit is lost."""
    target = decision.target
    return target.location.decode().rstrip("?&").rpartition("/")[2] or target.outcome


def rule(name: str = "r", *, destination: str = RULED, variants: tuple[Variant, ...] = (), **when: Any) -> Rule:
    chosen = {} if variants else {"destination": destination}
    return Rule(name=name, when=When(**when), variants=variants, **chosen)


def variants(**weights: int) -> tuple[Variant, ...]:
    return tuple(
        Variant(name=name, destination=f"https://shop.example/{name}", weight=weight)
        for name, weight in weights.items()
    )


def write_countries(path: Path, countries: dict[str, str]) -> None:
    """A small database in MaxMind's shape: network -> country, put in place by renaming."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-Country")
    for network, code in countries.items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": code}})
    temporary = path.with_suffix(".new")
    writer.to_db_file(str(temporary))
    temporary.rename(path)
