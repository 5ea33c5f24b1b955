"""How links are written: definition, compiled form, change number, index, tags and history, in the transaction of the caller.

Every write of a link takes the next **change number**. Workers ask for what is above the last one they saw, so numbers must become
visible in their order. With SQLite they do: there is one writer at a time, and the number is taken by the statement that writes. With
PostgreSQL a lock makes writers of links take turns until they have committed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, ScalarSelect, bindparam, func, insert, select, update

from core.control.tables import link_history, links
from core.destinations import AllowList
from core.errors import Conflict
from redirect.compiled import compile_link
from redirect.links.model import Link
from redirect.links.search import index_again, index_new

#: Any number that nothing else locks on the same PostgreSQL database.
CHANGE_LOCK: Final = 0x636C6B75


def insert_links(connection: Connection, made: list[Link], *, allowed: AllowList) -> None:
    """New links, findable."""
    if made:
        rows = [{"link_id": link.link_id, **_columns(link, allowed=allowed)} for link in made]
        connection.execute(insert(links).values(change=_next_change(connection)), rows)
        index_new(connection, made)


def replace_links(connection: Connection, pairs: list[tuple[Link, Link]], *, allowed: AllowList) -> None:
    """Links as they were -> as they are now, findable as they are now.

    Raises:
        Conflict: `changed_meanwhile`: somebody else was faster with one of them.
    """
    if not pairs:
        return
    rows = [
        {"old_id": before.link_id, "old_version": before.version, **_columns(after, allowed=allowed)}
        for before, after in pairs
    ]
    same = (links.c.link_id == bindparam("old_id")) & (links.c.version == bindparam("old_version"))
    statement = update(links).where(same).values(change=_next_change(connection))
    if connection.execute(statement, rows).rowcount != len(pairs):
        raise changed_meanwhile("the link was changed by somebody else")
    index_again(connection, pairs)


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


def _next_change(connection: Connection) -> ScalarSelect[int]:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(CHANGE_LOCK)))
    return select(func.coalesce(func.max(links.c.change), 0) + 1).scalar_subquery()


def _columns(link: Link, *, allowed: AllowList) -> dict[str, Any]:
    definition = link.definition
    return {
        "domain": definition.domain,
        "slug": definition.slug,
        "version": link.version,
        "definition": msgspec.to_builtins(definition),
        "disabled": definition.disabled,
        "client": definition.client,
        "updated_at": link.updated_at,
        "compiled": compile_link(link, allowed=allowed),
    }
