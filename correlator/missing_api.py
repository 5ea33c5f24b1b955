"""The reading route of modelled missing conversions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from core.principal import Principal
from correlator import metrics
from correlator.campaign_names import campaign_names, named
from correlator.completeness import COUNTED
from correlator.figures import page, present
from correlator.kept import STEPPED_FROM
from correlator.missing import missing
from correlator.past import matched
from correlator.query_params import AsOf, Campaign, Client, Cursor, From, Limit, To

if TYPE_CHECKING:
    from correlator.api import Reports


def add_missing(router: APIRouter, reports: Reports, reader: Any) -> None:
    """GET /missing-conversions."""

    @router.get("/missing-conversions")
    def modelled_missing(
        principal: Principal = reader,
        since: From = "",
        until: To = "",
        as_of: AsOf = "",
        campaign: Campaign = "",
        client: Client = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> JSONResponse:
        """Conversions that consent and blockers hid, modelled beside the observed ones and in none of the other figures."""
        question = reports.ask(
            principal, client=client, since=since, until=until, as_of=as_of, campaign=campaign, rests_on=STEPPED_FROM
        )
        with (
            metrics.REPORT_SECONDS.labels("missing").time(),
            matched(reports.store, reports.config, question) as known,
        ):
            found = missing(reports.store, reports.config, known)
        shown, following = page(found, key=lambda row: row.campaign, cursor=cursor, limit=limit)
        told = reports.told(question, metric="conversion_rate", of=COUNTED)
        names = campaign_names(reports.store, question) if shown else {}
        rows = [named(row, names) for row in present(shown)]
        return JSONResponse(reports.envelope(question, **told, rows=rows, next_cursor=following))
