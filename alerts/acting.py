"""The stage `act`: walk over every unfinished action and take its next step, one poisoned action never holding up the others."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from alerts.actions.base import Action
from alerts.actions.guard import ENDING_REASONS, STOP_RETURNS, Ruling, campaign_left
from alerts.actions.lease import UNDONE, ReturnDecision, return_due
from alerts.actions.pause_campaign import PauseCampaign
from alerts.config import AlertsConfig
from alerts.ledger import SYSTEM, Lease, Ledger
from alerts.metrics import ACTION_ERRORS
from alerts.observations import Observations
from alerts.proposals import AUTOMATIC, Proposals, allowed_reason
from alerts.rules.schema import Rule
from alerts.stages import NextStep, next_step
from alerts.state import FINAL, UNDECIDED, ActionState
from core.clock import Clock
from core.errors import Conflict

log = structlog.get_logger(__name__)

#: What is being written is settled first, then campaigns come back, then new ones are paused.
_ORDER = (
    ActionState.ACTING,
    ActionState.UNCONFIRMED,
    ActionState.RETURNING,
    ActionState.PAUSED,
    ActionState.APPROVED,
    ActionState.AWAITING,
    ActionState.HELD,
    ActionState.BY_HAND,
)
_WRITTEN = frozenset({ActionState.ACTING, ActionState.UNCONFIRMED, ActionState.RETURNING})


class Acting:
    """Decides and takes next steps; the platform is only ever touched through `PauseCampaign`."""

    def __init__(
        self,
        ledger: Ledger,
        pause: PauseCampaign,
        proposals: Proposals,
        *,
        rules: Sequence[Rule],
        config: AlertsConfig,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._pause = pause
        self._proposals = proposals
        self._rules = {rule.rule: rule for rule in rules}
        self._config = config
        self._clock = clock

    def act(self, observed: Observations) -> None:
        """One step for every unfinished action. Calls take time, so a tick stops calling once `act_deadline` is used up."""
        switches = self._ledger.switches_on()
        leases = {lease.action_id: lease for lease in self._ledger.leases()}
        until = self._clock() + self._config.act_deadline
        for action in self._unfinished():
            if self._clock() >= until:
                log.warning("actions left for the next tick", reason="act_deadline")
                return
            ruling = self._ruling(action, observed) if action.state in UNDECIDED else None
            back = self._return(action, leases.get(action.action_id), observed, switches)
            step = next_step(
                action,
                ruling=ruling,
                return_is_due=back.due,
                check_every_ms=self._config.lease_check,
                now=observed.now,
            )
            self._contained(action, step, ruling=ruling, back=back, now=observed.now)

    def settle_only(self, *, now: int) -> None:
        """Without the store: settle what is being written, and end leases whose time is over or that a person wants back."""
        switches = self._ledger.switches_on()
        leases = {lease.action_id: lease for lease in self._ledger.leases()}
        for action in self._unfinished():
            lease = leases.get(action.action_id)
            if action.state not in UNDECIDED and lease is not None:
                back = return_due(
                    lease, incident_state="", incident=None, wanted=action.return_reason, switches=switches, now=now
                )
                step = next_step(
                    action, ruling=None, return_is_due=back.due, check_every_ms=self._config.lease_check, now=now
                )
                self._contained(action, step, ruling=None, back=back, now=now)

    def want_back(self, incident_id: str, *, by: str, now: int) -> None:
        """A rule's resume step: every pause that we hold for the incident is to end."""
        for action in self._ledger.find(states=[ActionState.PAUSED], incident_id=incident_id):
            if not action.return_reason:
                self._ledger.note(
                    action,
                    step="return_wanted",
                    by=by,
                    reason="rule_resumed",
                    now=now,
                    return_reason="rule_resumed",
                    return_by=by,
                )

    def _unfinished(self) -> list[Action]:
        found = self._ledger.find(states=frozenset(ActionState) - FINAL)
        return sorted(found, key=lambda each: (_ORDER.index(each.state), each.proposed_at, each.target))

    def _ruling(self, action: Action, observed: Observations) -> Ruling | None:
        """The guards' fresh answer; None when the incident is not known (a store being filled again) or the rule is gone."""
        view = observed.incidents.get(action.incident_id)
        rule = self._rules.get(action.rule)
        if view is None or rule is None:
            return None
        campaign = next((each for each in view.payload.campaigns if each.campaign == action.target), None)
        if campaign is None:
            return campaign_left()
        acting = self._ledger.find(states=[ActionState.ACTING])
        return self._proposals.ruling(rule, view, campaign, observed, in_flight=acting)

    def _return(
        self, action: Action, lease: Lease | None, observed: Observations, switches: frozenset[str]
    ) -> ReturnDecision:
        if lease is None:
            return ReturnDecision(due=False, reason="no_lease")
        view = observed.incidents.get(action.incident_id)
        return return_due(
            lease,
            incident_state=view.state if view else "",
            incident=view.payload if view else None,
            wanted=action.return_reason,
            switches=switches,
            now=observed.now,
        )

    def _contained(
        self, action: Action, step: NextStep, *, ruling: Ruling | None, back: ReturnDecision, now: int
    ) -> None:
        try:
            self._take(action, step, ruling=ruling, back=back, now=now)
        except Conflict as conflict:
            # Somebody else (a person, `undo --direct`, another monitor) was first: the next tick sees what they did.
            log.info("action moved meanwhile", action=action.action_id, reason=conflict.reason)
        except Exception:  # a fault in one platform's client must not keep the campaigns of another from coming back
            ACTION_ERRORS.labels(step).inc()
            log.exception("step of an action failed", action=action.action_id, step=step)

    def _take(self, action: Action, step: NextStep, *, ruling: Ruling | None, back: ReturnDecision, now: int) -> None:
        match step:
            case "wait":
                self._note_hold(action, ruling, now=now)
            case "ask" | "allow":
                assert ruling is not None, "both follow from what the guards said"
                self._answer(action, step, ruling, now=now)
            case "withdraw":
                reason = next((each for each in _reasons(ruling) if each in ENDING_REASONS), "rule_gone")
                self._ledger.move(action, ActionState.WITHDRAWN, step="withdrawn", reason=reason, now=now)
            case "expire":
                self._ledger.move(action, ActionState.EXPIRED, step="expired", reason="nobody_answered", now=now)
            case "execute":
                self._pause.execute(action)
            case "settle":
                self._pause.settle(action, may_call=not self._ledger.switches_on())
            case "give_back":
                self._pause.give_back(action, reason=back.reason, by=action.return_by or SYSTEM)
            case "settle_return":
                stopped = STOP_RETURNS in self._ledger.switches_on() and action.return_reason != UNDONE
                self._pause.settle_return(action, may_call=not stopped)
            case "check":
                self._pause.check(action)

    def _answer(self, action: Action, step: NextStep, ruling: Ruling, *, now: int) -> None:
        """The guards let a held action through, or ask for more people than agreed."""
        needs = ruling.needs or 0
        expires_at = now + self._config.approval_expires
        if step == "ask":
            self._ledger.move(
                action,
                ActionState.AWAITING,
                step="asked",
                reason=ruling.reason,
                now=now,
                needs=needs,
                findings=ruling.findings,
                expires_at=expires_at,
                request=self._proposals.open_request(action.rule, action.incident_id) or action.request,
            )
        else:
            allowed = self._ledger.move(
                action,
                ActionState.APPROVED,
                step="approved",
                reason=allowed_reason(ruling),
                now=now,
                needs=needs,
                findings=ruling.findings,
                expires_at=expires_at,
                decided_at=now,
                decided_by=AUTOMATIC,
            )
            self._pause.execute(allowed)

    def _note_hold(self, action: Action, ruling: Ruling | None, *, now: int) -> None:
        """Why an action does not move, written when the word changes and not every tick."""
        if action.state not in (ActionState.HELD, ActionState.APPROVED) or ruling is None or ruling.needs is not None:
            return
        if ruling.reason != (action.waits_for or action.reason):
            self._ledger.note(
                action,
                step="held",
                reason=ruling.reason,
                payload={"text": ruling.text},
                now=now,
                waits_for=ruling.reason,
                findings=ruling.findings,
            )


def _reasons(ruling: Ruling | None) -> list[str]:
    return [finding.reason for finding in ruling.findings] if ruling else []
