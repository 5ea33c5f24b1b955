"""Pausing a campaign and giving it back: the only code that writes to an ad platform.

Pausing, numbered as in `execute`:

1. Read the campaign. If it does not deliver, there is nothing to pause and nothing of ours to return later: hands off.
2. In one transaction: state `acting`, the intent with its deadline, and the lease. From here on the campaign has an owner, whatever dies.
3. Call. The target state is absolute, so repeating the call is harmless; a call never outlives the action's deadline.
4. Write the result to the ledger.
5. Read the campaign back. Only what the platform says counts: `paused` ends it.

What is left in `acting` is settled by `settle`: read back first; call again only when the last call ended with a passing error and the
campaign is still not paused. A call whose end nobody saw (a crash) is never repeated, but waited for until its deadline has passed.

A campaign that is read as paused proves our pause only if our call said yes, or if it is seen before the call's time is over. Later it may
as well be a person's: then the lease stays open, nothing returns it by itself, and a person is asked to look.
"""

from __future__ import annotations

from typing import Literal

from alerts.actions.base import Action, parse_target
from alerts.actions.platforms import Platforms
from alerts.config import AlertsConfig
from alerts.ledger import SYSTEM, Lease, Ledger
from alerts.state import ActionState
from core.clock import Clock
from core.errors import Permanent, SourceError, Transient
from core.vendors.base import AdPlatform, DeliveryStatus

#: After its deadline a call may still be on its way inside the platform for this long.
SETTLE_MS = 5_000
#: A read gets this share of a call's time; it must not use up the deadline of the write.
_READ_SHARE = 0.5
#: `Action.escalated`: a campaign should be delivering again and is not.
RETURN_FAILS = "return_fails"
#: `Action.escalated`: paused, but by our call or by a person?
WHOSE_PAUSE = "whose_pause"
#: Who keeps a campaign paused that nobody can be shown to have paused.
UNKNOWN_HAND = "an unknown hand, ours or a person's"
_WHY_NOT_PAUSED = {
    "ok": "read_back_differs",
    "": "interrupted",
    "transient": "deadline",
    "permanent": "platform_refused",
}


class PauseCampaign:
    """Executes, settles and returns pauses. The ledger's times come from `clock`, as calls take time."""

    def __init__(self, ledger: Ledger, platforms: Platforms, *, config: AlertsConfig, clock: Clock) -> None:
        self._ledger = ledger
        self._platforms = platforms
        self._config = config
        self._clock = clock

    # --- pausing ---------------------------------------------------------------------------------------------------------------
    def execute(self, action: Action) -> Action:
        """Carry out an approved pause; returns the action in the state it reached."""
        try:
            status = self._read(action)
        except Transient as error:
            return self._told(action, error)
        except SourceError as error:
            return self._move(action, ActionState.FAILED, step="failed", reason="platform_refused", error=error.detail)
        if status != "enabled":
            reason = "already_paused" if status == "paused" else "not_delivering"
            return self._move(action, ActionState.WITHDRAWN, step="withdrawn", reason=reason)
        action = self._intend(action, previous=status)
        return self._confirm(self._call(action, "paused"))

    def settle(self, action: Action, *, may_call: bool = True) -> Action:
        """Find out what became of a pause that is `acting` or `unconfirmed`; without `may_call` (a switch is on) only by reading."""
        try:
            status = self._read(action)
        except SourceError as error:
            return self._unreadable(action, error)
        late = self._clock() >= action.deadline + SETTLE_MS
        if status == "paused":
            return self._kept(action) if late and action.call != "ok" else self._paused(action)
        if late:
            return self._not_paused(action, status)
        if may_call and action.call == "transient" and self._clock() < action.deadline:
            return self._confirm(self._call(action, "paused"))
        return action

    def _intend(self, action: Action, *, previous: DeliveryStatus) -> Action:
        now = self._clock()
        deadline = now + self._config.act_deadline
        lease = Lease(
            target=action.target,
            action_id=action.action_id,
            platform=parse_target(action.target).platform,
            previous_status=previous,
            started_at=now,
            expires_at=now + action.runs_out,
        )
        return self._move(
            action,
            ActionState.ACTING,
            step="intent",
            payload={"from": previous, "to": "paused", "deadline": deadline, "lease_expires": lease.expires_at},
            lease=lease,
            deadline=deadline,
            call="",
            lease_expires=lease.expires_at,
            checked_at=now,
        )

    def _confirm(self, action: Action) -> Action:
        try:
            status = self._read(action)
        except SourceError as error:
            return self._unreadable(action, error)
        if status == "paused":
            return self._paused(action)
        if action.call == "permanent" or self._clock() >= action.deadline + SETTLE_MS:
            return self._not_paused(action, status)
        return action

    def _paused(self, action: Action) -> Action:
        reason = "confirmed" if action.call == "ok" else "reconciled"
        return self._move(
            action, ActionState.PAUSED, step="read_back", reason=reason, payload={"status": "paused"}, error=""
        )

    def _kept(self, action: Action) -> Action:
        """Paused, seen too late to say by whom: never switched on by itself, and a person is asked."""
        action = self._ledger.keep(self._paused(action), by=UNKNOWN_HAND, now=self._clock(), reason=WHOSE_PAUSE)
        return self._ledger.touch(action, escalated=WHOSE_PAUSE)

    def _not_paused(self, action: Action, status: DeliveryStatus) -> Action:
        """Past the deadline and read back as not paused. After a call that said yes, a person hears of it before we call it failed."""
        if action.call == "ok" and action.state is ActionState.ACTING:
            return self._unconfirmed(action, reason="read_back_differs", status=status)
        reason = _WHY_NOT_PAUSED[action.call]
        return self._move(
            action, ActionState.FAILED, step="failed", reason=reason, payload={"status": status}, end_lease="not_paused"
        )

    def _unreadable(self, action: Action, error: SourceError) -> Action:
        if action.state is ActionState.ACTING and self._clock() >= action.deadline + SETTLE_MS:
            return self._unconfirmed(action, reason="unreadable", status="unknown", error=error.detail)
        return self._told(action, error)

    def _unconfirmed(self, action: Action, *, reason: str, status: DeliveryStatus, error: str = "") -> Action:
        return self._move(
            action, ActionState.UNCONFIRMED, step="unconfirmed", reason=reason, payload={"status": status}, error=error
        )

    # --- returning -------------------------------------------------------------------------------------------------------------
    def give_back(self, action: Action, *, reason: str, by: str = SYSTEM) -> Action:
        """End the lease of a pause: restore delivery only if the campaign is still as we left it."""
        try:
            status = self._read(action)
        except SourceError as error:
            return self._told(action, error, escalate=True)
        if status != "paused":
            return self._hands_off(action, status)
        action = self._intend_return(action, reason=reason, by=by)
        return self._confirm_return(self._call(action, "enabled"))

    def settle_return(self, action: Action, *, may_call: bool = True) -> Action:
        """Find out what became of a return. It is repeated until the platform confirms it: nothing stays paused without an owner.

        Without `may_call` (a switch is on) it is only read back; the lease stays open, so it is repeated once the switch is off.
        """
        try:
            status = self._read(action)
        except SourceError as error:
            return self._told(action, error, escalate=True)
        if status != "paused":
            return self._returned(action) if status == "enabled" else self._hands_off(action, status)
        waits = self._clock() < action.deadline + SETTLE_MS and action.call != "transient"
        if waits or not may_call:
            return action
        if self._clock() >= action.deadline:
            deadline = self._clock() + self._config.act_deadline
            action = self._ledger.note(
                action,
                step="return_intent",
                reason="again",
                payload={"deadline": deadline},
                now=self._clock(),
                deadline=deadline,
                call="",
                escalated=RETURN_FAILS,
            )
        return self._confirm_return(self._call(action, "enabled"))

    def check(self, action: Action) -> Action:
        """Look whether a person changed a campaign that we hold; if so it is theirs."""
        action = self._ledger.touch(action, checked_at=self._clock())
        try:
            status = self._read(action)
        except SourceError as error:
            return self._told(action, error)
        return action if status == "paused" else self._hands_off(action, status)

    def _intend_return(self, action: Action, *, reason: str, by: str) -> Action:
        deadline = self._clock() + self._config.act_deadline
        return self._move(
            action,
            ActionState.RETURNING,
            step="return_intent",
            by=by,
            reason=reason,
            payload={"from": "paused", "to": "enabled", "deadline": deadline},
            deadline=deadline,
            call="",
            return_reason=reason,
            return_by=by,
        )

    def _confirm_return(self, action: Action) -> Action:
        try:
            status = self._read(action)
        except SourceError as error:
            return self._told(action, error)
        return self._returned(action) if status == "enabled" else action

    def _returned(self, action: Action) -> Action:
        return self._move(
            action,
            ActionState.RETURNED,
            step="return_read_back",
            reason=action.return_reason,
            payload={"status": "enabled"},
            end_lease=action.return_reason,
            error="",
        )

    def _hands_off(self, action: Action, status: DeliveryStatus) -> Action:
        return self._move(
            action,
            ActionState.RELEASED,
            step="released",
            reason="changed_on_platform",
            payload={"status": status},
            end_lease="changed_on_platform",
            error="",
        )

    # --- the platform ----------------------------------------------------------------------------------------------------------
    def _call(self, action: Action, status: Literal["enabled", "paused"]) -> Action:
        """One call and its result in the ledger."""
        left_ms = max(action.deadline - self._clock(), 100)
        outcome, detail = "ok", ""
        try:
            deadline_s = min(self._config.call_deadline, left_ms) / 1000
            self._client(action).set_status(action.target, status, deadline_s=deadline_s)
        except SourceError as error:
            outcome, detail = "transient" if error.retryable else "permanent", error.detail
        return self._ledger.note(
            action,
            step="call" if status == "paused" else "return_call",
            reason=outcome,
            payload={"to": status, "error": detail},
            now=self._clock(),
            call=outcome,
            error=detail,
        )

    def _read(self, action: Action) -> DeliveryStatus:
        deadline_s = self._config.call_deadline / 1000 * _READ_SHARE
        return self._client(action).campaign(action.target, deadline_s=deadline_s).status

    def _client(self, action: Action) -> AdPlatform:
        target = parse_target(action.target)
        client = self._platforms.client(target.platform, target.account)
        if client is None:
            raise Permanent(target.platform, "there is no client for this account any more")
        return client

    # --- bookkeeping -----------------------------------------------------------------------------------------------------------
    def _move(self, action: Action, to: ActionState, *, step: str, reason: str = "", **rest: object) -> Action:
        return self._ledger.move(action, to, step=step, reason=reason, now=self._clock(), **rest)  # type: ignore[arg-type]  # passed on unchanged

    def _told(self, action: Action, error: SourceError, *, escalate: bool = False) -> Action:
        """Keep the state, and keep the error for people; written once per error, not once per tick.

        With `escalate`, a person is told at once of what will not mend itself, and of the rest when it lasts.
        """
        lasts = not error.retryable or bool(action.error)
        escalated = RETURN_FAILS if escalate and lasts else action.escalated
        if (action.error, action.escalated) == (error.detail, escalated):
            return action
        return self._ledger.touch(action, error=error.detail, escalated=escalated)
