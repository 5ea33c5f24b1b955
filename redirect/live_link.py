"""A link as the hot path needs it: everything that can be prepared is prepared."""

from __future__ import annotations

import msgspec

from core.destinations import AllowList
from redirect import reasons
from redirect.links.model import Link, LinkDefinition
from redirect.plan import Decision, Plan, ended, has_routing, lost_target, to_plan, to_target


class LiveLink(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
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
        decision=ended(target),
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
