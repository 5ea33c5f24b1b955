"""`POST /api/v1/links/{name}/sign`: an address with a signed destination, or with signed campaign parameters."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.clock import Clock, now_ms, to_rfc3339
from core.destinations import MAX_URL_CHARS
from core.errors import Conflict, Invalid
from core.principal import Principal
from redirect.links.answers import refusals
from redirect.links.desk import LinkDesk
from redirect.links.model import Link
from redirect.links.parameters import Domain, Name
from redirect.links.routing import checked_destination
from redirect.links.templates import short_url
from redirect.signing import CAMPAIGN_NAMES, sign_campaign, sign_destination

DAY_S = 86_400
MAX_EXPIRY_S = 3_650 * DAY_S
Text = Annotated[str, StringConstraints(max_length=256)]


class SignBody(BaseModel):
    """Either a destination, for a link with `sign: destination`, or campaign parameters, for one with `sign: campaign`."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field("", max_length=MAX_URL_CHARS, description="Where it leads; on the allow-list.")
    expires_in_s: int = Field(7 * DAY_S, ge=1, le=MAX_EXPIRY_S, description="How long it opens the destination.")
    parameters: dict[Text, Text] = Field({}, max_length=len(CAMPAIGN_NAMES), description="utm_* and ct_* parameters.")


class SignedView(BaseModel):
    """`url` is complete; further parameters may follow it, other campaign parameters may not."""

    url: str
    destination: str
    expires_at: str = Field(description="RFC 3339; empty: signed campaign parameters do not expire.")


def add_routes(router: APIRouter, desk: LinkDesk, caller: Any, *, key: bytes, clock: Clock = now_ms) -> None:
    """Add the route; `key` signs."""

    @router.post("/{name}/sign", responses=refusals(400, 404, 409))
    def sign(name: Name, body: SignBody, principal: Principal = caller, domain: Domain = "") -> SignedView:
        """Sign what a query may say; nothing is stored."""
        link = desk.named(name, domain=domain, principal=principal)
        if bool(body.destination) == bool(body.parameters):
            raise Invalid("sign", "give a destination or parameters, and not both")
        if body.destination:
            return _destination(link, body, desk, key=key, now=clock())
        return _campaign(link, body, desk, key=key)


def _destination(link: Link, body: SignBody, desk: LinkDesk, *, key: bytes, now: int) -> SignedView:
    definition = link.definition
    _check_kind(link, "destination")
    url = checked_destination(body.destination, allowed=desk.links.allowed)
    expires_s = now // 1000 + body.expires_in_s
    query = sign_destination(key, domain=definition.domain, slug=definition.slug, destination=url, expires_s=expires_s)
    address = f"{short_url(definition, base_url=desk.links.base_url)}?{query}"
    return SignedView(url=address, destination=url, expires_at=to_rfc3339(expires_s * 1000))


def _campaign(link: Link, body: SignBody, desk: LinkDesk, *, key: bytes) -> SignedView:
    definition = link.definition
    _check_kind(link, "campaign")
    unknown = sorted(name for name in body.parameters if name.encode("utf-8", "replace") not in CAMPAIGN_NAMES)
    if unknown:
        names = ", ".join(sorted(name.decode() for name in CAMPAIGN_NAMES))
        raise Invalid("parameters", f"{unknown[0]!r} is not covered by a signature; these are: {names}")
    try:
        query = sign_campaign(key, domain=definition.domain, slug=definition.slug, parameters=body.parameters)
    except UnicodeEncodeError:
        raise Invalid("parameters", "a value holds half a character") from None
    address = f"{short_url(definition, base_url=desk.links.base_url)}?{query}"
    return SignedView(url=address, destination=definition.destination, expires_at="")


def _check_kind(link: Link, wanted: str) -> None:
    if link.definition.sign != wanted:
        says = link.definition.sign or "nothing"
        raise Conflict("not_signed", f"the link wants {says} to be signed: set its sign to {wanted!r} first")
