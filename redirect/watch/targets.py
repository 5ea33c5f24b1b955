"""Which URLs are watched: every place a live link may send somebody, each distinct URL once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from sqlalchemy import Engine, func, select

from core.clock import parse_rfc3339
from core.control.tables import links
from core.destinations import AllowList, normalise
from core.errors import Invalid
from redirect.links.model import LinkDefinition

#: So many links, campaigns and clients are named with a URL; a shop's front page may have thousands.
MAX_NAMED: Final = 50
_PAGE: Final = 500


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A URL and who leads there."""

    url: str
    host: str
    links: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()


def link_name(definition: LinkDefinition) -> str:
    """`go.example/spring`, or `spring` when the link answers on every domain."""
    return f"{definition.domain}/{definition.slug}" if definition.domain else definition.slug


def destinations_of(definition: LinkDefinition, *, now: int) -> tuple[str, ...]:
    """Where a link may send somebody from now on; nothing when it is switched off."""
    if definition.disabled or definition.answer != "redirect":
        return ()
    found = [definition.fallback]
    if not definition.expires or now < parse_rfc3339(definition.expires):
        variants = [*definition.variants, *(variant for rule in definition.rules for variant in rule.variants)]
        found += [rule.destination for rule in definition.rules]
        found += [variant.destination for variant in variants if variant.weight > 0]
        # With variants a link's own destination is never reached.
        found += [] if definition.variants else [definition.destination]
    return tuple(dict.fromkeys(url for url in found if url))


def watched(
    definitions: Iterable[LinkDefinition], *, allowed: AllowList, limit: int, now: int
) -> tuple[dict[str, Watched], int]:
    """(what to watch by URL, how many URLs beyond `limit` are not). Where nobody is sent any more is not watched."""
    found: dict[str, Watched] = {}
    beyond: set[str] = set()
    for definition in definitions:
        for url in destinations_of(definition, now=now):
            if url not in found and len(found) >= limit:
                beyond.add(url)
            elif host := found[url].host if url in found else _host(url, allowed):
                found[url] = _with(found.get(url) or Watched(url=url, host=host), definition)
    return found, len(beyond)


def read_definitions(engine: Engine) -> Iterator[LinkDefinition]:
    """The definitions of all links that are not disabled, by slug."""
    query = select(links.c.definition).where(links.c.disabled.is_(False)).order_by(links.c.slug, links.c.domain)
    with engine.connect() as connection:
        for row in connection.execution_options(yield_per=_PAGE).execute(query):
            yield msgspec.convert(row.definition, LinkDefinition)


def newest_change(engine: Engine) -> int:
    """The number of the newest change of any link; 0 when there is none."""
    with engine.connect() as connection:
        return connection.execute(select(func.max(links.c.change))).scalar() or 0


def _host(url: str, allowed: AllowList) -> str:
    """The authority of an allowed destination, "" of one that the redirect refuses."""
    try:
        destination = normalise(url)
    except Invalid:
        return ""
    return destination.authority if allowed.refusal(destination) is None else ""


def _with(present: Watched, definition: LinkDefinition) -> Watched:
    return msgspec.structs.replace(
        present,
        links=_joined(present.links, link_name(definition)),
        campaigns=_joined(present.campaigns, definition.campaign),
        clients=_joined(present.clients, definition.client),
    )


def _joined(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if not name or name in names or len(names) >= MAX_NAMED else (*names, name)
