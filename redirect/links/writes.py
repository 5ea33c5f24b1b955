"""How links are written: definition, index, tags and history, in the transaction of the caller."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, update

from core.control.tables import link_history, links
from core.errors import Conflict
from redirect.links.model import Link, LinkDefinition
from redirect.links.search import index_again, index_new


def insert_links(connection: Connection, made: list[Link]) -> None:
    """New links, findable."""
    if made:
        connection.execute(insert(links), [{"link_id": link.link_id, **_columns(link)} for link in made])
        index_new(connection, made)


def replace_link(connection: Connection, present: Link, definition: LinkDefinition, *, at: int) -> Link:
    """The next version of a link, findable as it is now.

    Raises:
        Conflict: `changed_meanwhile`: somebody else was faster.
    """
    link = Link(link_id=present.link_id, version=present.version + 1, definition=definition, updated_at=at)
    where = (links.c.link_id == link.link_id) & (links.c.version == present.version)
    if connection.execute(update(links).where(where).values(**_columns(link))).rowcount != 1:
        raise changed_meanwhile("the link was changed by somebody else")
    index_again(connection, present, link)
    return link


def remember(connection: Connection, made: list[Link], *, author: str) -> None:
    """A line of history for each."""
    rows = [
        {
            "link_id": link.link_id,
            "version": link.version,
            "definition": msgspec.to_builtins(link.definition),
            "disabled": link.definition.disabled,
            "author": author,
            "changed_at": link.updated_at,
        }
        for link in made
    ]
    if rows:
        connection.execute(insert(link_history), rows)


def changed_meanwhile(what: str) -> Conflict:
    """Somebody else was faster."""
    return Conflict("changed_meanwhile", f"{what}: read it again")


def _columns(link: Link) -> dict[str, Any]:
    definition = link.definition
    return {
        "domain": definition.domain,
        "slug": definition.slug,
        "version": link.version,
        "definition": msgspec.to_builtins(definition),
        "disabled": definition.disabled,
        "client": definition.client,
        "updated_at": link.updated_at,
    }
