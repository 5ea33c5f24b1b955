"""The links API (`/api/v1/links`): one resource, the same rules as the store behind it.

A link is named by its ID, or by its slug with `?domain=` when it has one. Every route needs the scope `links`; a key sees the links of
its clients only, the others do not exist for it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from core.errors import Forbidden, NotFound
from core.principal import Authorize, Principal
from redirect.links.model import Link, LinkDefinition
from redirect.links.store import LinkStore
from redirect.links.templates import short_url, tracking_template

MAX_PAGE = 1000


class LinkChanges(BaseModel):
    """Fields of a link that may change; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    destination: str | None = Field(None, max_length=2048)
    platform: str | None = Field(None, max_length=32)
    account: str | None = Field(None, max_length=64)
    campaign: str | None = Field(None, max_length=255, description="Qualified: <platform>:<account>:<id>.")
    ad_group: str | None = Field(None, max_length=255)
    creative: str | None = Field(None, max_length=255)
    tags: list[str] | None = Field(None, max_length=32)
    client: str | None = Field(None, max_length=64)
    note: str | None = Field(None, max_length=1000)
    disabled: bool | None = Field(None, description="Answer 410.")
    parallel_tracking: bool | None = Field(None, description="The platform calls the redirect in the background.")
    answer: Literal["redirect", "unavailable"] | None = Field(
        None, description="unavailable = answer 503; such hits are lost clicks."
    )
    pass_personal: bool | None = Field(None, description="Pass known personal parameters on. They are never recorded.")


class LinkBody(LinkChanges):
    """A new link. Without `parallel_tracking`, Google's links have it, because Google always works that way."""

    slug: str = Field(max_length=128)
    destination: str = Field(max_length=2048)
    domain: str = Field("", max_length=255)


class LinkView(BaseModel):
    """A link as it is answered; times in milliseconds since the epoch."""

    link_id: str
    version: int
    updated_at: int
    short_url: str
    tracking_template: str = Field(description="To be pasted into the ad platform; empty when its account is unknown.")
    slug: str
    destination: str
    domain: str
    platform: str
    account: str
    campaign: str
    ad_group: str
    creative: str
    tags: list[str]
    client: str
    note: str
    disabled: bool
    parallel_tracking: bool
    answer: Literal["redirect", "unavailable"]
    pass_personal: bool


class LinkPage(BaseModel):
    """`next` is the cursor of the next page, null on the last one."""

    links: list[LinkView]
    next: str | None


class ChangeView(BaseModel):
    version: int
    author: str
    changed_at: int
    definition: dict[str, Any]


class LinkHistory(BaseModel):
    link_id: str
    changes: list[ChangeView]


def build_router(links: LinkStore, *, authorize: Authorize) -> APIRouter:
    """The routes under `/api/v1/links`."""
    router = APIRouter(prefix="/api/v1/links", tags=["links"])
    # A default, not an alias: FastAPI cannot resolve the name of a local in a postponed annotation.
    caller = Depends(authorize("links"))
    doors = _Doors(links)

    @router.post("", status_code=201)
    def add(body: LinkBody, response: Response, principal: Principal = caller) -> LinkView:
        """Create a link."""
        view = doors.add(body, principal)
        response.headers["Location"] = f"/api/v1/links/{view.link_id}"
        return view

    @router.get("")
    def list_links(
        principal: Principal = caller,
        tag: str = "",
        client: str | None = None,
        search: str = "",
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> LinkPage:
        """Links by slug; `search` looks into slug, destination, campaign and note."""
        return doors.page(principal, tag=tag, client=client, search=search, cursor=cursor, limit=limit)

    @router.get("/{name}")
    def show(name: str, principal: Principal = caller, domain: str = "") -> LinkView:
        """One link."""
        return doors.view(doors.named(name, domain, principal))

    @router.patch("/{name}")
    def edit(name: str, changes: LinkChanges, principal: Principal = caller, domain: str = "") -> LinkView:
        """Change a link; slug and domain never change."""
        return doors.edit(doors.named(name, domain, principal), changes, principal)

    @router.delete("/{name}")
    def disable(name: str, principal: Principal = caller, domain: str = "") -> LinkView:
        """Disable a link. It is never deleted: clicks go on referring to it."""
        link = doors.named(name, domain, principal)
        return doors.view(links.disable(link.link_id, author=principal.name))

    @router.get("/{name}/history")
    def history(name: str, principal: Principal = caller, domain: str = "") -> LinkHistory:
        """Every change of a link with its author, oldest first."""
        return doors.history(doors.named(name, domain, principal))

    return router


class _Doors:
    """Between the HTTP models and the store: who may see what, and the two shapes of a link."""

    def __init__(self, links: LinkStore) -> None:
        self._links = links

    def add(self, body: LinkBody, principal: Principal) -> LinkView:
        values = body.model_dump(exclude_none=True)
        platform = values.get("platform") or values.get("campaign", "").partition(":")[0]
        values.setdefault("parallel_tracking", platform == "google")
        if "client" not in values and len(principal.clients) == 1:
            (values["client"],) = principal.clients
        definition = LinkDefinition(**{**values, "tags": tuple(values.get("tags", ()))})
        _check_client(principal, definition.client)
        return self.view(self._links.add(definition, author=principal.name))

    def page(
        self, principal: Principal, *, tag: str, client: str | None, search: str, cursor: str, limit: int
    ) -> LinkPage:
        clients = _visible(principal, client)
        found = self._links.list(tag=tag, clients=clients, search=search, after=cursor, limit=limit + 1)
        shown = found[:limit]
        following = None
        if len(found) > limit:
            last = shown[-1].definition
            following = f"{last.slug}\t{last.domain}"
        return LinkPage(links=[self.view(link) for link in shown], next=following)

    def named(self, name: str, domain: str, principal: Principal) -> Link:
        """By ID, else by slug; a link of another client is answered as if it did not exist."""
        try:
            link = self._links.get(name)
        except NotFound:
            link = self._links.find(name, domain=domain.lower())
        if not principal.sees(link.definition.client):
            raise NotFound("unknown_link", f"there is no link {name}")
        return link

    def edit(self, link: Link, changes: LinkChanges, principal: Principal) -> LinkView:
        values = changes.model_dump(exclude_none=True)
        if "tags" in values:
            values["tags"] = tuple(values["tags"])
        if "client" in values:
            _check_client(principal, values["client"])
        return self.view(self._links.edit(link.link_id, values, author=principal.name))

    def history(self, link: Link) -> LinkHistory:
        changes = [
            ChangeView(
                version=change.version,
                author=change.author,
                changed_at=change.changed_at,
                definition=msgspec.to_builtins(change.definition),
            )
            for change in self._links.history(link.link_id)
        ]
        return LinkHistory(link_id=link.link_id, changes=changes)

    def view(self, link: Link) -> LinkView:
        definition, base = link.definition, self._links.base_url
        return LinkView(
            link_id=link.link_id,
            version=link.version,
            updated_at=link.updated_at,
            short_url=short_url(definition, base_url=base),
            tracking_template=tracking_template(definition, base_url=base),
            **msgspec.structs.asdict(definition),
        )


def _visible(principal: Principal, client: str | None) -> frozenset[str] | None:
    """The clients whose links are listed; None = all."""
    if client is None:
        return principal.clients or None
    _check_client(principal, client)
    return frozenset((client,))


def _check_client(principal: Principal, client: str) -> None:
    if not principal.sees(client):
        raise Forbidden("client", f"this key does not see client {client!r}")
