"""What a link is: the definition people write, and the stored link with its version."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from core.clock import parse_rfc3339
from core.errors import Invalid
from core.identity import is_qualified
from redirect.destinations import AllowList
from redirect.links.routing import Rule, Variant, checked_destination, checked_rules, checked_variants

Answer = Literal["redirect", "unavailable"]
#: What a link's redirect answers; none of them is cached (docs/redirect.md).
Status = Literal[301, 302, 307]
#: What a link's parameters must carry a signature for (`redirect.signing`).
Sign = Literal["", "campaign", "destination"]
STATUSES: Final = (301, 302, 307)
PLATFORMS: Final = ("google", "meta", "microsoft", "tiktok", "x", "linkedin", "other")
#: Paths of the redirect listener that no slug may take.
RESERVED_SLUGS: Final = frozenset(("ct", "ct.js", "healthz", "robots.txt", "favicon.ico"))
MAX_TAGS: Final = 32

_SLUG = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?")
_TAG = re.compile(r"[^\s,][^,\x00-\x1f]{0,63}")


class LinkDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link as people write it. `domain` "" answers on every domain; IDs are qualified (`google:1:2`)."""

    slug: str
    destination: str
    domain: str = ""
    platform: str = ""
    #: The platform's own account ID, for templates of links without a fixed campaign.
    account: str = ""
    campaign: str = ""
    ad_group: str = ""
    creative: str = ""
    tags: tuple[str, ...] = ()
    client: str = ""
    note: str = ""
    disabled: bool = False
    #: The platform sends the buyer straight to the page and calls the redirect in the background.
    parallel_tracking: bool = False
    #: "unavailable" answers 503 by a configuration change; such hits are lost clicks.
    answer: Answer = "redirect"
    #: Pass known personal parameters (email, phone, name …) on to the destination. They are never recorded.
    pass_personal: bool = False
    #: Conditions in the order they are tried; then the variants by weight, then the destination (`redirect.resolve`).
    rules: tuple[Rule, ...] = ()
    variants: tuple[Variant, ...] = ()
    status: Status = 302
    #: RFC 3339 with a zone; before `starts`, from `expires` on and once `max_clicks` are reached (0 = no limit) hits go to
    #: `fallback`, without one they are lost clicks.
    starts: str = ""
    expires: str = ""
    max_clicks: int = 0
    fallback: str = ""
    sign: Sign = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A stored link. `version` counts its changes from 1; `updated_at` is in ms and orders all changes of the database."""

    link_id: str
    version: int
    definition: LinkDefinition
    updated_at: int


class LinkChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a link's history."""

    version: int
    definition: LinkDefinition
    author: str
    changed_at: int


def checked(definition: LinkDefinition, *, allowed: AllowList) -> LinkDefinition:
    """The definition in its normal form, with every rule applied.

    Raises:
        Invalid: with the reason of the first rule it breaks.
    """
    _check_names(definition)
    _check_schedule(definition)
    if definition.status not in STATUSES:
        raise Invalid("status", f"{definition.status}: one of 301, 302, 307")
    fallback = definition.fallback
    return msgspec.structs.replace(
        definition,
        destination=checked_destination(definition.destination, allowed=allowed),
        rules=checked_rules(definition.rules, allowed=allowed),
        variants=checked_variants(definition.variants, allowed=allowed),
        fallback=checked_destination(fallback, allowed=allowed, where="fallback: ") if fallback else "",
        domain=definition.domain.lower(),
        platform=definition.platform or _platform_of(definition.campaign),
    )


def _check_names(definition: LinkDefinition) -> None:
    if not _SLUG.fullmatch(definition.slug) or definition.slug in RESERVED_SLUGS:
        raise Invalid("slug", f"{definition.slug!r}: letters, digits, - _ . ~ (1 to 128), and not a path of ours")
    if definition.domain and not _DOMAIN.fullmatch(definition.domain.lower()):
        raise Invalid("domain", f"{definition.domain!r} is no host name")
    if definition.platform and definition.platform not in PLATFORMS:
        raise Invalid("platform", f"{definition.platform!r}: one of {', '.join(PLATFORMS)}")
    for field in ("campaign", "ad_group", "creative"):
        value = getattr(definition, field)
        if value and not is_qualified(value):
            raise Invalid(field, f"{value!r} is not qualified: write <platform>:<account>:<id>")
    own_platform = _platform_of(definition.campaign)
    if definition.platform and own_platform and definition.platform != own_platform:
        raise Invalid("campaign", f"{definition.campaign!r} does not belong to platform {definition.platform}")
    if len(definition.tags) > MAX_TAGS or not all(_TAG.fullmatch(tag) for tag in definition.tags):
        raise Invalid("tags", f"at most {MAX_TAGS} tags of 1 to 64 characters without commas")


def _check_schedule(definition: LinkDefinition) -> None:
    try:
        starts, expires = (parse_rfc3339(text) if text else None for text in (definition.starts, definition.expires))
    except ValueError as error:
        raise Invalid("schedule", f"starts, expires: {error}") from None
    if starts is not None and expires is not None and expires <= starts:
        raise Invalid("schedule", f"expires {definition.expires} is not after starts {definition.starts}")
    if definition.max_clicks < 0:
        raise Invalid("max_clicks", f"{definition.max_clicks}: 0 for no limit, or how many clicks the link may have")


def _platform_of(campaign: str) -> str:
    return campaign.partition(":")[0]
