"""From a firing pause rule to proposed actions, with the guards' answer; and the guards' fresh answer for what waits."""

from __future__ import annotations

from collections.abc import Container, Iterable
from hashlib import sha256

import msgspec

from alerts.actions.base import PAUSE_CAMPAIGN, Action, Finding, action_id, parse_target
from alerts.actions.guard import BY_HAND_REASONS, ENDING_REASONS, GuardInput, Ruling, rule_on
from alerts.actions.platforms import Platforms
from alerts.config import MODES, AlertsConfig, Mode
from alerts.ledger import Ledger
from alerts.message import action_sentence, pause_cost
from alerts.metrics import GUARD_FINDINGS
from alerts.observations import IncidentView, Observations
from alerts.rules.schema import Rule
from alerts.stages import hold_campaign, may_propose_again, targets
from alerts.state import FINAL, ActionState
from core.clock import HOUR_MS
from core.errors import Invalid
from core.incidents import AffectedCampaign

_IN_FLIGHT = frozenset({ActionState.AWAITING, ActionState.APPROVED, ActionState.ACTING})
#: An action of another rule or incident in these states does nothing and asks nobody: it stands in nobody's way.
_ONLY_WATCHED = frozenset({ActionState.HELD, ActionState.BY_HAND})
AUTOMATIC = "clicktrace (automatic)"


class Proposals:
    """Proposes and rules; writes only to the ledger."""

    def __init__(self, ledger: Ledger, platforms: Platforms, *, config: AlertsConfig) -> None:
        self._ledger = ledger
        self._platforms = platforms
        self._config = config

    def propose(self, rule: Rule, view: IncidentView, observed: Observations) -> list[Action]:
        """New actions of one firing rule; a pause that is handled already, by whatever rule, is not proposed again."""
        fresh: list[Action] = []
        for campaign in targets(rule, view):
            attempt = self._attempt(rule, view, campaign.campaign, now=observed.now)
            if attempt:
                ruling = self.ruling(rule, view, campaign, observed, in_flight=[*self._in_flight(), *fresh])
                if not _is_over(ruling):
                    fresh.append(self._build(rule, view, campaign, observed, ruling=ruling, attempt=attempt))
        request = self.open_request(rule.rule, view.incident_id) or _request_id(fresh)
        proposed = [msgspec.structs.replace(action, request=request) for action in fresh]
        return [action for action in proposed if self._write(action, now=observed.now)]

    def open_request(self, rule: str, incident_id: str) -> str:
        """The question about this incident that still waits, or "".

        What comes later joins it: the link that was sent already then shows it too, and a second link would not be told of before
        Alertmanager repeats itself.
        """
        asked = self._ledger.find(states=[ActionState.AWAITING], incident_id=incident_id)
        return next((each.request for each in reversed(asked) if each.rule == rule), "")

    def ruling(
        self,
        rule: Rule,
        view: IncidentView,
        campaign: AffectedCampaign,
        observed: Observations,
        *,
        in_flight: Iterable[Action],
    ) -> Ruling:
        """What gates and guards say about pausing this campaign now.

        Args:
            in_flight: actions that count as if their campaigns were paused already, next to those that are.
        """
        ruling = rule_on(self._given(rule, view, campaign, observed, in_flight=in_flight))
        for finding in ruling.findings:
            if not finding.passed:
                GUARD_FINDINGS.labels(finding.guard, finding.reason).inc()
        held = hold_campaign(rule.gates, campaign, observed)
        if held is None or ruling.reason in BY_HAND_REASONS or _is_over(ruling):
            return ruling
        finding = Finding(guard="gates", needs=None, reason=held.reason, text=held.text)
        return Ruling(needs=None, reason=held.reason, text=held.text, findings=[finding, *ruling.findings])

    def _given(
        self,
        rule: Rule,
        view: IncidentView,
        campaign: AffectedCampaign,
        observed: Observations,
        *,
        in_flight: Iterable[Action],
    ) -> GuardInput:
        platform, account = _owner(campaign)
        config = self._platforms.account(platform, account)
        paused = self._paused_lately(campaign.campaign, in_flight, now=observed.now)
        live = _live_spend(observed, besides=paused, like=campaign.campaign)
        lease = self._ledger.lease(campaign.campaign)
        ended = lease.ended_at if lease and lease.ended_reason != "not_paused" else 0
        return GuardInput(
            now=observed.now,
            mode=effective_mode(rule, self._config),
            config=self._config.guards,
            incident_state=view.state,
            incident=view.payload,
            campaign=campaign,
            account_known=config is not None,
            client_exists=config is not None and self._platforms.has_client(platform, account),
            sandbox=config is not None and config.sandbox,
            switches=self._ledger.switches_on(),
            paused_campaigns_last_hour=len(paused),
            paused_spend_last_hour=sum(paused.values()),
            spend_per_hour=_spend_per_hour(campaign, observed),
            live_spend_per_hour=live,
            ended_at=ended,
            last_conversion=observed.last_conversion,
        )

    def _paused_lately(self, target: str, in_flight: Iterable[Action], *, now: int) -> dict[str, float]:
        """Campaigns, this one left out, that were paused within the hour or are about to be, with their spend per hour."""
        spend = {each.target: float(each.spend_per_hour_micros) for each in in_flight}
        for lease in self._ledger.leases(open_only=False):
            if lease.started_at > now - HOUR_MS and lease.ended_reason != "not_paused":
                spend[lease.target] = float(self._ledger.get(lease.action_id).spend_per_hour_micros)
        spend.pop(target, None)
        return spend

    def _in_flight(self) -> list[Action]:
        return self._ledger.find(states=_IN_FLIGHT)

    def _attempt(self, rule: Rule, view: IncidentView, target: str, *, now: int) -> int:
        """Which attempt a proposal would be, 0 = none is due."""
        of_target = [each for each in self._ledger.find(target=target) if each.kind == PAUSE_CAMPAIGN]
        mine = [each for each in of_target if each.rule == rule.rule and each.incident_id == view.incident_id]
        if any(each.state not in FINAL and (each in mine or each.state not in _ONLY_WATCHED) for each in of_target):
            return 0
        last = max(mine, key=lambda each: each.attempt, default=None)
        if not may_propose_again(last, cool_down_ms=self._config.guards.cool_down, now=now):
            return 0
        return 1 if last is None else last.attempt + 1

    def _build(
        self,
        rule: Rule,
        view: IncidentView,
        campaign: AffectedCampaign,
        observed: Observations,
        *,
        ruling: Ruling,
        attempt: int,
    ) -> Action:
        state = first_state(ruling)
        platform, account = _owner(campaign)
        config = self._platforms.account(platform, account)
        lease = rule.pause_step.lease if rule.pause_step else None
        return Action(
            action_id=action_id(
                rule=rule.rule, incident_id=view.incident_id, target=campaign.campaign, attempt=attempt
            ),
            rule=rule.rule,
            incident_id=view.incident_id,
            kind=PAUSE_CAMPAIGN,
            target=campaign.campaign,
            client=campaign.client or (config.client if config else ""),
            state=state,
            mode=effective_mode(rule, self._config),
            proposed_at=observed.now,
            expires_at=observed.now + self._config.approval_expires,
            spend_per_hour_micros=round(_spend_per_hour(campaign, observed)),
            currency=observed.spend_currency.get(campaign.campaign) or campaign.currency or view.payload.cost.currency,
            attempt=attempt,
            request="",
            name=campaign.name,
            sentence=action_sentence(campaign, view.payload),
            pause_cost=pause_cost(campaign, view.payload),
            runs_out=lease or self._config.lease,
            reason=allowed_reason(ruling) if state is ActionState.APPROVED else ruling.reason,
            needs=ruling.needs or 0,
            decided_at=observed.now if state is ActionState.APPROVED else 0,
            decided_by=AUTOMATIC if state is ActionState.APPROVED else "",
            findings=ruling.findings,
            sandbox=config is not None and config.sandbox,
        )

    def _write(self, action: Action, *, now: int) -> bool:
        payload = {
            "sentence": action.sentence,
            "pause_cost": action.pause_cost,
            "mode": action.mode,
            "needs": action.needs,
            "sandbox": action.sandbox,
            "findings": msgspec.to_builtins(action.findings),
        }
        return self._ledger.propose(action, step=_FIRST_STEP[action.state], payload=payload, now=now)


_FIRST_STEP = {
    ActionState.HELD: "held",
    ActionState.BY_HAND: "by_hand",
    ActionState.AWAITING: "asked",
    ActionState.APPROVED: "approved",
}


def effective_mode(rule: Rule, config: AlertsConfig) -> Mode:
    """The more careful of what the rule and the settings say."""
    return MODES[min(MODES.index(rule.mode or config.mode), MODES.index(config.mode))]


def first_state(ruling: Ruling) -> ActionState:
    """Where an action begins, by what the guards say."""
    if ruling.needs is None:
        return ActionState.BY_HAND if ruling.reason in BY_HAND_REASONS else ActionState.HELD
    return ActionState.APPROVED if ruling.needs == 0 else ActionState.AWAITING


def allowed_reason(ruling: Ruling) -> str:
    """Why nobody had to be asked; that an account is a sandbox is said, not implied."""
    return next((each.reason for each in ruling.findings if each.reason == "sandbox_exempt"), "automatic")


def _is_over(ruling: Ruling) -> bool:
    return bool(ENDING_REASONS & {each.reason for each in ruling.findings if each.needs is None})


def _owner(campaign: AffectedCampaign) -> tuple[str, str]:
    try:
        target = parse_target(campaign.campaign)
    except Invalid:
        return campaign.platform, ""
    return target.platform, target.account


def _spend_per_hour(campaign: AffectedCampaign, observed: Observations) -> float:
    """Live spend of the whole campaign; without clicks just now, what the incident says of its affected part."""
    live = observed.live_spend_micros.get(campaign.campaign, 0.0)
    share = campaign.scope_share if campaign.scope_share > 0 else 1.0
    return live or campaign.exposed_per_hour_micros / share


def _live_spend(observed: Observations, *, besides: Container[str], like: str) -> float:
    """Live spend per hour of all campaigns that are paid in the same currency as `like`: other money cannot be added to it."""
    currency = observed.spend_currency.get(like, "")
    return sum(
        spend
        for name, spend in observed.live_spend_micros.items()
        if name not in besides and (not currency or observed.spend_currency.get(name, currency) == currency)
    )


def _request_id(actions: list[Action]) -> str:
    """Actions that are asked for together have one question."""
    return sha256("\n".join(sorted(each.action_id for each in actions)).encode()).hexdigest()[:16]
