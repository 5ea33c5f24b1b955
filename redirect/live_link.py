"""A link as the hot path needs it: everything that can be prepared is prepared, and looked up by raw path."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import msgspec

from redirect import reasons
from redirect.destinations import AllowList
from redirect.links.model import Link, LinkDefinition
from redirect.plan import Decision, Plan, has_routing, lost_target, to_plan, to_target


class LiveLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A link prepared. `plan` is None where every hit ends the same way: for a plain, disabled or unavailable link.

    `ids` goes on with a comma: the part of its Click records, as JSON, that says campaign, ad group and creative.
    """

    link_id: str
    version: int
    slug: str
    domain: str
    #: The end of every hit of a link without a plan.
    decision: Decision
    plan: Plan | None
    #: Names of parameters that the destination carries, as far as they are known before it is chosen.
    own: frozenset[bytes]
    ids: bytes
    platform: str
    campaign: str
    ad_group: str
    creative: str
    parallel: bool
    pass_personal: bool


def to_live(link: Link, *, allowed: AllowList) -> LiveLink:
    """Prepare a stored link."""
    definition = link.definition
    if definition.disabled:
        target, plan = lost_target(link, reasons.DISABLED), None
    elif definition.answer == "unavailable":
        target, plan = lost_target(link, reasons.UNAVAILABLE), None
    else:
        target = to_target(link, definition.destination, allowed=allowed)
        plan = to_plan(link, allowed=allowed) if has_routing(definition) else None
    return LiveLink(
        link_id=link.link_id,
        version=link.version,
        slug=definition.slug,
        domain=definition.domain,
        decision=Decision(target),
        plan=plan,
        own=target.own if plan is None else frozenset(),
        ids=_ids(definition),
        platform=definition.platform,
        campaign=definition.campaign,
        ad_group=definition.ad_group,
        creative=definition.creative,
        parallel=definition.parallel_tracking,
        pass_personal=definition.pass_personal,
    )


def _ids(definition: LinkDefinition) -> bytes:
    """Campaign, ad group and creative as the link's definition says, for hits whose parameters say nothing."""
    platform = definition.campaign.partition(":")[0] or definition.platform
    ids = {
        "platform": platform,
        "campaign": definition.campaign,
        "ad_group": definition.ad_group,
        "creative": definition.creative,
    }
    said = {name: value for name, value in ids.items() if value}
    return b"," + msgspec.json.encode(said)[1:-1] if said else b""


class LinkTable:
    """All links of a worker, by domain and raw path. One writer thread replaces entries; readers need no lock.

    A replaced entry is one dict assignment, so a reader sees a link either before or after its change, never between.
    """

    def __init__(self) -> None:
        self._everywhere: dict[bytes, LiveLink] = {}
        self._by_domain: dict[bytes, dict[bytes, LiveLink]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, link: LiveLink) -> None:
        """Add or replace a link; an older version than the present one is ignored."""
        paths = self._by_domain.setdefault(link.domain.encode(), {}) if link.domain else self._everywhere
        path = b"/" + link.slug.encode()
        present = paths.get(path)
        if present is None:
            self._count += 1
        if present is None or present.version <= link.version:
            paths[path] = link

    def find(self, host: bytes, path: bytes) -> LiveLink | None:
        """The link of a Host header and a raw path; a link of that domain wins over one of every domain."""
        if self._by_domain:
            paths = self._by_domain.get(host)
            if paths is None:
                paths = self._by_domain.get(_bare(host))
            if paths is not None:
                link = paths.get(path)
                if link is not None:
                    return link
        return self._everywhere.get(path)

    def find_unusual(self, host: bytes, path: bytes) -> LiveLink | None:
        """`find` for spellings nobody prints: percent-encoded letters, a trailing slash."""
        plain = unquote_to_bytes(path)
        if len(plain) > 1:
            plain = plain.removesuffix(b"/")
        return self.find(host, plain) if plain != path else None


def _bare(host: bytes) -> bytes:
    """A Host header's name without its port, in lower case."""
    name = host.lower()
    return name if name.startswith(b"[") else name.partition(b":")[0]
