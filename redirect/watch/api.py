"""What the watch knows, over HTTP: the checks of a link, a check now, accepting what is there, and all destinations.

Every route needs the scope `links`; a key sees the destinations of its clients' links only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from core.clock import Clock, now_ms, to_rfc3339
from core.errors import Conflict
from core.principal import Authorize, Principal
from redirect.links.answers import refusals
from redirect.links.desk import LinkDesk
from redirect.links.model import Link
from redirect.links.parameters import Domain, Name
from redirect.links.store import LinkStore
from redirect.watch.check import State
from redirect.watch.memory import Remembered
from redirect.watch.prober import Prober
from redirect.watch.targets import destinations_of

MAX_HISTORY = 500
History = Annotated[int, Query(ge=0, le=MAX_HISTORY, description="Past checks in the answer.")]
_HISTORY = """
SELECT url, ts, state, findings, details, statuses, final_url, ttfb_ms, accepted_by
FROM check
WHERE source = 'watch' AND has({urls:Array(String)}, url)
ORDER BY ts DESC, o DESC
LIMIT {limit:UInt32}
"""


class Reader(Protocol):
    """The store's reading side."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class FindingView(BaseModel):
    finding: str = Field(description="A word from the list in docs/redirect.md.")
    kind: str = Field(description="failing, changed or care.")
    text: str


class BaselineView(BaseModel):
    """What is expected: the first good look, or what a person accepted."""

    final_url: str
    title: str
    at: str
    accepted_by: str
    accepted: list[str]


class DestinationView(BaseModel):
    """A URL and its newest look; times are RFC 3339, empty = not known."""

    url: str
    state: State | None = Field(description="null = nobody looked yet.")
    findings: list[FindingView]
    checked_at: str
    final_url: str
    statuses: list[int]
    hops: int
    ttfb_ms: int
    certificate_expires: str
    click_id_survived: bool
    title: str
    baseline: BaselineView | None
    links: list[str] = Field(description="At most 50; empty in the answer for one link.")


class CheckView(BaseModel):
    url: str
    at: str
    state: str
    findings: list[str]
    details: list[str]
    statuses: list[int]
    final_url: str
    ttfb_ms: int
    accepted_by: str


class LinkChecks(BaseModel):
    """`history` is newest first."""

    link_id: str
    slug: str
    destinations: list[DestinationView]
    history: list[CheckView]


class Destinations(BaseModel):
    destinations: list[DestinationView]


def build_router(
    links: LinkStore, prober: Prober, store: Reader, *, authorize: Authorize, clock: Clock = now_ms
) -> APIRouter:
    """`/api/v1/links/{name}/checks` and `/api/v1/destinations`."""
    router = APIRouter(prefix="/api/v1", tags=["links"])
    caller = Depends(authorize("links"))
    desk = LinkDesk(links)

    def answer(link: Link, history: int) -> LinkChecks:
        urls = destinations_of(link.definition, now=clock())
        known = prober.known(urls)
        return LinkChecks(
            link_id=link.link_id,
            slug=link.definition.slug,
            destinations=[destination_view(url, known.get(url)) for url in urls],
            history=_history(store, urls, history),
        )

    @router.get("/links/{name}/checks", responses=refusals(404))
    def checks(name: Name, principal: Principal = caller, domain: Domain = "", history: History = 20) -> LinkChecks:
        """What was seen where a link leads, with its history."""
        return answer(desk.named(name, domain=domain, principal=principal), history)

    @router.post("/links/{name}/checks", responses=refusals(404))
    def check_now(name: Name, principal: Principal = caller, domain: Domain = "") -> LinkChecks:
        """Look now; what is found is confirmed by a second look, so this may take half a minute."""
        link = desk.named(name, domain=domain, principal=principal)
        prober.check(destinations_of(link.definition, now=clock()))
        return answer(link, 0)

    @router.post("/links/{name}/checks/accept", responses=refusals(404, 409))
    def accept(name: Name, principal: Principal = caller, domain: Domain = "") -> LinkChecks:
        """Accept what was seen last as what is expected. A destination that does not work cannot be accepted (409)."""
        link = desk.named(name, domain=domain, principal=principal)
        urls = destinations_of(link.definition, now=clock())
        if not urls:
            raise Conflict("not_checked", "the link is switched off: it leads nowhere")
        prober.accept(urls, by=principal.name)
        return answer(link, 0)

    @router.get("/destinations", responses=refusals())
    def destinations(principal: Principal = caller, state: State | None = None) -> Destinations:
        """Every URL that links lead to, with its newest look; `state` = only those."""
        seen = [
            destination_view(each.url, known, links=each.links if not principal.clients else ())
            for each, known in prober.watched()
            if not principal.clients or any(principal.sees(client) for client in each.clients)
        ]
        return Destinations(destinations=[view for view in seen if state is None or view.state == state])

    return router


def destination_view(url: str, known: Remembered | None, *, links: Iterable[str] = ()) -> DestinationView:
    """What is remembered of a URL as it is answered."""
    seen, baseline = (known.seen, known.baseline) if known else (None, None)
    return DestinationView(
        url=url,
        state=known.state if known else None,
        findings=[FindingView(finding=f.word, kind=f.kind, text=f.text) for f in known.findings] if known else [],
        checked_at=_time(known.checked_at) if known else "",
        final_url=seen.final_url if seen else "",
        statuses=list(seen.statuses) if seen else [],
        hops=seen.hops if seen else 0,
        ttfb_ms=seen.ttfb_ms if seen else 0,
        certificate_expires=_time(seen.certificate_expires) if seen else "",
        click_id_survived=bool(seen and seen.click_id_survived),
        title=seen.title if seen else "",
        baseline=BaselineView(
            final_url=baseline.final_url,
            title=baseline.title,
            at=_time(baseline.at),
            accepted_by=baseline.accepted_by,
            accepted=list(baseline.accepted),
        )
        if baseline
        else None,
        links=list(links),
    )


def _history(store: Reader, urls: Iterable[str], limit: int) -> list[CheckView]:
    rows = store.rows(_HISTORY, {"urls": list(urls), "limit": limit}) if limit else []
    return [CheckView.model_validate({**_plain(row), "at": _row_time(row["ts"])}) for row in rows]


def _plain(row: dict[str, object]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items() if name != "ts"}


def _row_time(value: object) -> str:
    return _time(round(value.timestamp() * 1000)) if isinstance(value, datetime) else ""


def _time(ms: int) -> str:
    return to_rfc3339(ms) if ms else ""
