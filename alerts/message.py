"""The words: what a media buyer reads on a phone, and what an engineer reads under it.

Written to be read aloud. The first sentence says what happened and what it costs; then what to decide, what was done, what is left to do
by hand. Money is whole enough to say, percentages are round, times carry their zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

from alerts.actions.base import Action
from alerts.actions.guard import BY_HAND_REASONS
from alerts.economics import PauseBalance, pause_balance
from alerts.stages import Hold
from alerts.state import ActionState
from core.clock import MINUTE_MS, to_datetime
from core.incidents import VERDICT_WORDS, AffectedCampaign, IncidentPayload, SuspectDeploy, Verdict
from core.money import MICROS, SIGNS, spoken

_NAMES_SHOWN = 4
_TRACES_SHOWN = 3
_DEPLOYS_SHOWN = 3


def money(micros: int, currency: str) -> str:
    """Micros as people say them: ``$355.56``, ``1,200.00 CHF``."""
    amount = (Decimal(micros) / MICROS).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    text = f"{abs(amount):,.2f}"
    minus = "-" if amount < 0 else ""
    return f"{minus}{SIGNS[currency]}{text}" if currency in SIGNS else f"{minus}{text} {currency}".rstrip()


def clock_time(ms: int) -> str:
    return f"{to_datetime(ms):%H:%M} UTC"


def names(actions: Iterable[Action | AffectedCampaign]) -> str:
    """Campaign names for people: ``A, B, C and 4 more``."""
    given = [each.name or (each.target if isinstance(each, Action) else each.campaign) for each in actions]
    if len(given) <= _NAMES_SHOWN:
        return _listed(given)
    return f"{', '.join(given[:_NAMES_SHOWN])} and {len(given) - _NAMES_SHOWN} more"


def verdict_words(verdict: str) -> str:
    return VERDICT_WORDS[Verdict(verdict)] if verdict in set(Verdict) else verdict.replace("_", " ")


def pause_cost(campaign: AffectedCampaign, incident: IncidentPayload) -> str:
    """What pausing this campaign itself costs, as a sentence."""
    healthy = 1 - min(max(campaign.scope_share, 0.0), 1.0)
    if healthy < 0.005:
        return "All of its clicks are affected, so pausing stops nothing that still works."
    share = f"Pausing it also stops the {healthy:.0%} of its clicks that still work"
    balance = pause_balance(campaign, incident)
    if balance is None:
        return f"{share}; what those are worth is not known, because its margin is not."
    return f"{share}, worth about {money(balance.given_up_micros, campaign.currency)} an hour; {_saves(balance, campaign)}."


def _saves(balance: PauseBalance, campaign: AffectedCampaign) -> str:
    saved = money(max(balance.saved_micros, 0), campaign.currency)
    if balance.given_up_micros >= balance.saved_micros:
        return f"that is more than the {saved} an hour it saves"
    return f"it saves about {saved} an hour"


def action_sentence(campaign: AffectedCampaign, incident: IncidentPayload) -> str:
    """Why this campaign should be paused, on its own: the approval page and the CLI show it."""
    rate = f"{campaign.rate:.2%} instead of {campaign.baseline_rate:.2%}"
    wasted = money(campaign.wasted_per_hour_micros, campaign.currency)
    return f"{campaign.name or campaign.campaign} converts at {rate} and wastes about {wasted} an hour ({verdict_words(incident.verdict)})."


def summary(incident: IncidentPayload, *, state: str = "open") -> str:
    """One line; of what is closed in the past tense, because its alert is read again when it resolves."""
    if state == "closed":
        lost = incident.cost.wasted_micros
        return f"Over: {incident.title}" + (f", {spoken(lost, incident.cost.currency)} wasted" if lost > 0 else "")
    if incident.verdict in (Verdict.TRACKING_BROKEN, Verdict.PLATFORM_DATA_LATE):
        return f"{incident.title}: sales go on, but cannot be measured. Do not pause"
    if incident.cost.wasted_per_hour_micros <= 0:
        return incident.title
    wasted = spoken(incident.cost.wasted_per_hour_micros, incident.cost.currency)
    return f"{incident.title}: wasting about {wasted} an hour"


def description(
    incident: IncidentPayload, *, actions: Sequence[Action], held: Hold | None, links: Sequence[str], state: str
) -> str:
    """The buyer's text: one paragraph each for what happened, what to decide, what was done, what is left by hand."""
    cost = incident.cost
    spent = (
        f"Since {clock_time(incident.onset)}: {money(cost.wasted_micros, cost.currency)} wasted "
        f"of {money(cost.exposed_micros, cost.currency)} spent in what is affected."
    )
    parts = [incident.sentence, spent, *_recovery(incident, state), *_questions(actions, links)]
    parts += _outcomes(actions)
    if held is not None and not actions:
        parts.append(f"No pause is proposed yet: {held.text}.")
    return "\n".join(part for part in parts if part)


def _recovery(incident: IncidentPayload, state: str) -> list[str]:
    if incident.recovery is not None and incident.recovery.recovered:
        return [incident.recovery.text]
    return ["It is over."] if state == "closed" else []


def _questions(actions: Sequence[Action], links: Sequence[str]) -> list[str]:
    waiting = _in(actions, ActionState.AWAITING)
    if not waiting:
        return []
    one = len(waiting) == 1
    ask = f"Decide: pause {names(waiting)}?"
    costs = [f"{each.pause_cost}" if one else f"{each.name or each.target}: {each.pause_cost}" for each in waiting]
    # Why a person is asked at all is news only when it is not just the mode.
    why = sorted({each.reason for each in waiting} - {"approval_required", ""})
    asked = [f"A person is asked because of: {', '.join(word.replace('_', ' ') for word in why)}."] if why else []
    two = ["Two people must agree."] if any(each.needs > 1 for each in waiting) else []
    return [ask, *costs, *asked, *two, *(f"Answer here: {link}" for link in links)]


#: What is said of actions in a state, in the order it is said.
_SAID: tuple[tuple[ActionState, str], ...] = (
    (ActionState.APPROVED, "Approved, about to be paused: {names}."),
    (ActionState.ACTING, "Being paused: {names}."),
    (ActionState.PAUSED, "Paused: {names}. Back by itself when the fault is gone, at the latest at {until}."),
    (ActionState.RETURNING, "Being switched back on: {names}."),
    (ActionState.RETURNED, "Running again: {names}."),
    (ActionState.RELEASED, "Changed on the platform by a person, so we leave it alone: {names}."),
    (ActionState.REJECTED, "Left running as decided: {names}."),
    (ActionState.EXPIRED, "Nobody answered in time, still running: {names}."),
    (ActionState.FAILED, "Could NOT be paused, please pause by hand: {names}."),
    (ActionState.UNCONFIRMED, "NOT CONFIRMED by the platform, please look: {names}."),
)


def _outcomes(actions: Sequence[Action]) -> list[str]:
    said = []
    for state, words in _SAID:
        chosen = [each for each in _in(actions, state) if not each.kept_by]
        if chosen:
            until = clock_time(max(each.lease_expires for each in chosen))
            said.append(words.format(names=names(chosen), until=until))
    kept = [each for each in _in(actions, ActionState.PAUSED) if each.kept_by]
    if kept:
        said.append(f"Kept paused by {kept[0].kept_by}, nothing switches it back on by itself: {names(kept)}.")
    held = [each for each in actions if each.state in (ActionState.PAUSED, ActionState.RETURNING)]
    stuck = [each for each in held if each.escalated and not each.kept_by]
    if stuck:
        said.append(f"Could NOT be switched back on yet, please look: {names(stuck)}.")
    by_hand = [each for each in actions if each.state is ActionState.BY_HAND and each.reason in BY_HAND_REASONS]
    if by_hand:
        said.append(f"Pause by hand, we cannot write to these accounts: {names(by_hand)}.")
    for each in _in(actions, ActionState.HELD):
        said.append(f"Not paused: {names([each])} ({(each.waits_for or each.reason).replace('_', ' ')}).")
    return said


def engineer(incident: IncidentPayload) -> str:
    """The same incident for whoever mends it: what changed before it, what fails, traces of paid clicks that failed."""
    lines = [
        f"{verdict_words(incident.verdict)} ({incident.confidence:.0%} sure), since {clock_time(incident.onset)}, "
        f"scope: {_scope(incident.scope)}."
    ]
    lines += [_deploy(each, incident.onset) for each in incident.deploys[:_DEPLOYS_SHOWN]]
    if incident.routes:
        lines.append(f"Failing or slow: {', '.join(incident.routes[:_NAMES_SHOWN])}.")
    for trace in incident.traces[:_TRACES_SHOWN]:
        lines.append(
            f"Trace {trace.trace_id}: {trace.service} {trace.route} {trace.http_status or ''} {trace.error}".rstrip()
        )
    return "\n".join(lines)


def _deploy(deploy: SuspectDeploy, onset: int) -> str:
    minutes = round((onset - deploy.ts) / MINUTE_MS)
    when = f"{minutes} min before the onset" if minutes > 0 else "right at the onset"
    by = f" by {deploy.author}" if deploy.author else ""
    return f"Suspect: {deploy.change} of {deploy.service} {deploy.version}{by}, {when}. {deploy.reason}".rstrip()


def _scope(scope: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in scope.items()) or "everything"


def _in(actions: Sequence[Action], state: ActionState) -> list[Action]:
    return [each for each in actions if each.state is state]


def _listed(given: Sequence[str]) -> str:
    return given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}" if given else "nothing"
