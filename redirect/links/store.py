"""Link definitions in the control database, with the history of every change and its author."""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import Clock, now_ms
from core.control.tables import link_history, links
from core.errors import Conflict, Invalid, NotFound
from redirect.destinations import AllowList
from redirect.links.model import Link, LinkChange, LinkDefinition, checked

#: What makes a link the same link; changing it would orphan the clicks of the old one.
IDENTITY = ("slug", "domain")


class LinkStore:
    """Adds, reads and changes links. A link is never deleted, only disabled: clicks go on referring to it.

    Args:
        allowed_destinations: entries of `redirect.allowed_destinations`.
        base_url: where short links without a domain of their own start, for tracking templates.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        allowed_destinations: Sequence[str],
        base_url: str = "http://localhost:8081",
        clock: Clock = now_ms,
    ) -> None:
        self.base_url = base_url
        self._engine = engine
        self._allowed = AllowList(allowed_destinations)
        self._clock = clock

    def add(self, definition: LinkDefinition, *, author: str) -> Link:
        """Create a link.

        Raises:
            Invalid: the definition breaks a rule; `reason` says which.
            Conflict: `link_exists`: the slug is taken on that domain.
        """
        link = Link(
            link_id=uuid.uuid4().hex, version=1, definition=checked(definition, allowed=self._allowed), updated_at=0
        )
        try:
            with self._engine.begin() as connection:
                link = msgspec.structs.replace(link, updated_at=self._next_updated_at(connection))
                connection.execute(insert(links).values(link_id=link.link_id, **_columns(link)))
                _remember(connection, link, author=author)
        except IntegrityError:
            taken = f"{definition.domain}/{definition.slug}"
            raise Conflict("link_exists", f"{taken} is taken; edit it, or choose another slug") from None
        return link

    def get(self, link_id: str) -> Link:
        """A link by its ID.

        Raises:
            NotFound: `unknown_link`.
        """
        with self._engine.connect() as connection:
            return _one(connection.execute(select(links).where(links.c.link_id == link_id)).first(), link_id)

    def find(self, slug: str, *, domain: str = "") -> Link:
        """A link by slug and domain.

        Raises:
            NotFound: `unknown_link`.
        """
        query = select(links).where(links.c.slug == slug, links.c.domain == domain)
        with self._engine.connect() as connection:
            return _one(connection.execute(query).first(), slug)

    def list(
        self,
        *,
        tag: str = "",
        clients: Collection[str] | None = None,
        search: str = "",
        after: str = "",
        limit: int = 100,
    ) -> list[Link]:
        """Links by (slug, domain), at most `limit`, after the cursor ``slug\\tdomain`` of the last page's last link.

        Args:
            clients: only links of these; None = of all.
            search: part of the slug, destination, campaign or note, in any case.
        """
        query = select(links).order_by(links.c.slug, links.c.domain)
        if clients is not None:
            query = query.where(links.c.client.in_(clients))
        if after:
            slug, _, domain = after.partition("\t")
            query = query.where((links.c.slug > slug) | ((links.c.slug == slug) & (links.c.domain > domain)))
        found: list[Link] = []
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=500).execute(query):
                link = to_link(row)
                if _matches(link.definition, tag=tag, search=search.lower()):
                    found.append(link)
                if len(found) == limit:
                    break
        return found

    def edit(self, link_id: str, changes: dict[str, Any], *, author: str) -> Link:
        """Change fields of a link; a change that changes nothing makes no version.

        Raises:
            NotFound: `unknown_link`.
            Invalid: a rule is broken, or `identity` when slug or domain would change.
            Conflict: `changed_meanwhile`: somebody else was faster.
        """
        present = self.get(link_id)
        _check_identity(present.definition, changes)
        wanted = checked(msgspec.structs.replace(present.definition, **changes), allowed=self._allowed)
        if wanted == present.definition:
            return present
        with self._engine.begin() as connection:
            link = Link(
                link_id=link_id,
                version=present.version + 1,
                definition=wanted,
                updated_at=self._next_updated_at(connection),
            )
            where = (links.c.link_id == link_id) & (links.c.version == present.version)
            if connection.execute(update(links).where(where).values(**_columns(link))).rowcount != 1:
                raise Conflict("changed_meanwhile", "the link was changed by somebody else: read it again")
            _remember(connection, link, author=author)
        return link

    def disable(self, link_id: str, *, author: str, disabled: bool = True) -> Link:
        """Switch a link off (410) or on again."""
        return self.edit(link_id, {"disabled": disabled}, author=author)

    def history(self, link_id: str) -> builtins.list[LinkChange]:
        """Every version of a link, oldest first."""
        query = select(link_history).where(link_history.c.link_id == link_id).order_by(link_history.c.version)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            LinkChange(
                version=row.version,
                definition=_definition(row.definition),
                author=row.author,
                changed_at=row.changed_at,
            )
            for row in rows
        ]

    def _next_updated_at(self, connection: Connection) -> int:
        """Now, but later than every change so far: workers ask for what changed since the last one they saw."""
        latest = connection.execute(select(func.max(links.c.updated_at))).scalar()
        return max(self._clock(), (latest or 0) + 1)


def to_link(row: Row[Any]) -> Link:
    """A row of the `links` table as a Link."""
    return Link(
        link_id=row.link_id, version=row.version, definition=_definition(row.definition), updated_at=row.updated_at
    )


def _definition(value: Any) -> LinkDefinition:
    return msgspec.convert(value, LinkDefinition)


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


def _remember(connection: Connection, link: Link, *, author: str) -> None:
    connection.execute(
        insert(link_history).values(
            link_id=link.link_id,
            version=link.version,
            definition=msgspec.to_builtins(link.definition),
            disabled=link.definition.disabled,
            author=author,
            changed_at=link.updated_at,
        )
    )


def _one(row: Row[Any] | None, name: str) -> Link:
    if row is None:
        raise NotFound("unknown_link", f"there is no link {name}")
    return to_link(row)


def _check_identity(present: LinkDefinition, changes: dict[str, Any]) -> None:
    for field in IDENTITY:
        if field in changes and changes[field] != getattr(present, field):
            raise Invalid("identity", f"{field} of a link never changes: add another link and disable this one")


def _matches(definition: LinkDefinition, *, tag: str, search: str) -> bool:
    if tag and tag not in definition.tags:
        return False
    texts = (definition.slug, definition.destination, definition.campaign, definition.note)
    return not search or any(search in text.lower() for text in texts)
