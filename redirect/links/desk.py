"""What the holder of a key may do with links: a key with clients sees and changes the links of its clients, the others do not exist for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from core.errors import Conflict, Forbidden, NotFound
from core.principal import Principal
from redirect.links.history import Step, steps
from redirect.links.model import SLUG_MARK, Link, LinkDefinition, definition_from
from redirect.links.search import Filter
from redirect.links.store import LinkStore

_NAME = re.compile(r"[A-Za-z0-9._~-]{1,129}")


class LinkDesk:
    """Between those who ask (HTTP, bulk, import) and the store."""

    def __init__(self, links: LinkStore) -> None:
        self.links = links

    def named(self, name: str, *, domain: str = "", principal: Principal) -> Link:
        """By ID, else by slug; a link of another client is answered as if it did not exist.

        Raises:
            NotFound: `unknown_link`.
        """
        unknown = NotFound("unknown_link", f"there is no link {name!r}" + (f" on {domain!r}" if domain else ""))
        if not _NAME.fullmatch(name) or not domain.isprintable():
            raise unknown
        try:
            link = self._by_id_or_slug(name, domain.lower())
        except NotFound:
            raise unknown from None
        if not principal.sees(link.definition.client):
            raise unknown
        return link

    def wanted(self, principal: Principal, *, tags: Sequence[str], client: str | None, search: str) -> Filter:
        """The filter of a list, within what the key sees.

        Raises:
            Forbidden: `client`.
        """
        if client is not None:
            check_client(principal, client)
        visible = (principal.clients or None) if client is None else frozenset((client,))
        return Filter(tags=tuple(tags), clients=visible, search=search)

    def new(self, values: dict[str, Any], principal: Principal) -> LinkDefinition:
        """A new link from what was said about it, unchecked, with the defaults that depend on it.

        Raises:
            Invalid: a field has the wrong type.
            Forbidden: `client`.
        """
        platform = values.get("platform") or str(values.get("campaign", "")).partition(":")[0]
        own: dict[str, Any] = {"parallel_tracking": platform == "google"}
        if len(principal.clients) == 1:
            (own["client"],) = principal.clients  # a key of one client need not name it
        definition = definition_from({**own, **values})
        check_client(principal, definition.client)
        return definition

    def add(self, values: dict[str, Any], principal: Principal) -> Link:
        """Create a link."""
        return self.links.add(self.new(values, principal), author=principal.name)

    def edit(self, link: Link, values: dict[str, Any], principal: Principal, *, version: int | None = None) -> Link:
        """Change a link that the key sees; it stays within the key's clients."""
        if "client" in values:
            check_client(principal, values["client"])
        return self.links.edit(link.link_id, values, author=principal.name, version=version)

    def undo(self, link: Link, principal: Principal, *, to: int | None = None, version: int | None = None) -> Link:
        """Bring back an older version; one of another client is as unknown as that client's links."""
        if not principal.sees(self.links.before(link, to).definition.client):
            raise Conflict("nothing_to_undo", "the version before belonged to a client that this key does not see")
        return self.links.undo(link.link_id, author=principal.name, to=to, version=version or link.version)

    def history(self, link: Link, principal: Principal, *, after: int, limit: int) -> list[Step]:
        """Versions above `after` with what each changed; those of other clients are left out."""
        # One version earlier is read as well, so that the first one of the page has something to be compared with.
        changes = self.links.history(link.link_id, after=max(0, after - 1), limit=limit + (after > 0))
        seen = [change for change in changes if principal.sees(change.definition.client)]
        return [step for step in steps(seen) if step.change.version > after]

    def _by_id_or_slug(self, name: str, domain: str) -> Link:
        if name.startswith(SLUG_MARK):
            return self.links.find(name.removeprefix(SLUG_MARK), domain=domain)
        try:
            return self.links.get(name)
        except NotFound:
            return self.links.find(name, domain=domain)


def check_client(principal: Principal, client: str) -> None:
    """Raise Forbidden (`client`) unless the key sees the client."""
    if not principal.sees(client):
        raise Forbidden("client", f"this key does not see client {client!r}")
