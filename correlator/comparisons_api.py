"""The reading route of comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from core.clock import DAY_MS, HOUR_MS
from core.errors import NotFound
from core.principal import Principal
from correlator import metrics
from correlator.campaign_names import campaign_names, named
from correlator.campaigns import campaigns
from correlator.comparisons import TRAILING_MS, compare
from correlator.control_campaign import HISTORY_DAYS
from correlator.figures import present
from correlator.past import matched
from correlator.query_params import AsOf, Client, From, To

if TYPE_CHECKING:
    from correlator.api import Reports


def add_comparisons(router: APIRouter, reports: Reports, reader: Any) -> None:
    """GET /campaigns/{campaign}/comparison."""

    @router.get("/campaigns/{campaign}/comparison")
    def compare_periods(
        campaign: str,
        principal: Principal = reader,
        since: From = "",
        until: To = "",
        as_of: AsOf = "",
        client: Client = "",
    ) -> JSONResponse:
        """The period (default: the last hour) against the same hours yesterday and a week ago, the trailing seven days, a control, the target."""
        question = reports.ask(
            principal,
            client=client,
            since=since,
            until=until,
            as_of=as_of,
            campaign=campaign,
            span_ms=HOUR_MS,
            earlier_ms=HISTORY_DAYS * DAY_MS,
        )
        ground = reports.ground(question)
        # Matched once for everything that is compared: no period of it begins more than a week earlier.
        everything = question.about(question.since - TRAILING_MS, question.until)
        with (
            metrics.REPORT_SECONDS.labels("comparison").time(),
            matched(reports.store, reports.config, everything) as known,
        ):
            asked = known.about(question.since, question.until)
            found = compare(reports.store, reports.config, asked, ground=ground)
            empty = not found.currency and all(one.missing for one in found.against)
            if empty and campaign not in {facts.campaign for facts in campaigns(reports.store, question)}:
                raise NotFound("unknown_campaign", f"there is no campaign {campaign}")
        told = reports.told(question, metric="cost_per_conversion", ground=ground)
        names = campaign_names(reports.store, question)
        shown = named(present(found), names)
        shown["against"] = [named(one, names) for one in shown["against"]]
        return JSONResponse(reports.envelope(question, **told, **shown))
