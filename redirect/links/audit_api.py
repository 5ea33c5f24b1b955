"""`GET /api/v1/links/audit`: all links with their risks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field

from core.clock import Clock, now_ms
from core.errors import StoreError
from core.principal import Principal
from redirect.links.answers import refusals
from redirect.links.audit import NEED_USE, RISKS, SEVERITIES, Finding, Settings, Severity, Use, audit
from redirect.links.desk import LinkDesk
from redirect.links.parameters import Client, Limit

log = structlog.get_logger(__name__)

#: Hits by link ID as of `now` (ms); raises StoreError when the store does not answer.
ReadUse = Callable[[int], Mapping[str, Use]]


class FindingView(BaseModel):
    slug: str
    domain: str
    client: str
    link_id: str
    risk: str
    severity: Severity
    detail: str = Field(description="The place or figure it is about.")


class RiskView(BaseModel):
    risk: str
    severity: Severity
    links: int
    meaning: str


class AuditView(BaseModel):
    """`risks` counts all of them, the worst first; `findings` names up to `limit`, the worst first."""

    audited: int
    risks: list[RiskView]
    findings: list[FindingView]
    more: int = Field(description="Findings beyond `limit`.")
    not_checked: list[str] = Field(description="Risks that only the store could tell, and it did not answer.")


def add_routes(
    router: APIRouter,
    desk: LinkDesk,
    caller: Any,
    *,
    settings: Settings,
    read_use: ReadUse | None,
    clock: Clock = now_ms,
) -> None:
    @router.get("/audit", responses=refusals())
    def audit_links(principal: Principal = caller, client: Client = None, limit: Limit = 1000) -> AuditView:
        """Every link with its risks, from a closed list."""
        now = clock()
        links = tuple(desk.links.walk(desk.wanted(principal, tags=(), client=client, search="")))
        use = _use(read_use, now)
        found = sorted(audit(links, settings=settings, now=now, use=use), key=_worst_first)
        return AuditView(
            audited=len(links),
            risks=_counted(found),
            findings=[FindingView.model_validate(msgspec.to_builtins(one)) for one in found[:limit]],
            more=max(0, len(found) - limit),
            not_checked=[] if use is not None else list(NEED_USE),
        )


def _use(read_use: ReadUse | None, now: int) -> Mapping[str, Use] | None:
    if read_use is None:
        return None
    try:
        return read_use(now)
    except StoreError as error:
        log.warning("the audit does without the store", error=str(error))
        return None


def _worst_first(finding: Finding) -> tuple[int, int, str, str]:
    return SEVERITIES.index(finding.severity), list(RISKS).index(finding.risk), finding.slug, finding.domain


def _counted(found: list[Finding]) -> list[RiskView]:
    links = Counter(risk for risk, _ in {(one.risk, one.link_id) for one in found})
    return [
        RiskView(risk=risk, severity=severity, links=links[risk], meaning=meaning)
        for risk, (severity, meaning) in RISKS.items()
        if links[risk]
    ]
