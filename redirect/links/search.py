"""Finding links among a million: lists, searches and tags read two narrow tables in the order of their pages, never a definition.

A list goes along the primary key of `link_index`, a list of a tag along the primary key of `link_tags`; both begin where the last page
ended, so page 9,000 costs what page 1 costs. A search reads the index's text: as far as the page is full, at worst all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, tuple_

from core.control.tables import link_index, link_tags, links
from core.errors import Invalid
from redirect.links.model import Link, LinkDefinition

MAX_SEARCH: Final = 200
_CURSOR = re.compile(r"([A-Za-z0-9._~-]{1,128})\t([a-z0-9.:-]{0,255})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which links: with all these tags, of these clients (None = of all), with this text in slug, destination, campaign, note or a tag."""

    tags: tuple[str, ...] = ()
    clients: frozenset[str] | None = None
    search: str = ""


class TagCount(msgspec.Struct, frozen=True, kw_only=True):
    tag: str
    links: int


def cursor_after(definition: LinkDefinition) -> str:
    """Where the page after this link begins."""
    return f"{definition.slug}\t{definition.domain}"


def page(wanted: Filter, *, after: str = "", limit: int) -> Select[str]:
    """IDs of the first `limit` links after a cursor, by (slug, domain).

    Raises:
        Invalid: `cursor` or `search`.
    """
    rows: Any = link_tags if wanted.tags else link_index
    query = select(rows.c.link_id).order_by(rows.c.slug, rows.c.domain).limit(limit)
    if after:
        query = query.where(tuple_(rows.c.slug, rows.c.domain) > tuple_(*_position(after)))
    if wanted.tags:
        query = query.where(rows.c.tag == wanted.tags[0])
    for tag in wanted.tags[1:]:
        other = link_tags.alias()
        query = query.where(exists().where(other.c.tag == tag, _same_link(other, rows)))
    if wanted.clients is not None:
        query = query.where(rows.c.client.in_(sorted(wanted.clients)))
    if wanted.search:
        text = link_index.c.text.contains(_searched(wanted.search), autoescape=True)
        query = query.where(exists().where(text, _same_link(link_index, rows)) if wanted.tags else text)
    return query


def tag_counts(wanted: Filter, *, after: str = "", limit: int) -> Select[str, int]:
    """The first `limit` tags after one, with how many links have them."""
    query = select(link_tags.c.tag, func.count()).group_by(link_tags.c.tag).order_by(link_tags.c.tag).limit(limit)
    if after:
        query = query.where(link_tags.c.tag > _printable("cursor", after))
    if wanted.clients is not None:
        query = query.where(link_tags.c.client.in_(sorted(wanted.clients)))
    return query


def by_address(names: Iterable[tuple[str, str]]) -> Iterator[Select[Any]]:
    """Links of (slug, domain), a query a domain: SQLite reads a list of pairs past every index."""
    slugs: dict[str, list[str]] = {}
    for slug, domain in names:
        slugs.setdefault(domain, []).append(slug)
    for domain, some in slugs.items():
        yield select(links).where(links.c.domain == domain, links.c.slug.in_(some))


def index_new(connection: Connection, made: list[Link]) -> None:
    """Make new links findable."""
    if made:
        connection.execute(insert(link_index), [_index_row(link) for link in made])
    tags = [row for link in made for row in _tag_rows(link)]
    if tags:
        connection.execute(insert(link_tags), tags)


def index_again(connection: Connection, pairs: list[tuple[Link, Link]]) -> None:
    """Make changed links (as they were, as they are) findable as they are now."""
    moved = [(before, after) for before, after in pairs if _index_row(before) != _index_row(after)]  # tags are in it
    if not moved:
        return
    gone = [{f"old_{name}": value for name, value in _index_row(before).items()} for before, _ in moved]
    connection.execute(delete(link_index).where(_old(link_index, "slug"), _old(link_index, "domain")), gone)
    tags = [{f"old_{name}": value for name, value in row.items()} for before, _ in moved for row in _tag_rows(before)]
    if tags:
        where = (_old(link_tags, "tag"), _old(link_tags, "slug"), _old(link_tags, "domain"))
        connection.execute(delete(link_tags).where(*where), tags)
    index_new(connection, [after for _, after in moved])


def _old(table: Any, column: str) -> Any:
    return table.c[column] == bindparam(f"old_{column}")


def _index_row(link: Link) -> dict[str, str]:
    definition = link.definition
    texts = (definition.slug, definition.destination, definition.campaign, definition.note, *definition.tags)
    return {**_keys(link), "text": "\n".join(texts).lower()}


def _tag_rows(link: Link) -> list[dict[str, str]]:
    return [{**_keys(link), "tag": tag} for tag in link.definition.tags]


def _keys(link: Link) -> dict[str, str]:
    definition = link.definition
    return {
        "slug": definition.slug,
        "domain": definition.domain,
        "link_id": link.link_id,
        "client": definition.client,
    }


def _same_link(one: Any, other: Any) -> Any:
    return (one.c.slug == other.c.slug) & (one.c.domain == other.c.domain)


def _position(cursor: str) -> tuple[str, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise Invalid(
            "cursor", "that is no cursor: send `next` of the page before as it came, or none for the first page"
        )
    return match.group(1), match.group(2)


def _searched(text: str) -> str:
    if len(text) > MAX_SEARCH:
        raise Invalid("search", f"at most {MAX_SEARCH} characters, not {len(text)}")
    return _printable("search", text).lower()


def _printable(field: str, text: str) -> str:
    if _CONTROL.search(text):
        raise Invalid(field, "without control characters, please")
    return text
