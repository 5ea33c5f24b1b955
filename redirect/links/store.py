"""Link definitions in the control database, with the history of every change and its author."""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select
from sqlalchemy.exc import IntegrityError

from core.clock import Clock, now_ms
from core.control.tables import link_history, links
from core.destinations import AllowList
from core.errors import Conflict, Invalid, NotFound
from redirect.links.model import Link, LinkChange, LinkDefinition, checked, definition_from
from redirect.links.search import Filter, TagCount, by_address, cursor_after, page, tag_counts
from redirect.links.writes import changed_meanwhile, insert_links, remember, replace_links
from redirect.live_link import LiveLink, to_live

#: What makes a link the same link; changing it would orphan the clicks of the old one.
IDENTITY = ("slug", "domain")
EVERYTHING = Filter()
#: Links that `walk` reads at once.
STRIDE = 1000


class LinkStore:
    """Adds, reads and changes links. A link is never deleted, only disabled: clicks go on referring to it.

    Args:
        allowed_destinations: entries of `redirect.allowed_destinations`.
        own_hosts: where the redirect answers; no link may lead there.
        base_url: where short links without a domain of their own start, for tracking templates.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        allowed_destinations: Sequence[str],
        own_hosts: Sequence[str] = (),
        base_url: str = "http://localhost:8081",
        clock: Clock = now_ms,
    ) -> None:
        self.base_url = base_url
        self._engine = engine
        self.allowed = AllowList(allowed_destinations, own=own_hosts)
        self._clock = clock

    # --- reading ---------------------------------------------------------------------------------------------------------------

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

    def find_all(self, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Link]:
        """Those links of (slug, domain) that there are."""
        found: dict[tuple[str, str], Link] = {}
        with self._engine.connect() as connection:
            for query in by_address(names):
                found |= {(row.slug, row.domain): to_link(row) for row in connection.execute(query)}
        return found

    def list(self, wanted: Filter = EVERYTHING, *, after: str = "", limit: int = 100) -> builtins.list[Link]:
        """Links by (slug, domain), at most `limit`, after the cursor of the last page's last link (`cursor_after`).

        Raises:
            Invalid: `cursor` or `search`.
        """
        query = select(links).where(links.c.link_id.in_(page(wanted, after=after, limit=limit)))
        with self._engine.connect() as connection:
            return [to_link(row) for row in connection.execute(query.order_by(links.c.slug, links.c.domain))]

    def walk(self, wanted: Filter = EVERYTHING) -> Iterator[Link]:
        """All links, a page at a time: no transaction stays open while the reader is slow."""
        found = self.list(wanted, limit=STRIDE)
        while found:
            yield from found
            found = self.list(wanted, after=cursor_after(found[-1].definition), limit=STRIDE)

    def tags(self, wanted: Filter = EVERYTHING, *, after: str = "", limit: int = 100) -> builtins.list[TagCount]:
        """Tags in use with their number of links, at most `limit`, after the tag `after`."""
        with self._engine.connect() as connection:
            rows = connection.execute(tag_counts(wanted, after=after, limit=limit)).all()
        return [TagCount(tag=tag, links=number) for tag, number in rows]

    def history(self, link_id: str, *, after: int = 0, limit: int | None = None) -> builtins.list[LinkChange]:
        """Versions of a link above `after`, oldest first."""
        query = select(link_history).where(link_history.c.link_id == link_id, link_history.c.version > after)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(link_history.c.version).limit(limit)).all()
        return [
            LinkChange(
                version=row.version,
                definition=_definition(row.definition),
                author=row.author,
                changed_at=row.changed_at,
            )
            for row in rows
        ]

    # --- changing --------------------------------------------------------------------------------------------------------------

    def add(self, definition: LinkDefinition, *, author: str) -> Link:
        """Create a link.

        Raises:
            Invalid: the definition breaks a rule; `reason` says which.
            Conflict: `link_exists`: the slug is taken on that domain.
        """
        return self.save(new=[self.checked(definition)], author=author)[0]

    def edit(self, link_id: str, changes: dict[str, Any], *, author: str, version: int | None = None) -> Link:
        """Change fields of a link; a change that changes nothing makes no version.

        Args:
            version: the one the changes were made for; None = whatever is there.

        Raises:
            NotFound: `unknown_link`.
            Invalid: a rule is broken, or `identity` when slug or domain would change.
            Conflict: `changed_meanwhile`: somebody else was faster.
        """
        present = self._present(link_id, version)
        wanted = self.checked(changed(present.definition, changes))
        return present if wanted == present.definition else self._replace(present, wanted, author=author)

    def disable(self, link_id: str, *, author: str, disabled: bool = True, version: int | None = None) -> Link:
        """Switch a link off (410) or on again."""
        return self.edit(link_id, {"disabled": disabled}, author=author, version=version)

    def undo(self, link_id: str, *, author: str, to: int | None = None, version: int | None = None) -> Link:
        """Bring back the version before the last one, or version `to`, as a new version; undoing an undo brings the change back.

        Raises:
            NotFound: `unknown_link`, `unknown_version`.
            Invalid: the old version breaks a rule of today, such as the allow-list.
            Conflict: `nothing_to_undo`, `changed_meanwhile`.
        """
        present = self._present(link_id, version)
        wanted = self.checked(self.before(present, to).definition)
        return present if wanted == present.definition else self._replace(present, wanted, author=author)

    def before(self, present: Link, to: int | None = None) -> LinkChange:
        """The version that an undo would bring back.

        Raises:
            NotFound: `unknown_version`.
            Conflict: `nothing_to_undo`.
        """
        target = present.version - 1 if to is None else to
        if target < 1:
            raise Conflict("nothing_to_undo", "the link is as it was created: disable it to take it back")
        found = self.history(present.link_id, after=target - 1, limit=1)
        if not found:
            raise NotFound("unknown_version", f"there is no version {target}: the last one is {present.version}")
        return found[0]

    def checked(self, definition: LinkDefinition) -> LinkDefinition:
        """The definition in its normal form.

        Raises:
            Invalid: it breaks a rule; `reason` says which.
        """
        return checked(definition, allowed=self.allowed)

    def prepared(self, link: Link) -> LiveLink:
        """A link as workers hold it."""
        return to_live(link, allowed=self.allowed)

    def save(
        self,
        *,
        new: Sequence[LinkDefinition] = (),
        replaced: Sequence[tuple[Link, LinkDefinition]] = (),
        author: str,
    ) -> builtins.list[Link]:
        """Write checked definitions of new links and of present ones in one transaction: all or none.

        Raises:
            Conflict: `link_exists` or `changed_meanwhile`.
        """
        try:
            with self._engine.begin() as connection:
                at = self._next_updated_at(connection)
                made = [
                    Link(link_id=uuid.uuid4().hex, version=1, definition=definition, updated_at=at + number)
                    for number, definition in enumerate(new)
                ]
                pairs = [
                    (
                        before,
                        msgspec.structs.replace(
                            before, version=before.version + 1, definition=after, updated_at=at + n
                        ),
                    )
                    for n, (before, after) in enumerate(replaced, len(made))
                ]
                insert_links(connection, made, allowed=self.allowed)
                replace_links(connection, pairs, allowed=self.allowed)
                made += [after for _, after in pairs]
                remember(connection, made, author=author)
        except IntegrityError:
            names = ", ".join(f"{definition.domain}/{definition.slug}" for definition in new[:3])
            more = " or one of the others" if len(new) > 3 else ""
            raise Conflict("link_exists", f"{names}{more} is taken; edit it, or choose another slug") from None
        return made

    def _present(self, link_id: str, version: int | None) -> Link:
        present = self.get(link_id)
        if version is not None and version != present.version:
            raise changed_meanwhile(f"this was made for version {version}, the last one is {present.version}")
        return present

    def _replace(self, present: Link, wanted: LinkDefinition, *, author: str) -> Link:
        return self.save(replaced=[(present, wanted)], author=author)[0]

    def _next_updated_at(self, connection: Connection) -> int:
        """Now, but later than every change so far, so that times tell the order, too."""
        latest = connection.execute(select(func.max(links.c.updated_at))).scalar()
        return max(self._clock(), (latest or 0) + 1)


def to_link(row: Row[Any]) -> Link:
    """A row of the `links` table as a Link."""
    return Link(
        link_id=row.link_id, version=row.version, definition=_definition(row.definition), updated_at=row.updated_at
    )


def changed(definition: LinkDefinition, changes: dict[str, Any]) -> LinkDefinition:
    """The definition with some fields replaced, unchecked but of the right types.

    Raises:
        Invalid: `identity`, `unknown_field`, or the field that has the wrong type.
    """
    for field, value in changes.items():
        if field not in LinkDefinition.__struct_fields__:
            raise Invalid("unknown_field", f"{field!r} is no field of a link")
        if field in IDENTITY and value != getattr(definition, field):
            raise Invalid("identity", f"{field} of a link never changes: add another link and disable this one")
    return definition_from({**msgspec.to_builtins(definition), **msgspec.to_builtins(changes)})


def _definition(value: Any) -> LinkDefinition:
    return msgspec.convert(value, LinkDefinition)


def _one(row: Row[Any] | None, name: str) -> Link:
    if row is None:
        raise NotFound("unknown_link", f"there is no link {name}")
    return to_link(row)
