"""`GET /api/v1/attribution`: what each model gives to each campaign, or to another dimension's values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from core.principal import Principal
from correlator import metrics
from correlator.attribution import MODELS, Credit, attribution, model_named, unmatched
from correlator.campaign_names import campaign_names, named
from correlator.completeness import COUNTED
from correlator.dimensions import CAMPAIGN, DIMENSIONS
from correlator.figures import page, present
from correlator.kept_answers import KeptAnswers
from correlator.past import matched
from correlator.query_params import AsOf, Campaign, Client, Cursor, From, Limit, To

if TYPE_CHECKING:
    from correlator.api import Reports

_By = Annotated[str, Query(description=f"{', '.join(DIMENSIONS)}; default campaign.")]
_Model = Annotated[str, Query(description=f"Only this model: {', '.join(MODELS)}; empty = all.")]


def add_attribution(router: APIRouter, reports: Reports, reader: Any) -> None:
    """The route, beside the other reports."""
    kept: KeptAnswers[list[Credit]] = KeptAnswers()

    @router.get("/attribution")
    def credits_by_model(
        principal: Principal = reader,
        since: From = "",
        until: To = "",
        as_of: AsOf = "",
        by: _By = "",
        model: _Model = "",
        campaign: Campaign = "",
        client: Client = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> JSONResponse:
        """Which campaigns the conversions belong to, model by model; in each the credits sum to the conversions."""
        question = reports.ask(
            principal, client=client, since=since, until=until, as_of=as_of, campaign=campaign, by=by
        )
        wanted = model_named(model)

        def work_out() -> list[Credit]:
            with (
                metrics.REPORT_SECONDS.labels("attribution").time(),
                matched(reports.store, reports.config, question) as known,
            ):
                return attribution(reports.store, reports.config, known)

        asked = (since, until, as_of, campaign, question.clients, question.by)
        credit = kept.answer(asked, work_out, now=question.now, further=bool(cursor))
        told = [entry for entry in credit if wanted in ("", entry.model)]
        shown, following = page(told, key=_key, cursor=cursor, limit=limit)
        names = campaign_names(reports.store, question) if question.by == CAMPAIGN.name else {}
        return JSONResponse(
            reports.envelope(
                question,
                by=question.by,
                models=list(MODELS),
                **reports.told(question, metric="revenue", of=COUNTED),
                unmatched=present(unmatched(credit)),
                rows=[named(_row(entry, by=question.by), names) for entry in shown],
                next_cursor=following,
            )
        )


def _key(entry: Credit) -> str:
    return "\t".join((entry.model, entry.key, entry.type, entry.origin, entry.currency))


def _row(entry: Credit, *, by: str) -> dict[str, Any]:
    """The credit, its value under the dimension's name, as it is called everywhere."""
    row: dict[str, Any] = present(entry)
    return {"model": row.pop("model"), by: row.pop("key"), **row}
