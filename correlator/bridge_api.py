"""`GET /api/v1/roi/bridge`: why a cost per lead that was shown live is another one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from core.principal import Principal
from correlator import metrics
from correlator.bridge import Bridge, bridge
from correlator.figures import present
from correlator.past import matched
from correlator.period import Question

if TYPE_CHECKING:
    from correlator.api import Reports


def add_bridge(router: APIRouter, reports: Reports, reader: Any) -> None:
    """The route, beside the other reports."""

    @router.get("/roi/bridge")
    def cost_per_lead_bridge(
        live_at: Annotated[str, Query(description="RFC 3339: the moment that the live figure was of.")],
        principal: Principal = reader,
        since: Annotated[str, Query(alias="from", description="RFC 3339; default a day before `to`.")] = "",
        until: Annotated[str, Query(alias="to", description="RFC 3339; default now, or `as_of`.")] = "",
        as_of: Annotated[str, Query(description="The moment of the later figure; default now.")] = "",
        campaign: Annotated[str, Query(description="Only this qualified campaign.")] = "",
        client: Annotated[str, Query(description="Tenant.")] = "",
        conversion_type: Annotated[str, Query(alias="type", description="Which conversions are leads.")] = "lead",
    ) -> JSONResponse:
        """From the live cost per lead to what the business paid for each lead that stands, cause by cause; the effects sum to the difference."""
        now = reports.ask(principal, client=client, since=since, until=until, as_of=as_of, campaign=campaign)
        live = reports.ask(principal, client=client, since=since, until=until, as_of=live_at, campaign=campaign)
        # The same period, also where it ends "now".
        live = live.about(now.since, now.until)
        with metrics.REPORT_SECONDS.labels("bridge").time():
            found = _worked_out(reports, live, now, type_=conversion_type)
        told = reports.told(now, metric="cost_per_lead")
        return JSONResponse(reports.envelope(now, **told, bridge=present(found)))


def _worked_out(reports: Reports, live: Question, now: Question, *, type_: str) -> Bridge:
    """Each moment's matches are worked out once, for all that is read of it."""
    store, config = reports.store, reports.config
    with matched(store, config, live) as before, matched(store, config, now) as after:
        return bridge(store, config, before, after, type_=type_)
