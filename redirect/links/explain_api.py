"""`GET /api/v1/links/{name}/explain`: why a hit would go where it goes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel

from core.clock import now_ms
from core.errors import Invalid
from core.principal import Principal
from redirect import explain
from redirect.links.answers import refusals
from redirect.links.desk import LinkDesk
from redirect.links.parameters import Domain, Name

Device = Literal["", "desktop", "mobile", "tablet", "bot", "other"]
System = Literal["", "ios", "android", "windows", "macos", "linux", "chromeos", "other"]


class StepView(BaseModel):
    step: str
    result: str
    why: str


class ExplanationView(BaseModel):
    """`location` is empty for a lost click; `trace` is what the click's record would say."""

    slug: str
    version: int
    at: str
    outcome: str
    http_status: int
    location: str
    variant: str
    trace: list[str]
    steps: list[StepView]


def add_routes(router: APIRouter, desk: LinkDesk, caller: Any) -> None:
    @router.get("/{name}/explain", responses=refusals(404))
    def explain_link(
        name: Name,
        principal: Principal = caller,
        domain: Domain = "",
        device: Device = "",
        os: System = "",
        language: Annotated[str, Query(max_length=35, description="Most preferred, like de-AT.")] = "",
        country: Annotated[str, Query(max_length=2, description="ISO 3166-1 alpha-2.")] = "",
        query: Annotated[str, Query(max_length=4096, description="The hit's query, as in its URL.")] = "",
        user_agent: Annotated[str, Query(max_length=512, description="Says device and os where they are not.")] = "",
        visitor: Annotated[str, Query(pattern="^([0-9a-f]{32})?$", description="ct_vid: draws the variant.")] = "",
        at: Annotated[str, Query(max_length=40, description="RFC 3339 with a zone; empty = now.")] = "",
        exhausted: Annotated[bool, Query(description="As if the link had its max_clicks.")] = False,
    ) -> ExplanationView:
        """Why a hit would go where it goes, step by step; nothing is recorded."""
        link = desk.named(name, domain=domain, principal=principal)
        raw = query.removeprefix("?").encode()
        found = explain.explain(
            link,
            desk.links.prepared(link),
            explain.state_visitor(
                device=device, os=os, language=language, country=country, user_agent=user_agent, query=raw
            ),
            query=raw,
            now=_moment(at),
            visitor_id=visitor,
            exhausted=exhausted,
        )
        return ExplanationView.model_validate(msgspec.to_builtins(found))


def _moment(text: str) -> int:
    try:
        return explain.moment(text, now=now_ms())
    except ValueError as error:
        raise Invalid("at", str(error)) from None
