"""What a person can press: approve, reject, give back, keep paused. Every press asks once more before it acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec
from nicegui import ui

from alerts.actions.base import Action
from alerts.state import ActionState
from app.console import components, wording
from app.console.data import ActionView

Verb = Literal["approve", "reject", "undo", "keep"]
#: Carries out a pressed button: verb, action ID -> what became of it, as a sentence.
Decide = Callable[[Verb, str], Awaitable[str]]

STATE_SENTENCES = {
    ActionState.HELD: "held by a guard",
    ActionState.BY_HAND: "pause it by hand: there is no client for this platform",
    ActionState.AWAITING: "waits for your decision",
    ActionState.APPROVED: "approved, about to be done",
    ActionState.ACTING: "being paused",
    ActionState.PAUSED: "paused",
    ActionState.RETURNING: "being given back",
    ActionState.RETURNED: "delivers again",
    ActionState.RELEASED: "changed by a person on the platform: hands off",
    ActionState.REJECTED: "rejected",
    ActionState.EXPIRED: "the question expired",
    ActionState.WITHDRAWN: "withdrawn: the reason went away",
    ActionState.UNCONFIRMED: "not confirmed by the platform yet",
    ActionState.FAILED: "failed",
}


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to press; `question` is asked before it acts."""

    verb: Verb
    label: str
    question: str
    primary: bool = False


def buttons(view: ActionView, *, may_decide: bool) -> list[Button]:
    """What can be pressed in this state, by somebody who may decide."""
    if not may_decide:
        return []
    name = view.action.name or view.action.target
    if view.action.state is ActionState.AWAITING:
        return [
            Button(verb="approve", label="Approve pause", question=f"Pause {name} now?", primary=True),
            Button(verb="reject", label="Reject", question=f"Leave {name} running?"),
        ]
    if view.action.state is ActionState.PAUSED:
        undo = Button(verb="undo", label="Resume now", question=f"Give {name} back now?")
        kept = view.lease is not None and bool(view.lease.kept_by)
        keep = Button(verb="keep", label="Keep paused", question=f"Keep {name} paused until a person resumes it?")
        return [undo] if kept else [undo, keep]
    if view.action.state is ActionState.APPROVED:
        return [Button(verb="reject", label="Stop", question=f"Do not pause {name} after all?")]
    return []


def outcome(verb: Verb, after: Action) -> str:
    """What to tell the person who pressed."""
    name = after.name or after.target
    if verb == "approve":
        agreed = after.state is ActionState.APPROVED
        return f"{name} will be paused." if agreed else "Noted. A second person must agree."
    if verb == "keep":
        return f"{name} stays paused until a person resumes it."
    return f"{name} stays as it is." if verb == "reject" else f"{name} will deliver again."


def show(views: Sequence[ActionView], *, may_decide: bool, decide: Decide, now: int) -> None:
    """The card of actions; nothing when no rule proposed any."""
    if not views:
        return
    asks = any(view.action.state is ActionState.AWAITING for view in views)
    with components.card("ask" if asks else ""):
        components.heading("Your decision" if asks else "Actions")
        for view in views:
            _action(view, may_decide=may_decide, decide=decide, now=now)
        if asks and not may_decide:
            components.text("Your key lacks the scope approve.", "ct-small ct-soft")


def _action(view: ActionView, *, may_decide: bool, decide: Decide, now: int) -> None:
    action = view.action
    with ui.element("div").classes("ct-action"):
        with ui.element("div").classes("what"):
            with ui.element("div").classes("ct-row"):
                components.text(action.name or action.target).style("font-weight:600")
                components.chip(STATE_SENTENCES.get(action.state, str(action.state)), _kind(action.state))
                if action.sandbox:
                    components.chip("sandbox account")
            components.text(describe(view, now=now), "ct-small ct-soft")
        with ui.element("div").classes("ct-buttons"):
            for button in buttons(view, may_decide=may_decide):
                _button(button, action_id=action.action_id, decide=decide)


def describe(view: ActionView, *, now: int) -> str:
    """The sentence under an action: what it stops, what it costs, until when."""
    action = view.action
    spend = f"{wording.money(action.spend_per_hour_micros, action.currency)} an hour" if action.currency else ""
    parts = [spend, action.pause_cost, _until(view, now=now), _blocked(view), action.error]
    return " · ".join(part for part in parts if part)


def _until(view: ActionView, *, now: int) -> str:
    action, lease = view.action, view.lease
    if action.state is ActionState.AWAITING and action.expires_at > now:
        return f"question expires in {wording.span(action.expires_at - now)}"
    if action.state is ActionState.PAUSED and lease is not None:
        if lease.kept_by:
            return f"kept paused by {lease.kept_by}"
        return f"resumes by itself when the fault is gone, at the latest in {wording.span(lease.expires_at - now)}"
    return ""


def _blocked(view: ActionView) -> str:
    if view.action.state not in (ActionState.HELD, ActionState.AWAITING):
        return ""
    return "; ".join(finding.text for finding in view.action.findings if not finding.passed and finding.text)


def _kind(state: ActionState) -> str:
    if state in (ActionState.AWAITING, ActionState.HELD, ActionState.UNCONFIRMED, ActionState.BY_HAND):
        return "warn"
    if state in (ActionState.FAILED,):
        return "bad"
    return "good" if state in (ActionState.PAUSED, ActionState.RETURNED) else ""


def _button(button: Button, *, action_id: str, decide: Decide) -> None:
    async def pressed() -> None:
        with ui.dialog() as dialog, ui.card():
            ui.label(button.question).style("font-weight:600")
            with ui.row().classes("ct-buttons"):
                ui.button(button.label, on_click=lambda: dialog.submit(True)).props("unelevated color=primary")
                ui.button("Cancel", on_click=lambda: dialog.submit(False)).props("flat color=grey-8")
        if await dialog:
            ui.notify(await decide(button.verb, action_id), position="top")
        dialog.delete()

    look = "unelevated color=primary" if button.primary else "outline color=grey-9"
    ui.button(button.label, on_click=pressed).props(look)
