"""The console's addresses: `/`, `/incidents/{id}`, `/clicks/{id}`, `/figures`. Each page reads in worker threads and refreshes itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from fastapi import FastAPI, Request
from nicegui import ui
from nicegui.element import Element

from alerts.api import Desk
from app.auth import require_scope
from app.console import catalogue, click, decisions, incident, incidents, layout, timeline
from app.console.data import ActionView, ConsoleData, IncidentView
from app.console.layout import SourceAge
from app.console.series import Series
from core.clock import Clock
from core.errors import ClicktraceError, NotFound, Refusal
from core.metric_description import described
from core.principal import Principal

log = structlog.get_logger(__name__)

REFRESH_S = 3.0
Result = TypeVar("Result")
Freshness = Callable[[], Sequence[SourceAge]]


class Console:
    """What the pages need: readers, the people's decisions, and the clock."""

    def __init__(self, data: ConsoleData, desk: Desk, *, freshness: Freshness, clock: Clock) -> None:
        self.data = data
        self.freshness = freshness
        self.clock = clock
        self._desk = desk

    async def read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.to_thread(work)

    def decider(self, principal: Principal) -> decisions.Decide:
        """Runs a pressed button under this person's name and says what became of it."""

        async def decide(verb: decisions.Verb, action_id: str) -> str:
            try:
                return await asyncio.to_thread(self._act, verb, action_id, principal)
            except Refusal as refusal:
                return refusal.detail

        return decide

    def _act(self, verb: decisions.Verb, action_id: str, principal: Principal) -> str:
        require_scope(principal, "approve")
        action = self._desk.visible(action_id, principal)
        after = self._desk.decide(verb, action, by=principal.name, via="console")
        return decisions.outcome(verb, after)


def install(app: FastAPI, console: Console) -> None:
    """Put the console's pages on the application. Called once per process: NiceGUI keeps its pages in one place."""

    @ui.page("/")
    async def start(request: Request) -> None:
        principal: Principal = request.state.principal
        with layout.page(principal, title="Incidents") as strip:
            notice = ui.element("div")
            body = ui.element("div").classes("ct-stack")
        await _keep_fresh(lambda: _fill_start(console, principal, body=body, strip=strip), notice=notice)

    @ui.page("/incidents/{incident_id}")
    async def detail(request: Request, incident_id: str) -> None:
        principal: Principal = request.state.principal
        with layout.page(principal, title="Incident") as strip:
            notice = ui.element("div")
            page = IncidentPage(console, principal, incident_id, strip=strip)
        await _keep_fresh(page.fill, notice=notice)

    @ui.page("/clicks/{click_id}")
    async def journey(request: Request, click_id: str) -> None:
        principal: Principal = request.state.principal
        now = console.clock()
        with layout.page(principal, title="Click") as strip:
            notice = ui.element("div")
            try:
                found = await console.read(lambda: console.data.journey(click_id, principal, now=now))
                click.show(found, now=now)
                layout.show_freshness(strip, await console.read(console.freshness), now=now)
            except Refusal as missing:
                layout.not_found(missing.detail)
            except ClicktraceError as error:
                layout.show_notice(notice, f"The store does not answer: {error}")

    @ui.page("/figures")
    async def figures(request: Request) -> None:
        with layout.page(request.state.principal, title="What the figures mean"):
            catalogue.show(described())

    ui.run_with(
        app, title="Clicktrace", favicon=FAVICON, tailwind=False, show_welcome_message=False, reconnect_timeout=10.0
    )


FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#1f4fd8"/>'
    '<path d="M3 10l3-4 3 3 4-5" fill="none" stroke="#fff" stroke-width="1.6" stroke-linecap="round"/></svg>'
)


async def _keep_fresh(fill: Callable[[], Awaitable[None]], *, notice: Element) -> None:
    """Fill a page now and every few seconds; when the store does not answer, the page keeps what it shows and `notice` says so."""

    async def guarded() -> None:
        try:
            await fill()
        except ClicktraceError as error:
            log.warning("page not refreshed", error=str(error))
            layout.show_notice(notice, f"Not up to date: {error}")
        else:
            notice.clear()

    await guarded()
    ui.timer(REFRESH_S, guarded, immediate=False)


async def _fill_start(console: Console, principal: Principal, *, body: Element, strip: Element) -> None:
    now = console.clock()
    found = await console.read(lambda: console.data.incidents(principal, now=now))
    waiting = await console.read(console.data.waiting)
    watching = await console.read(lambda: console.data.watching(principal, now=now))
    sources = await console.read(console.freshness)
    layout.show_freshness(strip, sources, now=now)
    body.clear()
    with body:
        through = min((source.complete_through for source in sources if source.live), default=0)
        incidents.show(found, waiting=waiting, watching=watching, complete_through=through, now=now)


class IncidentPage:
    """One incident's page. It rebuilds only what changed: a button that is about to be pressed must not vanish."""

    def __init__(self, console: Console, principal: Principal, incident_id: str, *, strip: Element) -> None:
        self._console = console
        self._principal = principal
        self._incident_id = incident_id
        self._strip = strip
        self._shown_actions: list[ActionView] | None = None
        self._shown_version = -1
        self._head = ui.element("div")
        self._actions = ui.element("div")
        self._chart = ui.element("div")
        self._rest = ui.element("div").classes("ct-stack")
        self._ledger = ui.element("div")
        self._plot: ui.echart | None = None

    async def fill(self) -> None:
        console, now = self._console, self._console.clock()
        try:
            view = await console.read(lambda: console.data.incident(self._incident_id, self._principal))
        except NotFound as missing:
            self._head.clear()
            with self._head:
                layout.not_found(missing.detail)
            return
        actions = await console.read(lambda: console.data.actions(self._incident_id, self._principal))
        series = await console.read(lambda: console.data.series(view.payload, now=now))
        layout.show_freshness(self._strip, await console.read(console.freshness), now=now)
        self._show_head(view, now=now)
        self._show_actions(actions, now=now)
        self._show_chart(series, view)
        if view.known_at != self._shown_version:
            self._show_rest(view, now=now)

    def _show_head(self, view: IncidentView, *, now: int) -> None:
        self._head.clear()
        with self._head:
            incident.show_head(view, now=now)

    def _show_actions(self, actions: list[ActionView], *, now: int) -> None:
        if actions == self._shown_actions:
            return
        self._shown_actions = actions
        self._actions.clear()
        with self._actions:
            may_decide = bool({"approve", "admin"} & self._principal.scopes)
            decisions.show(actions, may_decide=may_decide, decide=self._console.decider(self._principal), now=now)
        self._ledger.clear()
        with self._ledger:
            incident.show_ledger(actions, now=now)

    def _show_chart(self, series: Series, view: IncidentView) -> None:
        options = timeline.chart_options(series, view.payload)
        if self._plot is None:
            with self._chart:
                self._plot = incident.chart_card(options)
        elif self._plot.options != options:
            self._plot.options.clear()
            self._plot.options.update(options)
            self._plot.update()

    def _show_rest(self, view: IncidentView, *, now: int) -> None:
        self._shown_version = view.known_at
        payload = view.payload
        self._rest.clear()
        with self._rest:
            left, right = incident.columns()
            with left:
                incident.show_why(payload)
            with right:
                incident.show_deploys(payload.deploys, onset=payload.onset)
                incident.show_traces(payload.traces, payload.routes, now=now)
            incident.show_campaigns(payload.campaigns)
