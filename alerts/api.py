"""HTTP: /api/v1/actions for keys with scopes, /approve/{token} for whoever holds a link. Both only write decisions; the next tick acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from alerts.actions.base import Action
from alerts.approval import ApprovalLinks, Decisions
from alerts.approval_page import HEADERS, MAX_FORM_BYTES, Form, message_page, question_page
from alerts.ledger import Entry, Lease, Ledger
from alerts.state import ActionState
from alerts.verify import verify
from core.clock import Clock, now_ms, to_rfc3339
from core.errors import Invalid, NotFound, Refusal
from core.money import to_decimal
from core.principal import Authorize, Principal

MAX_PAGE = 1000
Verb = Literal["approve", "reject", "undo", "keep"]


class Desk:
    """What both doors share: ledger, decisions, links, and whom to wake when something was decided."""

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        links: ApprovalLinks,
        *,
        public_url: str,
        clock: Clock = now_ms,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.decisions = decisions
        self.links = links
        self.public_url = public_url.rstrip("/")
        self.clock = clock
        self.on_change = on_change

    def decide(self, verb: Verb, action: Action, *, by: str, via: str) -> Action:
        """One decision about one action, then wake whoever carries it out.

        Raises:
            Refusal: decided already, no name, nothing to decide.
        """
        now = self.clock()
        match verb:
            case "approve":
                after = self.decisions.approve(action, by=by, via=via, now=now)
            case "reject":
                after = self.decisions.reject(action, by=by, via=via, now=now)
            case "undo":
                after = self.decisions.undo(action, by=by, via=via, now=now)
            case "keep":
                after = self.decisions.keep(action, by=by, now=now)
        self.on_change()
        return after

    def visible(self, action_id: str, principal: Principal) -> Action:
        """Raises:
        NotFound: no such action, or it is another client's: a key must not learn which.
        """
        action = self.ledger.get(action_id)
        if not principal.sees(action.client):
            raise NotFound("unknown_action", f"there is no action {action_id}")
        return action


def build_router(desk: Desk, *, authorize: Authorize) -> APIRouter:
    """/api/v1/actions."""
    router = APIRouter(prefix="/api/v1/actions", tags=["actions"])
    reads, decides, administers = (Depends(authorize(scope)) for scope in ("read", "approve", "admin"))

    @router.get("")
    def list_actions(
        principal: Principal = reads,
        state: Annotated[list[ActionState] | None, Query()] = None,
        incident: str = "",
        campaign: str = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        cursor: str = "",
    ) -> dict[str, Any]:
        """Actions, newest first."""
        found = desk.ledger.find(states=state, incident_id=incident, target=campaign)
        seen = [each for each in found if principal.sees(each.client)]
        page = seen[_start(seen, cursor) :][: limit + 1]
        more = page[limit - 1].action_id if len(page) > limit else None
        return {"actions": [action_out(each) for each in page[:limit]], "next": more}

    @router.get("/verify")
    def verify_ledger(_principal: Principal = administers) -> dict[str, Any]:
        """Whether the ledger tells one consistent story."""
        problems = verify(desk.ledger)
        return {"sound": not problems, "problems": problems}

    @router.get("/switches")
    def list_switches(_principal: Principal = reads) -> dict[str, Any]:
        """The switches that are on."""
        return {"on": sorted(desk.ledger.switches_on())}

    @router.put("/switches/{name}")
    def set_switch(name: str, on: Annotated[bool, Body(embed=True)], principal: Principal = decides) -> dict[str, Any]:
        """Flip `stop_pauses` or `stop_returns`; only for a key that sees every client, as it stops all of them."""
        if principal.clients:
            raise Invalid("all_clients_only", "a switch stops the pauses of all clients: use a key that sees them all")
        desk.ledger.set_switch(name, on=on, by=principal.name, now=desk.clock())
        return {"on": sorted(desk.ledger.switches_on())}

    @router.get("/{action_id}")
    def show_action(action_id: str, principal: Principal = reads) -> dict[str, Any]:
        """One action with its ledger and its lease."""
        return _with_history(desk, desk.visible(action_id, principal))

    def decide(verb: Verb) -> Callable[[str, Principal], dict[str, Any]]:
        def answer(action_id: str, principal: Principal = decides) -> dict[str, Any]:
            after = desk.decide(verb, desk.visible(action_id, principal), by=principal.name, via="key")
            return _with_history(desk, after)

        answer.__doc__ = _VERBS[verb]
        return answer

    for verb in _VERBS:
        router.post(f"/{{action_id}}/{verb}", name=f"{verb}_action")(decide(verb))
    return router


_VERBS: dict[Verb, str] = {
    "approve": "Agree; with enough people it is done at the next tick.",
    "reject": "Leave the campaign running.",
    "undo": "Give the campaign back now.",
    "keep": "Keep it paused for good; it is yours from now on.",
}


def build_approval_router(desk: Desk) -> APIRouter:
    """/approve/{token}, the only page of the product that needs no key: the link is the key, to one request."""
    router = APIRouter(prefix="/approve", include_in_schema=False)

    @router.api_route("/{token}", methods=["GET", "HEAD"])
    def show(token: str) -> HTMLResponse:
        """The question. Changes nothing, however often it is fetched."""
        try:
            actions = _asked(desk, token)
        except Refusal as refusal:
            return _html(message_page("This link does not work", refusal.detail), status=refusal.status)
        return _html(question_page(actions, console_url=_console(desk, actions)))

    @router.post("/{token}")
    async def answer(token: str, request: Request) -> Response:
        """The answer, once, under the name that was typed."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                return _html(message_page("Too much", "This form is larger than ours."), status=413)
        return await run_in_threadpool(_answer, desk, token, Form(body))

    return router


def _answer(desk: Desk, token: str, form: Form) -> HTMLResponse:
    """Decide about the actions that the page showed and that still wait; say what could not be decided."""
    try:
        actions = _asked(desk, token)
    except Refusal as refusal:
        return _html(message_page("This link does not work", refusal.detail), status=refusal.status)
    problem, status = "", 200
    waiting = [each for each in actions if each.state is ActionState.AWAITING and each.action_id in form.shown]
    try:
        verb = _verb(form)
        if not waiting:
            problem, status = "Nothing was changed: it was decided before.", 409
        for action in waiting:
            desk.decide(verb, action, by=form.name, via="link")
    except Refusal as refusal:
        problem, status = refusal.detail, refusal.status
    after = _asked(desk, token)
    return _html(question_page(after, console_url=_console(desk, after), problem=problem), status=status)


def _verb(form: Form) -> Verb:
    if form.decision == "approve":
        return "approve"
    if form.decision == "reject":
        return "reject"
    raise Invalid("unknown_decision", "please press one of the two buttons")


def _asked(desk: Desk, token: str) -> list[Action]:
    request = desk.links.request_of(token, now=desk.clock())
    actions = desk.ledger.find(request=request)
    if not actions:
        raise NotFound("unknown_link", "what this link asked for is not here any more")
    return sorted(actions, key=lambda each: each.target)


def _console(desk: Desk, actions: list[Action]) -> str:
    return f"{desk.public_url}/incidents/{actions[0].incident_id}"


def _html(page: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status_code=status, headers=HEADERS)


def _start(actions: list[Action], cursor: str) -> int:
    if not cursor:
        return 0
    places = [index for index, each in enumerate(actions) if each.action_id == cursor]
    if not places:
        raise Invalid("unknown_cursor", "the cursor does not belong to this list: begin again without it")
    return places[0] + 1


def _with_history(desk: Desk, action: Action) -> dict[str, Any]:
    lease = desk.ledger.lease(action.target)
    mine = lease is not None and lease.action_id == action.action_id
    entries = [entry_out(each) for each in desk.ledger.entries(action.action_id)]
    return {**action_out(action), "ledger": entries, "lease": lease_out(lease) if lease and mine else None}


def action_out(action: Action) -> dict[str, Any]:
    """An action as the API shows it: times RFC 3339, money a decimal string."""
    shown: dict[str, Any] = msgspec.to_builtins(action)
    for name in ("request", "runs_out", "deadline", "checked_at", "call", "spend_per_hour_micros"):
        del shown[name]
    for name in ("proposed_at", "expires_at", "decided_at", "ended_at", "lease_expires"):
        shown[name] = _time(shown[name])
    shown["approvals"] = [{**each, "at": _time(each["at"])} for each in shown["approvals"]]
    return {**shown, "spend_per_hour": to_decimal(action.spend_per_hour_micros)}


def entry_out(entry: Entry) -> dict[str, Any]:
    return {**msgspec.to_builtins(entry), "at": _time(entry.at)}


def lease_out(lease: Lease) -> dict[str, Any]:
    times = {name: _time(getattr(lease, name)) for name in ("started_at", "expires_at", "ended_at")}
    return {**msgspec.to_builtins(lease), **times}


def _time(ms: int) -> str | None:
    return to_rfc3339(ms) if ms else None
