"""A link as the hot path needs it: everything that can be prepared is prepared, and looked up by raw path."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from core.errors import Invalid
from core.pages import normalise_page
from redirect import reasons
from redirect.destinations import AllowList, normalise, parameter_names
from redirect.links.model import Link, LinkDefinition

SOURCE: Final = "redirect"

#: Outcome -> HTTP status of a known link.
STATUS: Final[dict[str, int]] = {
    reasons.REDIRECTED: 302,
    reasons.UNAVAILABLE: 503,
    reasons.DISABLED: 410,
    reasons.DESTINATION_NOT_ALLOWED: 403,
}


class LiveLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`location` + passed parameters + `ct_click=<id>` + `tail` is the Location header's value.

    `location` ends with ``?`` or ``&``; `tail` is the fragment with its mark, or empty. `record` and `ids` are the parts of its
    Click records that are the same for every hit, as JSON: `record` opens the object, `ids` goes on with a comma.
    """

    link_id: str
    version: int
    slug: str
    domain: str
    #: redirected, or why a hit is a lost click.
    outcome: str
    location: bytes
    tail: bytes
    own: frozenset[bytes]
    record: bytes
    ids: bytes
    platform: str
    campaign: str
    ad_group: str
    creative: str
    parallel: bool
    pass_personal: bool


def to_live(link: Link, *, allowed: AllowList) -> LiveLink:
    """Prepare a stored link. A destination that the allow-list no longer contains makes its hits lost clicks, never a redirect."""
    definition = link.definition
    location, tail, own = b"", b"", frozenset[bytes]()
    outcome: str = reasons.REDIRECTED
    try:
        destination = normalise(definition.destination)
        allowed.check(destination)
    except Invalid:
        outcome = reasons.DESTINATION_NOT_ALLOWED
    else:
        head, _, fragment = destination.url.partition("#")
        location = f"{head}{'&' if destination.query else '?'}".encode()
        tail = f"#{fragment}".encode() if fragment else b""
        own = parameter_names(destination.query)
    if definition.answer == "unavailable":
        outcome = reasons.UNAVAILABLE
    if definition.disabled:
        outcome = reasons.DISABLED
    return LiveLink(
        link_id=link.link_id,
        version=link.version,
        slug=definition.slug,
        domain=definition.domain,
        outcome=outcome,
        location=location,
        tail=tail,
        own=own,
        record=_record(link, outcome),
        ids=_ids(definition),
        platform=definition.platform,
        campaign=definition.campaign,
        ad_group=definition.ad_group,
        creative=definition.creative,
        parallel=definition.parallel_tracking,
        pass_personal=definition.pass_personal,
    )


def _record(link: Link, outcome: str) -> bytes:
    """What every Click of this link begins with."""
    definition = link.definition
    same = {
        "kind": "click",
        "source": SOURCE,
        "link_id": link.link_id,
        "link_version": link.version,
        "slug": definition.slug,
        "domain": definition.domain,
        "http_status": STATUS[outcome],
        "reason": outcome,
        "page": normalise_page(definition.destination),
    }
    if definition.client:
        same["client"] = definition.client
    return msgspec.json.encode(same)[:-1]


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
