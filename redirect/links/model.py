"""What a link is: the definition people write, and the stored link with its version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from core.clock import parse_rfc3339
from core.destinations import MAX_URL_CHARS, AllowList
from core.errors import Invalid
from core.identity import is_qualified
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
#: Before a name: what follows is a slug, even where the API has a route of that name (`~tags`).
SLUG_MARK: Final = "~"
#: Words below /api/v1/links that are routes; a link with such a slug is named with the mark.
ROUTE_WORDS: Final = frozenset(("tags", "export", "import", "bulk", "audit"))
MAX_TAGS: Final = 32
MAX_CLICKS: Final = 10**12

_SLUG = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?")
_TAG = re.compile(r"[^\s,][^,\x00-\x1f]{0,63}")
#: Control characters, and halves of characters that no encoding can write; a note may have line breaks and tabs.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNWRITABLE_NOTE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FIELD_OF_ERROR = re.compile(r"`\$\.(\w+)")


class LinkDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link as people write it. What each field says here is also its description in the API."""

    slug: Annotated[str, Meta(max_length=128, description="The short path: letters, digits, - _ . ~")]
    destination: Annotated[str, Meta(max_length=MAX_URL_CHARS, description="Where it leads; on the allow-list.")]
    domain: Annotated[str, Meta(max_length=255, description="The domain it answers on; empty = on every one.")] = ""
    platform: Annotated[str, Meta(max_length=32, description=f"One of {', '.join(PLATFORMS)}.")] = ""
    account: Annotated[
        str, Meta(max_length=64, description="The platform's own account ID, for templates without a fixed campaign.")
    ] = ""
    campaign: Annotated[str, Meta(max_length=255, description="Qualified: <platform>:<account>:<id>.")] = ""
    ad_group: Annotated[str, Meta(max_length=255, description="Qualified: <platform>:<account>:<id>.")] = ""
    creative: Annotated[str, Meta(max_length=255, description="Qualified: <platform>:<account>:<id>.")] = ""
    tags: Annotated[tuple[str, ...], Meta(max_length=MAX_TAGS, description="Without commas, 1 to 64 characters.")] = ()
    client: Annotated[str, Meta(max_length=64, description="The tenant that owns the link.")] = ""
    note: Annotated[str, Meta(max_length=1000, description="Anything people should know.")] = ""
    disabled: Annotated[bool, Meta(description="Switched off: answers 410.")] = False
    parallel_tracking: Annotated[
        bool, Meta(description="The platform sends the buyer straight to the page and calls the redirect behind it.")
    ] = False
    answer: Annotated[Answer, Meta(description="unavailable = answer 503; such hits are lost clicks.")] = "redirect"
    pass_personal: Annotated[
        bool, Meta(description="Pass known personal parameters (email, phone, name …) on. They are never recorded.")
    ] = False
    rules: Annotated[tuple[Rule, ...], Meta(description="Conditions, in the order they are tried.")] = ()
    variants: Annotated[tuple[Variant, ...], Meta(description="Several destinations, chosen by weight.")] = ()
    status: Annotated[Status, Meta(description="What the redirect answers; none of them is cached.")] = 302
    starts: Annotated[str, Meta(max_length=64, description="RFC 3339 with a zone; before it, hits are early.")] = ""
    expires: Annotated[str, Meta(max_length=64, description="RFC 3339 with a zone; from it on, the link is over.")] = ""
    max_clicks: Annotated[int, Meta(ge=0, le=MAX_CLICKS, description="0 = no limit.")] = 0
    fallback: Annotated[
        str,
        Meta(
            max_length=MAX_URL_CHARS,
            description="Where hits go before starts, from expires on and after max_clicks; empty = they are lost clicks.",
        ),
    ] = ""
    sign: Annotated[Sign, Meta(description="What the link's parameters must carry a signature for.")] = ""


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


def definition_from(values: dict[str, Any]) -> LinkDefinition:
    """A definition from decoded JSON: types and lengths are right, its rules are not checked yet.

    Raises:
        Invalid: the reason is the field.
    """
    try:
        return msgspec.convert(values, LinkDefinition)
    except msgspec.ValidationError as error:
        field = _FIELD_OF_ERROR.search(str(error))
        raise Invalid(field.group(1) if field else "missing_field", str(error)) from None


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
    definition = definition_from(msgspec.to_builtins(definition))  # types and lengths, however it was made
    normal = msgspec.structs.replace(
        definition,
        note=definition.note.replace("\r\n", "\n"),
        tags=tuple(dict.fromkeys(tag.rstrip() for tag in definition.tags)),
        destination=checked_destination(definition.destination, allowed=allowed),
        rules=checked_rules(definition.rules, allowed=allowed),
        variants=checked_variants(definition.variants, allowed=allowed),
        fallback=checked_destination(fallback, allowed=allowed, where="fallback: ") if fallback else "",
        domain=definition.domain.lower(),
        platform=definition.platform or _platform_of(definition.campaign),
    )
    _check_text(normal)
    _check_no_loop(normal)
    return normal


def every_destination(definition: LinkDefinition) -> Iterator[str]:
    """All the places that a link names, whether a hit can reach them or not."""
    yield definition.destination
    if definition.fallback:
        yield definition.fallback
    variants = [*definition.variants, *(variant for rule in definition.rules for variant in rule.variants)]
    yield from (rule.destination for rule in definition.rules if rule.destination)
    yield from (variant.destination for variant in variants)


def check_address(slug: str, domain: str) -> None:
    """Raise Invalid (`slug` or `domain`) unless a link can have this address."""
    if not _SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        raise Invalid("slug", f"{slug!r}: letters, digits, - _ . ~ (1 to 128), and not a path of ours")
    if domain and not _DOMAIN.fullmatch(domain.lower()):
        raise Invalid("domain", f"{domain!r} is no host name")


def _check_text(definition: LinkDefinition) -> None:
    """No text of a link, however deep, has characters that a database, a CSV file or a header cannot carry."""
    for field in definition.__struct_fields__:
        texts = [msgspec.to_builtins(getattr(definition, field))]
        while texts:
            value = texts.pop()
            if isinstance(value, dict):
                texts += [*value, *value.values()]
            elif isinstance(value, list | tuple):
                texts += value
            elif isinstance(value, str) and (_UNWRITABLE if field != "note" else _UNWRITABLE_NOTE).search(value):
                raise Invalid("characters", f"{field}: {value!r} contains control characters or half a character")


def _check_no_loop(definition: LinkDefinition) -> None:
    """A link on a domain of its own may not lead to that domain, even when the settings do not know it as ours."""
    for url in every_destination(definition):
        if definition.domain and urlsplit(url).netloc == definition.domain:
            raise Invalid("destination_loop", f"{url} is on the link's own domain {definition.domain}")


def _check_names(definition: LinkDefinition) -> None:
    check_address(definition.slug, definition.domain)
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
