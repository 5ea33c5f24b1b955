"""The reading routes of reconciliation: on demand, and what the daily runs found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from core.principal import Principal
from correlator import metrics
from correlator.campaign_names import campaign_names, named
from correlator.completeness import RECONCILED
from correlator.figures import page, present
from correlator.kept import STEPPED_FROM
from correlator.kept_findings import Finding, findings
from correlator.past import matched
from correlator.query_params import AsOf, Campaign, Client, Cursor, From, Grain, Limit, To
from correlator.reconciliation import Reconciliation, looked_at, reconciliation

if TYPE_CHECKING:
    from correlator.api import Reports

_By = Annotated[
    Literal["", "campaign"], Query(description="campaign = a table for each campaign besides the one for all.")
]


def add_reconciliation(router: APIRouter, reports: Reports, reader: Any) -> None:
    """GET /reconciliation and /reconciliation/findings."""

    @router.get("/reconciliation")
    def compare_systems(
        principal: Principal = reader,
        since: From = "",
        until: To = "",
        as_of: AsOf = "",
        grain: Grain = "",
        by: _By = "",
        campaign: Campaign = "",
        client: Client = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> JSONResponse:
        """What each system counts, at which step clicks and sales get lost, and what is likely behind it (docs/reconciliation.md)."""
        question = reports.ask(
            principal,
            client=client,
            since=since,
            until=until,
            as_of=as_of,
            grain=grain,
            campaign=campaign,
            rests_on=STEPPED_FROM,
        )
        with (
            metrics.REPORT_SECONDS.labels("reconciliation").time(),
            matched(reports.store, reports.config, looked_at(question, reports.config)) as past,
        ):
            known = msgspec.structs.replace(question, matched_in=past.matched_in)
            tables = reconciliation(reports.store, reports.config, known, by_campaign=bool(by))
        shown, following = page(tables, key=_table_key, cursor=cursor, limit=limit)
        names = campaign_names(reports.store, question) if by else {}
        return JSONResponse(
            reports.envelope(
                question,
                **reports.told(question, metric="reconciliation_variance", of=RECONCILED),
                tables=[named(table, names) for table in present(shown)],
                next_cursor=following,
            )
        )

    @router.get("/reconciliation/findings")
    def daily_findings(
        principal: Principal = reader,
        since: From = "",
        until: To = "",
        as_of: AsOf = "",
        campaign: Campaign = "",
        client: Client = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> JSONResponse:
        """What the daily runs found of the days in the period, newest first. A key of some clients sees their campaigns only."""
        question = reports.ask(
            principal, client=client, since=since, until=until, as_of=as_of, campaign=campaign, rests_on=()
        )
        with metrics.REPORT_SECONDS.labels("reconciliation_findings").time():
            found = findings(reports.store, reports.config, question)
        shown, following = page(found, key=_finding_key, cursor=cursor, limit=limit)
        names = campaign_names(reports.store, question) if shown else {}
        told = [named(finding, names) for finding in present(shown)]
        return JSONResponse(reports.envelope(question, findings=told, next_cursor=following))


def _table_key(table: Reconciliation) -> str:
    """Everything first, then campaign by campaign; in each by time."""
    return f"{_scope_key(table.campaign)}\t{table.since_ms:015d}"


def _finding_key(finding: Finding) -> str:
    """Newest first, everything before its campaigns."""
    one = finding.found
    newest_first = f"{10**15 - finding.since_ms:015d}"
    return "\t".join((newest_first, _scope_key(finding.campaign), one.kind, one.name, one.system))


def _scope_key(campaign: str | None) -> str:
    return "0" if campaign is None else f"1{campaign}"
