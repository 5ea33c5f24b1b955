"""The links API (`/api/v1/links`): one resource, the same rules as the store behind it.

A link is named by its ID, or by its slug with `?domain=` when it has one; `~tags` is the link with the slug `tags`. Every route needs the
scope `links`; a key sees the links of its clients only, the others do not exist for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import SkipValidation

from core.errors import Conflict
from core.principal import Authorize, Principal
from redirect.links import audit_api, bulk, explain_api, qr, sign_api, transfer_api
from redirect.links.answers import refusals
from redirect.links.audit import Settings as AuditSettings
from redirect.links.audit_api import ReadUse
from redirect.links.bodies import (
    MAX_VERSION,
    BulkItem,
    BulkResults,
    ChangeView,
    FieldChange,
    LinkBody,
    LinkChanges,
    LinkHistory,
    LinkPage,
    LinkView,
    TagPage,
    TagView,
    UndoBody,
    link_values,
)
from redirect.links.desk import LinkDesk
from redirect.links.model import Link, LinkDefinition
from redirect.links.parameters import Client, Cursor, Domain, IfMatch, Limit, Name, Search, Tags
from redirect.links.search import cursor_after
from redirect.links.store import LinkStore
from redirect.links.templates import short_url, tracking_template

Items = Annotated[list[SkipValidation[BulkItem]], Body(description="At most 100; each has its own result.")]


def build_router(
    links: LinkStore,
    *,
    authorize: Authorize,
    signing_key: bytes = b"",
    domains: Sequence[str] = (),
    read_use: ReadUse | None = None,
) -> APIRouter:
    """The routes under `/api/v1/links`.

    Args:
        signing_key: signs addresses; without one there is no such route.
        domains: what `redirect.domains` says, for the audit.
        read_use: hits of links from the store, for the audit.
    """
    router = APIRouter(prefix="/api/v1/links", tags=["links"])
    # A default, not an alias: FastAPI cannot resolve the name of a local in a postponed annotation.
    caller = Depends(authorize("links"))
    desk = LinkDesk(links)
    # What has a word of its own comes before /{name}, which would take it for a slug.
    transfer_api.add_routes(router, desk, caller)
    served = frozenset(domain.lower() for domain in domains)
    settings = AuditSettings(allowed=links.allowed, base_url=links.base_url, domains=served)
    audit_api.add_routes(router, desk, caller, settings=settings, read_use=read_use)
    _add_lists(router, desk, caller)
    _add_changes(router, desk, caller)
    _add_one_link(router, desk, caller)
    explain_api.add_routes(router, desk, caller)
    if signing_key:
        sign_api.add_routes(router, desk, caller, key=signing_key)
    return router


def _add_lists(router: APIRouter, desk: LinkDesk, caller: Any) -> None:
    @router.get("", responses=refusals(), response_model_exclude_unset=True)
    def list_links(
        principal: Principal = caller,
        tag: Tags = [],  # noqa: B006  # FastAPI makes a new one for each request
        client: Client = None,
        search: Search = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> LinkPage:
        """Links by slug."""
        wanted = desk.wanted(principal, tags=tag, client=client, search=search)
        found = desk.links.list(wanted, after=cursor, limit=limit + 1)
        more = len(found) > limit
        views = [_view(link, desk.links.base_url) for link in found[:limit]]
        return LinkPage(links=views, next=cursor_after(found[limit - 1].definition) if more else None)

    @router.get("/tags", responses=refusals())
    def list_tags(
        principal: Principal = caller, client: Client = None, cursor: Cursor = "", limit: Limit = 100
    ) -> TagPage:
        """Tags in use, by name, with how many links have each."""
        wanted = desk.wanted(principal, tags=(), client=client, search="")
        found = desk.links.tags(wanted, after=cursor, limit=limit + 1)
        views = [TagView(tag=count.tag, links=count.links) for count in found[:limit]]
        return TagPage(tags=views, next=views[-1].tag if len(found) > limit else None)


def _add_changes(router: APIRouter, desk: LinkDesk, caller: Any) -> None:
    @router.post("", status_code=201, responses=refusals(400, 409), response_model_exclude_unset=True)
    def add(body: LinkBody, response: Response, principal: Principal = caller) -> LinkView:
        """Create a link."""
        link = desk.add(link_values(body), principal)
        response.headers["Location"] = f"/api/v1/links/{link.link_id}"
        return _tagged(link, desk, response)

    @router.post("/bulk", status_code=207, responses=refusals(400, 413), response_model_exclude_unset=True)
    def change_many(items: Items, principal: Principal = caller) -> BulkResults:
        """Add, edit, disable, enable or undo up to 100 links; each stands alone, in the order given."""
        return BulkResults(results=bulk.carry_out(items, desk, principal))

    @router.patch("/{name}", responses=refusals(400, 404, 409, 412), response_model_exclude_unset=True)
    def edit(
        name: Name,
        changes: LinkChanges,
        response: Response,
        principal: Principal = caller,
        domain: Domain = "",
        if_match: IfMatch = "",
    ) -> LinkView:
        """Change a link; slug and domain never change."""
        link = _matching(desk.named(name, domain=domain, principal=principal), if_match)
        version = _expected(link, if_match, changes.version)
        return _tagged(desk.edit(link, link_values(changes), principal, version=version), desk, response)

    @router.delete("/{name}", responses=refusals(404, 409, 412), response_model_exclude_unset=True)
    def disable(
        name: Name, response: Response, principal: Principal = caller, domain: Domain = "", if_match: IfMatch = ""
    ) -> LinkView:
        """Disable a link. It is never deleted: clicks go on referring to it."""
        link = _matching(desk.named(name, domain=domain, principal=principal), if_match)
        version = _expected(link, if_match, None)
        return _tagged(desk.edit(link, {"disabled": True}, principal, version=version), desk, response)

    @router.post("/{name}/undo", responses=refusals(400, 404, 409, 412), response_model_exclude_unset=True)
    def undo(
        name: Name,
        response: Response,
        body: UndoBody | None = None,
        principal: Principal = caller,
        domain: Domain = "",
        if_match: IfMatch = "",
    ) -> LinkView:
        """Bring back the version before the last one, as a new version; undoing an undo brings the change back."""
        link = _matching(desk.named(name, domain=domain, principal=principal), if_match)
        asked = body or UndoBody()
        version = _expected(link, if_match, asked.version)
        return _tagged(desk.undo(link, principal, to=asked.to, version=version), desk, response)


def _add_one_link(router: APIRouter, desk: LinkDesk, caller: Any) -> None:
    @router.get("/{name}", responses=refusals(404), response_model_exclude_unset=True)
    def show(name: Name, response: Response, principal: Principal = caller, domain: Domain = "") -> LinkView:
        """One link; its ETag is its version."""
        return _tagged(desk.named(name, domain=domain, principal=principal), desk, response)

    @router.get("/{name}/history", responses=refusals(404))
    def history(
        name: Name,
        principal: Principal = caller,
        domain: Domain = "",
        cursor: Annotated[int, Query(ge=0, le=MAX_VERSION, description="`next` of the page before.")] = 0,
        limit: Limit = 100,
    ) -> LinkHistory:
        """Every change of a link: who made it, what was before and after; oldest first."""
        link = desk.named(name, domain=domain, principal=principal)
        found = desk.history(link, principal, after=cursor, limit=limit)
        last = min(cursor + limit, link.version)
        changes = [
            ChangeView(
                version=step.change.version,
                author=step.change.author,
                changed_at=step.change.changed_at,
                changed={field: FieldChange(before=one, after=two) for field, (one, two) in step.changed.items()},
                definition=msgspec.to_builtins(step.change.definition),
            )
            for step in found
        ]
        return LinkHistory(link_id=link.link_id, changes=changes, next=str(last) if last < link.version else None)

    @router.get(
        "/{name}/qr",
        response_class=Response,
        responses={200: {"content": {media: {} for media in qr.MEDIA_TYPES.values()}}, **refusals(404)},
    )
    def qr_code(
        name: Name,
        principal: Principal = caller,
        domain: Domain = "",
        format: qr.Format = "svg",
        scale: Annotated[int, Query(ge=1, le=qr.MAX_SCALE, description="Pixels a module.")] = 8,
        border: Annotated[int, Query(ge=0, le=qr.MAX_BORDER, description="Modules; scanners need 4.")] = qr.QUIET_ZONE,
        level: Annotated[qr.Level, Query(description="How much may be lost: L 7 %, M 15 %, Q 25 %, H 30 %.")] = "M",
    ) -> Response:
        """The link's short address as a QR code."""
        link = desk.named(name, domain=domain, principal=principal)
        url = short_url(link.definition, base_url=desk.links.base_url)
        image = qr.picture(url, kind=format, scale=scale, border=border, level=level)
        return Response(image, media_type=qr.MEDIA_TYPES[format])


def _view(link: Link, base_url: str) -> LinkView:
    definition = link.definition
    fields = {name: msgspec.to_builtins(getattr(definition, name)) for name in LinkDefinition.__struct_fields__}
    return LinkView(
        link_id=link.link_id,
        version=link.version,
        updated_at=link.updated_at,
        short_url=short_url(definition, base_url=base_url),
        tracking_template=tracking_template(definition, base_url=base_url),
        **fields,
    )


def _tagged(link: Link, desk: LinkDesk, response: Response) -> LinkView:
    response.headers["ETag"] = _etag(link)
    return _view(link, desk.links.base_url)


def _etag(link: Link) -> str:
    return f'"{link.version}"'


def _matching(link: Link, if_match: str) -> Link:
    """Refuse when the caller has seen another version; `*` and no header stand for any."""
    seen = {tag.strip() for tag in if_match.split(",")}
    if if_match.strip() and "*" not in seen and _etag(link) not in seen:
        raise Conflict("changed_meanwhile", f"the link has the ETag {_etag(link)} by now: read it again", status=412)
    return link


def _expected(link: Link, if_match: str, named: int | None) -> int | None:
    """The version that the store must still find: what the body names, else the one that If-Match was compared with."""
    return named if named is not None or not if_match.strip() else link.version
