"""`clicktrace actions undo --direct`: give every paused campaign back without the monitor, straight from the control database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Engine

from alerts.actions.base import Action
from alerts.actions.lease import UNDONE
from alerts.actions.pause_campaign import SETTLE_MS, PauseCampaign
from alerts.actions.platforms import OpenAccount, Platforms
from alerts.config import AlertsConfig
from alerts.ledger import SOURCE, Journal, Lease, Ledger
from alerts.state import FINAL, ActionState
from core.clock import Clock, now_ms
from core.control.checkpoints import Checkpoints
from core.errors import Conflict, SourceError
from core.vendors.config import AccountConfig

_PAUSE_BETWEEN_S = 1.0


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one lease. `ended` is True when the campaign is no longer held by us."""

    target: str
    action_id: str
    state: str
    ended: bool
    detail: str = ""


def end_all_leases(
    control: Engine,
    *,
    config: AlertsConfig,
    accounts: Sequence[AccountConfig],
    open_account: OpenAccount,
    by: str,
    journal: Journal | None = None,
    action_ids: Sequence[str] = (),
    include_kept: bool = False,
    clock: Clock = now_ms,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Undone]:
    """End every open lease, or those of `action_ids`, reading each campaign back; safe while a monitor runs, which then finds them ended.

    Args:
        by: who wants it; stands in the ledger.
        journal: where the decisions go; without one the next monitor journals them.
        include_kept: also those that a person keeps paused.
    """
    ledger = Ledger(control)
    platforms = Platforms(accounts, open_account)
    pause = PauseCampaign(ledger, platforms, config=config, clock=clock)
    try:
        leases = [each for each in ledger.leases() if not action_ids or each.action_id in action_ids]
        return [
            _end(ledger, pause, lease, config=config, by=by, include_kept=include_kept, clock=clock, sleep=sleep)
            for lease in leases
        ]
    finally:
        platforms.close()
        if journal is not None:
            ledger.publish(journal, Checkpoints(control, SOURCE, clock=clock))


def _end(
    ledger: Ledger,
    pause: PauseCampaign,
    lease: Lease,
    *,
    config: AlertsConfig,
    by: str,
    include_kept: bool,
    clock: Clock,
    sleep: Callable[[float], None],
) -> Undone:
    action = ledger.get(lease.action_id)
    if lease.kept_by and not include_kept:
        return _undone(action, detail=f"kept paused by {lease.kept_by}")
    action = ledger.note(
        action, step="return_wanted", by=by, reason=UNDONE, now=clock(), return_reason=UNDONE, return_by=by
    )
    until = clock() + config.act_deadline + 2 * SETTLE_MS
    while action.state not in FINAL and clock() < until:
        try:
            action = _step(pause, action, by=by)
        except Conflict:
            action = ledger.get(action.action_id)  # the monitor is at it as well: look at what it did
        except SourceError as error:
            action = ledger.touch(action, error=error.detail)
        if action.state not in FINAL:
            sleep(_PAUSE_BETWEEN_S)
    return _undone(action, detail=action.error)


def _step(pause: PauseCampaign, action: Action, *, by: str) -> Action:
    if action.state is ActionState.RETURNING:
        return pause.settle_return(action)
    if action.state is ActionState.PAUSED:
        return pause.give_back(action, reason=UNDONE, by=by)
    return pause.settle(action)


def _undone(action: Action, *, detail: str) -> Undone:
    return Undone(
        target=action.target,
        action_id=action.action_id,
        state=action.state,
        ended=action.state in FINAL,
        detail=detail,
    )
