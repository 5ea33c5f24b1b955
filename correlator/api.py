"""The reading routes: campaigns and their timeline, clicks, incidents, ROI, attribution, reconciliation, freshness (design §9).

All take `from`, `to`, `as_of` (RFC 3339), and where it makes sense `grain`, `campaign`, `client`, `cursor` and `limit`. A key sees its
clients only. Handlers are plain functions: the framework runs them in worker threads, because the store must not block its event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from core.clock import DAY_MS, Clock, now_ms, to_rfc3339
from core.errors import NotFound
from core.identity import is_qualified, split_qualified
from core.metric_catalogue import catalogue
from core.principal import Authorize, Principal
from core.store.client import Store
from correlator import metrics
from correlator.attribution_api import add_attribution
from correlator.bridge_api import add_bridge
from correlator.campaigns import CampaignFacts, break_even_rate, campaigns
from correlator.comparisons_api import add_comparisons
from correlator.completeness import COUNTED, JOINED, Figure, FigureFreshness, figures
from correlator.config import CorrelatorConfig
from correlator.dimensions import DIMENSIONS
from correlator.figures import page, present
from correlator.freshness import freshness, journal_source, read_sources, without_details
from correlator.incident_list import IncidentView, incident, incidents
from correlator.journey import journey
from correlator.kept import COUNTED_FROM, JOURNEYED_FROM, STEPPED_FROM, kept_from, within_retention
from correlator.learned import read_learned
from correlator.metric_api import add_metrics
from correlator.missing_api import add_missing
from correlator.past import matched
from correlator.performance import Performance
from correlator.period import Question, ShippedThrough, ask, clients_for
from correlator.query_params import MAX_LIMIT
from correlator.query_params import AsOf as _AsOf
from correlator.query_params import Campaign as _Campaign
from correlator.query_params import Client as _Client
from correlator.query_params import Cursor as _Cursor
from correlator.query_params import From as _From
from correlator.query_params import Grain as _Grain
from correlator.query_params import Limit as _Limit
from correlator.query_params import To as _To
from correlator.reconciliation_api import add_reconciliation
from correlator.roi import RoiRow, roi
from correlator.standing import Ground, shown_in, shown_together
from correlator.traffic_report import Quality, traffic
from correlator.unmatched import faults, unmatched_sources
from correlator.unmatched_words import REASONS

#: Incidents and click journeys look back this long when no `from` is given.
LONG_SPAN_MS: Final = 30 * DAY_MS

_By = Annotated[str, Query(description=f"{', '.join(DIMENSIONS)}; default campaign.")]


class Reports:
    """What the routes share: the store, the settings, the clock, and how far the journal is shipped."""

    def __init__(
        self,
        store: Store,
        *,
        config: CorrelatorConfig,
        shipped_through: ShippedThrough,
        worked_through: ShippedThrough,
        clock: Clock,
        retention: Mapping[str, int],
    ) -> None:
        self.store = store
        self.retention = retention
        self.config = config
        self.shipped_through = shipped_through
        self.worked_through = worked_through
        self.clock = clock

    def ask(
        self,
        principal: Principal,
        *,
        client: str = "",
        span_ms: int = DAY_MS,
        rests_on: Collection[str] = COUNTED_FROM,
        earlier_ms: int = 0,
        **texts: str,
    ) -> Question:
        """The question of one request, restricted to what the key sees.

        Args:
            rests_on: the kinds that the answer is counted from.
            earlier_ms: how far before its period it looks, too.

        Raises:
            Refusal: see `correlator.period.ask`, `clients_for` and `correlator.kept.within_retention`.
        """
        given = {"since": "", "until": "", "as_of": "", **texts}
        question = ask(
            **given,
            clients=clients_for(principal, client),
            now=self.clock(),
            complete_through=lambda now: min(self.shipped_through(now), self.worked_through(now)),
            default_span_ms=span_ms,
        )
        return within_retention(question, self.config, self.retention, rests_on, earlier_ms=earlier_ms)

    def gone(self, kinds: Collection[str], *, at: int) -> list[str]:
        """The kinds of which what happened at `at` (ms) is not kept any more."""
        now = self.clock()
        return [kind for kind in kinds if at < kept_from(self.retention, [kind], now=now)]

    def ground(self, question: Question, rows: Sequence[Performance] = ()) -> Ground:
        """What the standing of the answer's figures rests on."""
        at = question.at
        sources = [
            journal_source(min(self.shipped_through(self.clock()), at), at=at),
            *read_sources(self.store, question),
        ]
        promised = figures(sources, accounts=accounts_asked(question, rows))
        # The newest bucket told, where no source promises anything: a campaign that rests for a month is not late.
        told = max((row.cost.reported_through_ms or 0 for row in rows), default=0)
        if told and all(one.figure != "spend" for one in promised):
            promised.append(FigureFreshness(figure="spend", complete_through_ms=told, slowest=""))
        learned = read_learned(self.store, at=at, history_days=self.config.learned_days)
        return Ground(at=at, promised=tuple(promised), learned=tuple(learned), config=self.config)

    def told(
        self,
        question: Question,
        rows: Sequence[Performance] = (),
        *,
        metric: str,
        of: Collection[Figure] = JOINED,
        ground: Ground | None = None,
    ) -> dict[str, Any]:
        """How far an answer's figures can be believed: `complete_through` by figure, `all` is the slowest of them, and the standing."""
        rests = ground or self.ground(question, rows)
        standing = rests.standing(
            shown_together(rows, since=question.since, until=question.until), metric=metric, made_of=of
        )
        parts = {str(one.figure): one.complete_through_ms for one in standing.figures}
        through = {name: to_rfc3339(moment) for name, moment in {**parts, "all": min(parts.values())}.items()}
        return {"complete_through": through, "standing": present(standing)}

    def envelope(self, question: Question, **content: object) -> dict[str, Any]:
        """What every answer about a period begins with."""
        return {
            "from": to_rfc3339(question.since),
            "to": to_rfc3339(question.until),
            "as_of": None if question.as_of is None else to_rfc3339(question.as_of),
            # What lies before is no longer kept as a whole: the figures are smaller than they were.
            "kept_from": to_rfc3339(question.kept_from) if question.since < question.kept_from else None,
            **content,
        }


def build_router(
    store: Store,
    *,
    authorize: Authorize,
    shipped_through: ShippedThrough,
    worked_through: ShippedThrough | None = None,
    config: CorrelatorConfig | None = None,
    clock: Clock = now_ms,
    retention: Mapping[str, int] | None = None,
) -> APIRouter:
    """All reading routes under /api/v1.

    Args:
        store: read only.
        authorize: gives the dependency that yields the principal of a `read` key.
        shipped_through: known_at (ms) up to which everything journaled is in the store (`Shipper.shipped_through`).
        worked_through: the same for the derived tables (`Correlator.worked_through`); as-of answers wait for both.
        config: catalogue and bands; the defaults when not given.
        clock: milliseconds.
        retention: days by kind (`core.settings.RetentionConfig.days`); everything for good when not given.
    """
    reports = Reports(
        store,
        config=config or CorrelatorConfig(),
        shipped_through=shipped_through,
        worked_through=worked_through or shipped_through,
        clock=clock,
        retention={} if retention is None else retention,
    )
    router = APIRouter(prefix="/api/v1", tags=["reports"])
    reader = Depends(authorize("read"))
    for add in (
        _add_campaigns,
        add_comparisons,
        add_missing,
        _add_clicks,
        _add_incidents,
        _add_roi,
        add_bridge,
        add_attribution,
        _add_unmatched,
        add_reconciliation,
        _add_freshness,
        _add_traffic,
    ):
        add(router, reports, reader)
    add_metrics(router, reader)
    return router


def _add_campaigns(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/campaigns")
    def list_campaigns(
        principal: Principal = reader,
        as_of: _AsOf = "",
        client: _Client = "",
        cursor: _Cursor = "",
        limit: _Limit = 100,
    ) -> JSONResponse:
        """Campaigns as platform and people describe them."""
        question = reports.ask(principal, client=client, as_of=as_of, rests_on=())
        with metrics.REPORT_SECONDS.labels("campaigns").time():
            found = campaigns(reports.store, question, config=reports.config)
        shown, following = page(found, key=lambda facts: facts.campaign, cursor=cursor, limit=limit)
        return _answer({"campaigns": [_campaign(facts) for facts in shown], "next_cursor": following})

    @router.get("/campaigns/{campaign}/timeline")
    def timeline(
        campaign: str,
        principal: Principal = reader,
        since: _From = "",
        until: _To = "",
        as_of: _AsOf = "",
        grain: _Grain = "15m",
        client: _Client = "",
        cursor: _Cursor = "",
        limit: _Limit = MAX_LIMIT,
    ) -> JSONResponse:
        """One campaign bucket by bucket: four quarters are the hour to the cent."""
        question = reports.ask(
            principal, client=client, since=since, until=until, as_of=as_of, grain=grain or "15m", campaign=campaign
        )
        with (
            metrics.REPORT_SECONDS.labels("timeline").time(),
            matched(reports.store, reports.config, question) as known,
        ):
            rows = roi(reports.store, reports.config, known, whole=False)
            if not rows and campaign not in {facts.campaign for facts in campaigns(reports.store, question)}:
                raise NotFound("unknown_campaign", f"there is no campaign {campaign}")
        measured = [row.figures for row in rows]
        ground = reports.ground(question, measured)
        shown, following = page(rows, key=_bucket_key, cursor=cursor, limit=limit)
        return _answer(
            reports.envelope(
                question,
                campaign=campaign,
                grain=grain or "15m",
                **reports.told(question, measured, metric="roi", ground=ground),
                buckets=[_return_row(row, ground) for row in shown],
                next_cursor=following,
            )
        )


def _add_clicks(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/clicks/{click_id}")
    def click(click_id: str, principal: Principal = reader, as_of: _AsOf = "", client: _Client = "") -> JSONResponse:
        """One click's journey: hits, touches, spans, conversions, its share of the spend, deploys nearby."""
        question = reports.ask(principal, client=client, as_of=as_of, span_ms=LONG_SPAN_MS, rests_on=())
        with metrics.REPORT_SECONDS.labels("click").time():
            found = journey(reports.store, reports.config, click_id, question)
        return _answer({**present(found), "no_longer_kept": reports.gone(JOURNEYED_FROM, at=found.at_ms)})


def _add_incidents(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/incidents")
    def list_incidents(
        principal: Principal = reader,
        since: _From = "",
        until: _To = "",
        as_of: _AsOf = "",
        campaign: _Campaign = "",
        client: _Client = "",
        state: Annotated[str, Query(pattern="^(open|recovering|closed|)$")] = "",
        cursor: _Cursor = "",
        limit: _Limit = 100,
    ) -> JSONResponse:
        """Incidents open at some time in the period (default: the last 30 days), newest first. `payload` is as in the journal."""
        question = reports.ask(
            principal,
            client=client,
            since=since,
            until=until,
            as_of=as_of,
            campaign=campaign,
            span_ms=LONG_SPAN_MS,
            rests_on=(),
        )
        with metrics.REPORT_SECONDS.labels("incidents").time():
            found = incidents(reports.store, question, state=state)
        shown, following = page(found, key=_newest_first, cursor=cursor, limit=limit)
        return _answer(reports.envelope(question, incidents=[_incident(view) for view in shown], next_cursor=following))

    @router.get("/incidents/{incident_id}")
    def one_incident(
        incident_id: str, principal: Principal = reader, as_of: _AsOf = "", client: _Client = ""
    ) -> JSONResponse:
        question = reports.ask(principal, client=client, as_of=as_of, rests_on=())
        with metrics.REPORT_SECONDS.labels("incident").time():
            return _answer(_incident(incident(reports.store, incident_id, question)))


def _add_roi(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/roi")
    def return_on_spend(
        principal: Principal = reader,
        since: _From = "",
        until: _To = "",
        as_of: _AsOf = "",
        grain: _Grain = "",
        campaign: _Campaign = "",
        client: _Client = "",
        by: _By = "",
        cursor: _Cursor = "",
        limit: _Limit = 100,
    ) -> JSONResponse:
        """Live and settled return by campaign, or by another dimension. "" holds conversions and clicks that name none.

        Spend that a platform does not tell by the dimension is the row "(not told)".
        """
        question = reports.ask(
            principal, client=client, since=since, until=until, as_of=as_of, grain=grain, campaign=campaign, by=by
        )
        with (
            metrics.REPORT_SECONDS.labels("roi").time(),
            matched(reports.store, reports.config, question) as known,
        ):
            rows = roi(reports.store, reports.config, known)
        measured = [row.figures for row in rows]
        ground = reports.ground(question, measured)
        shown, following = page(rows, key=_bucket_key, cursor=cursor, limit=limit)
        return _answer(
            reports.envelope(
                question,
                grain=grain or None,
                by=question.by,
                **reports.told(question, measured, metric="roi", ground=ground),
                rows=[_return_row(row, ground) for row in shown],
                next_cursor=following,
            )
        )


def _add_unmatched(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/unmatched")
    def without_click(
        principal: Principal = reader,
        since: _From = "",
        until: _To = "",
        as_of: _AsOf = "",
        client: _Client = "",
        cursor: _Cursor = "",
        limit: _Limit = 100,
    ) -> JSONResponse:
        """Conversions that found no click, by who told them and why; `faults` are those that a wrong set-up explains."""
        question = reports.ask(principal, client=client, since=since, until=until, as_of=as_of, rests_on=STEPPED_FROM)
        with metrics.REPORT_SECONDS.labels("unmatched").time():
            found = unmatched_sources(reports.store, reports.config, question)
        shown, following = page(
            found, key=lambda row: "\t".join((row.origin, row.source, row.type)), cursor=cursor, limit=limit
        )
        return _answer(
            reports.envelope(
                question,
                **reports.told(question, metric="unmatched_share", of=COUNTED),
                reasons={reason.word: reason.meaning for reason in REASONS},
                faults=present(faults(found)),
                rows=present(shown),
                next_cursor=following,
            )
        )


def _add_freshness(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/freshness")
    def how_complete(principal: Principal = reader, as_of: _AsOf = "") -> JSONResponse:
        """How complete every source is, and how old the newest line of every kind."""
        question = reports.ask(principal, as_of=as_of, rests_on=())
        with metrics.REPORT_SECONDS.labels("freshness").time():
            found = freshness(
                reports.store,
                question,
                shipped=reports.shipped_through(reports.clock()),
                learned_days=reports.config.learned_days,
            )
        return _answer(present(without_details(found) if principal.clients else found))


def _add_traffic(router: APIRouter, reports: Reports, reader: Any) -> None:
    @router.get("/traffic")
    def quality(
        principal: Principal = reader,
        since: _From = "",
        until: _To = "",
        grain: _Grain = "",
        campaign: _Campaign = "",
        client: _Client = "",
        cursor: _Cursor = "",
        limit: _Limit = 100,
    ) -> JSONResponse:
        """Clicks, hits and conversions, flagged and unflagged side by side, by the word that flags them (docs/redirect.md)."""
        question = reports.ask(
            principal,
            client=client,
            since=since,
            until=until,
            grain=grain,
            campaign=campaign,
            rests_on=STEPPED_FROM,
        )
        with metrics.REPORT_SECONDS.labels("traffic").time():
            found = traffic(reports.store, reports.config.traffic, question)
        shown, following = page(found.rows, key=_quality_key, cursor=cursor, limit=limit)
        return _answer(
            reports.envelope(
                question,
                grain=grain or None,
                **reports.told(question, metric="clicks", of=COUNTED),
                judged_through=to_rfc3339(found.judged_through_ms),
                lists=present(found.lists),
                rows=present(shown),
                next_cursor=following,
            )
        )


def _answer(content: object) -> JSONResponse:
    return JSONResponse(content)


def _campaign(facts: CampaignFacts) -> dict[str, Any]:
    shown: dict[str, Any] = present(facts)
    return {**shown, "break_even_rate": break_even_rate(facts)}


def _return_row(row: RoiRow, ground: Ground) -> dict[str, Any]:
    """A performance row with the returns beside the figures they come from, and how far they can be believed."""
    shown: dict[str, Any] = present(row.figures)
    settled = {**shown["settled"], **present(row.settled), "tier": catalogue().metric("settled_roi").tier}
    layers = {name: present(getattr(row, name)) for name in ("live", "break_even", "business", "apportioned")}
    # The value stands under the dimension's name, as everywhere.
    value = shown.pop("value")
    standing = present(ground.standing(shown_in(row.figures), metric="roi"))
    return {**shown, row.figures.by: value, **layers, "settled": settled, "standing": standing}


def _incident(view: IncidentView) -> dict[str, Any]:
    """Times as RFC 3339; the payload as it was journaled (`core.incidents.IncidentPayload`: ms and micros), for programs."""
    fields = {name: getattr(view, name) for name in view.__struct_fields__ if name != "payload"}
    shown: dict[str, Any] = present(fields)
    return {
        **shown,
        "title": view.payload.title,
        "sentence": view.payload.sentence,
        "confidence": view.payload.confidence,
        "cost": present(view.payload.cost),
        "payload": msgspec.to_builtins(view.payload),
    }


def _bucket_key(row: RoiRow) -> str:
    return f"{row.figures.value}\t{row.figures.since_ms:015d}"


def _quality_key(row: Quality) -> str:
    return f"{row.campaign}\t{row.since_ms:015d}"


def _newest_first(view: IncidentView) -> str:
    return f"{10**15 - view.opened_ms:015d}\t{view.incident_id}"


def accounts_asked(question: Question, rows: Sequence[Performance]) -> set[tuple[str, str]] | None:
    """(platform, account) of the campaigns in an answer about one campaign or some clients; None = of all."""
    if not question.campaign and not question.clients:
        return None
    named = {question.campaign, *(row.campaign for row in rows)}
    return {split_qualified(name)[:2] for name in named if is_qualified(name)} or None
