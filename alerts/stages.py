"""The pipeline's decisions, in the order of a tick; each is pure and returns its reason as a word.

    evaluate     do the rule's conditions hold for this subject               met | not_met | unknown
    hold         is the data good enough to believe it                        one of HOLD_REASONS
    guard        may each proposed action be done, and who must agree         alerts.actions.guard
    deduplicate  is there anything new to tell                                one of NOTIFY_REASONS
    notify       send it                                                      alerts.notify
    act          what to do next with each action                             one of NEXT_STEPS
    record       write down what was decided                                  alerts.ledger

`guard` stands before `notify` so that the first message already carries the question, and `act` after it so that a slow ad platform
never delays a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from alerts.actions.base import Action, parse_target
from alerts.actions.guard import ENDING_REASONS, Ruling
from alerts.durations import format_duration
from alerts.observations import IncidentView, Observations, SourceState
from alerts.rules.evaluate import Evaluation, evaluate, in_scope
from alerts.rules.facts import Facts, campaign_facts, incident_facts
from alerts.rules.schema import Gates, Rule, SourceGate
from alerts.state import ActionState
from core.clock import MINUTE_MS
from core.errors import Invalid
from core.incidents import AffectedCampaign

STAGES = ("evaluate", "hold", "guard", "deduplicate", "notify", "act", "record")

HoldReason = Literal[
    "minimum_clicks",
    "low_confidence",
    "incomplete",
    "source_behind",
    "source_unknown",
    "origin_silent",
    "nothing_in_scope",
]
NotifyReason = Literal["first_notification", "changed", "refresh", "resolved", "nothing_new"]
NextStep = Literal[
    "wait", "ask", "allow", "execute", "settle", "withdraw", "expire", "give_back", "settle_return", "check"
]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rule is not believed yet."""

    reason: HoldReason
    text: str


# --- evaluate --------------------------------------------------------------------------------------------------------------------
def evaluate_incident(rule: Rule, view: IncidentView, *, now: int) -> Evaluation:
    """Whether the rule's conditions hold for an incident that touches its scope."""
    if not _touches(rule, view):
        return Evaluation(holds=False, because="no campaign of the incident is in the rule's scope")
    return evaluate(rule.when, incident_facts(view.payload, state=view.state, now=now))


def evaluate_window(rule: Rule, facts: Facts) -> Evaluation:
    return evaluate(rule.when, facts)


def targets(rule: Rule, view: IncidentView) -> list[AffectedCampaign]:
    """The incident's campaigns that a pause of this rule is for."""
    return [
        campaign
        for campaign in view.payload.campaigns
        if _campaign_in_scope(rule, campaign)
        and (rule.campaigns is None or evaluate(rule.campaigns, campaign_facts(campaign, view.payload)).holds)
    ]


def _touches(rule: Rule, view: IncidentView) -> bool:
    unlimited = rule.scope.model_dump() == type(rule.scope)().model_dump()
    return unlimited or any(_campaign_in_scope(rule, campaign) for campaign in view.payload.campaigns)


def _campaign_in_scope(rule: Rule, campaign: AffectedCampaign) -> bool:
    return in_scope(rule.scope, campaign=campaign.campaign, platform=campaign.platform, client=campaign.client)


# --- hold ------------------------------------------------------------------------------------------------------------------------
def hold(gates: Gates, view: IncidentView, observed: Observations) -> Hold | None:
    """The first closed gate of the whole rule, or None."""
    payload = view.payload
    if payload.clicks < gates.minimum_clicks:
        return Hold(reason="minimum_clicks", text=f"{payload.clicks:.0f} of {gates.minimum_clicks:.0f} clicks so far")
    if payload.confidence < gates.minimum_confidence:
        return Hold(reason="low_confidence", text=f"verdict only {payload.confidence:.0%} sure")
    if gates.complete_within is not None and observed.now - payload.complete_through > gates.complete_within:
        behind = (observed.now - payload.complete_through) // MINUTE_MS
        return Hold(reason="incomplete", text=f"figures are complete through {behind} minutes ago only")
    for gate in gates.sources:
        if not gate.per_campaign and (held := hold_source(gate, gate.match, observed)):
            return held
    return _hold_origin(gates, observed)


def hold_campaign(gates: Gates, campaign: AffectedCampaign, observed: Observations) -> Hold | None:
    """The first closed gate of one campaign: sources named by its platform and account."""
    try:
        target = parse_target(campaign.campaign)
    except Invalid:
        return None  # the guards refuse it, with its own word
    for gate in gates.sources:
        if gate.per_campaign:
            pattern = gate.match.format(platform=target.platform, account=target.account)
            if held := hold_source(gate, pattern, observed):
                return held
    return None


def hold_source(gate: SourceGate, pattern: str, observed: Observations) -> Hold | None:
    """A source that stands still, or that nobody has heard of, closes the gate."""
    matching: list[tuple[str, SourceState]] = [
        (name, state) for name, state in sorted(observed.sources.items()) if fnmatchcase(name, pattern)
    ]
    if not matching:
        return Hold(reason="source_unknown", text=f"no source {pattern} has reported")
    for name, state in matching:
        if state.behind_ms(observed.now) > gate.behind_at_most:
            behind = format_duration(state.behind_ms(observed.now) // MINUTE_MS * MINUTE_MS)
            return Hold(reason="source_behind", text=f"{name} is {behind} behind its usual lag")
    return None


def _hold_origin(gates: Gates, observed: Observations) -> Hold | None:
    gate = gates.confirming_origin
    if gate is None or observed.now - observed.origins.get(gate.origin, 0) <= gate.within:
        return None
    return Hold(reason="origin_silent", text=f"no {gate.origin} conversion arrived for {format_duration(gate.within)}")


# --- deduplicate -----------------------------------------------------------------------------------------------------------------
def deduplicate(*, firing: bool, told: str, tells: str, sent_at: int, refresh_ms: int, now: int) -> NotifyReason:
    """Whether to send an alert.

    Args:
        told: digest of what was said last, "" = nothing, or it was resolved since.
        tells: digest of what would be said now.
    """
    if not firing:
        return "resolved" if told else "nothing_new"
    if not told:
        return "first_notification"
    if told != tells:
        return "changed"
    return "refresh" if now - sent_at >= refresh_ms else "nothing_new"


# --- act -------------------------------------------------------------------------------------------------------------------------
def next_step(action: Action, *, ruling: Ruling | None, return_is_due: bool, check_every_ms: int, now: int) -> NextStep:
    """What to do with an action now.

    Args:
        ruling: the guards' fresh answer for an action that is not written yet; None when its incident is not known (any more, or
            yet: a store that is being filled again): then nothing is done, and the question ends when its time is over.
    """
    match action.state:
        case ActionState.HELD | ActionState.BY_HAND | ActionState.AWAITING | ActionState.APPROVED:
            return _before_writing(action, ruling=ruling, now=now)
        case ActionState.ACTING | ActionState.UNCONFIRMED:
            return "settle"
        case ActionState.RETURNING:
            return "settle_return"
        case ActionState.PAUSED if return_is_due:
            return "give_back"
        case ActionState.PAUSED if now - action.checked_at >= check_every_ms:
            return "check"
        case _:
            return "wait"


def _before_writing(action: Action, *, ruling: Ruling | None, now: int) -> NextStep:
    if ruling and ENDING_REASONS & {each.reason for each in ruling.findings if each.needs is None}:
        return "withdraw"
    if now >= action.expires_at and (ruling is None or action.state in (ActionState.AWAITING, ActionState.APPROVED)):
        return "expire" if action.state in (ActionState.AWAITING, ActionState.APPROVED) else "withdraw"
    if ruling is None or ruling.needs is None:
        return "wait"
    if not enough(action, needs=ruling.needs):
        return "ask" if action.state in (ActionState.HELD, ActionState.APPROVED) else "wait"
    return _ALLOWED[action.state]


_ALLOWED: dict[ActionState, NextStep] = {
    ActionState.HELD: "allow",
    ActionState.BY_HAND: "wait",
    # What was asked is answered by people only, also when the guards would by now do without.
    ActionState.AWAITING: "wait",
    ActionState.APPROVED: "execute",
}
#: After these a person's word stands: the same campaign is not proposed again for the same incident.
_PERSONS_WORD = frozenset({"undone", "rule_resumed"})


def may_propose_again(last: Action | None, *, cool_down_ms: int, now: int) -> bool:
    """Whether a rule may propose the same pause for the same incident after an earlier proposal ended."""
    if last is None:
        return True
    match last.state:
        case ActionState.EXPIRED:
            return True
        case ActionState.RETURNED:
            return last.return_reason not in _PERSONS_WORD
        case ActionState.WITHDRAWN | ActionState.FAILED:
            # Not at once: what failed just now would fail again, every tick.
            return now - last.ended_at >= cool_down_ms
        case _:
            return False


def enough(action: Action, *, needs: int) -> bool:
    """Enough different people agreed. Links prove only that somebody holds them: of any number of links one counts."""
    keyed = {approval.by for approval in action.approvals if approval.via != "link"}
    linked = {approval.by for approval in action.approvals if approval.via == "link"} - keyed
    return len(keyed) + min(len(linked), 1) >= needs


def requests(actions: Sequence[Action]) -> dict[str, list[Action]]:
    """Open questions: the actions that wait for a person, by request, oldest first."""
    found: dict[str, list[Action]] = {}
    for action in sorted(actions, key=lambda each: (each.proposed_at, each.target)):
        if action.state is ActionState.AWAITING:
            found.setdefault(action.request, []).append(action)
    return found
