"""The two state machines of this part, pure: what may follow what, and nothing else.

A rule on one subject (an incident, the redirect):

    inactive ──holds──▶ pending ──held for N windows──▶ firing ──no longer holds──▶ resolved
        ▲                  │                              │                           │
        └──── no longer ───┘                      incomplete window:           holds again: firing
                                                   nothing changes

An action (one pause of one campaign, from the proposal to the return):

    proposed ──▶ held ⇄ (guards) ──▶ awaiting ──approve──▶ approved ──intent──▶ acting ──confirmed──▶ paused
       │          │                   │  │  └─reject─▶ rejected   │               │  │                   │
       │          └──────withdraw─────┴──┼──────withdraw──────────┘               │  └─lost─▶ unconfirmed│
       │                                 └─expire─▶ expired                       │             │  │     │
       └─no client─▶ by_hand                                                      └─fail─▶ failed◀┘  └─▶ paused
                                                                                                          │
                     returned ◀──confirmed── returning ◀──return────────────────────────────────────────┤
                                                 └──changed by a person──▶ released ◀──changed by a person──┘

An approved action whose guards ask for more people by now goes back to `awaiting`. `acting` is entered in the same transaction that writes the intent and the lease, before any call; so whatever happens afterwards, a
campaign that we may have paused has a lease and an action that is not finished.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.errors import Conflict


class RuleState(StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class RuleProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rule stands for one subject. `windows` counts complete windows in a row that held."""

    state: RuleState = RuleState.INACTIVE
    since: int = 0
    windows: int = 0


def advance(progress: RuleProgress, *, holds: bool | None, needed: int, now: int) -> RuleProgress:
    """The next state after one evaluation; `holds` None = incomplete or unknown: it neither counts nor resets."""
    if holds is None:
        return progress
    if not holds:
        return _enter(_AFTER_NOT_HOLDING.get(progress.state, progress.state), progress, windows=0, now=now)
    windows = progress.windows + 1
    fires = progress.state is RuleState.FIRING or windows >= needed
    return _enter(RuleState.FIRING if fires else RuleState.PENDING, progress, windows=windows, now=now)


_AFTER_NOT_HOLDING = {RuleState.FIRING: RuleState.RESOLVED, RuleState.PENDING: RuleState.INACTIVE}


def _enter(after: RuleState, progress: RuleProgress, *, windows: int, now: int) -> RuleProgress:
    return RuleProgress(state=after, since=progress.since if after is progress.state else now, windows=windows)


class ActionState(StrEnum):
    HELD = "held"  # a guard refuses for now; looked at again every tick
    BY_HAND = "by_hand"  # there is no client for this platform: the message tells a person
    AWAITING = "awaiting"  # a person is asked
    APPROVED = "approved"  # may be done
    ACTING = "acting"  # intent written; the platform may or may not have it
    PAUSED = "paused"  # read back from the platform; the lease runs
    RETURNING = "returning"  # intent to return written
    RETURNED = "returned"  # read back as delivering again
    RELEASED = "released"  # a person changed it on the platform: hands off
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the reason for it went away before it was done
    UNCONFIRMED = "unconfirmed"  # we do not know: a person is told, reading back goes on
    FAILED = "failed"  # read back: not done


FINAL = frozenset(
    {
        ActionState.RETURNED,
        ActionState.RELEASED,
        ActionState.REJECTED,
        ActionState.EXPIRED,
        ActionState.WITHDRAWN,
        ActionState.FAILED,
    }
)
#: The campaign may be paused by us: a lease is open.
LEASED = frozenset({ActionState.ACTING, ActionState.UNCONFIRMED, ActionState.PAUSED, ActionState.RETURNING})
#: Nothing was written for it yet.
UNDECIDED = frozenset({ActionState.HELD, ActionState.BY_HAND, ActionState.AWAITING, ActionState.APPROVED})

_S = ActionState
TRANSITIONS: dict[ActionState, frozenset[ActionState]] = {
    _S.HELD: frozenset({_S.AWAITING, _S.APPROVED, _S.BY_HAND, _S.WITHDRAWN}),
    _S.BY_HAND: frozenset({_S.WITHDRAWN}),
    _S.AWAITING: frozenset({_S.APPROVED, _S.REJECTED, _S.EXPIRED, _S.WITHDRAWN}),
    _S.APPROVED: frozenset({_S.AWAITING, _S.ACTING, _S.REJECTED, _S.EXPIRED, _S.WITHDRAWN, _S.FAILED}),
    _S.ACTING: frozenset({_S.PAUSED, _S.UNCONFIRMED, _S.FAILED}),
    _S.UNCONFIRMED: frozenset({_S.PAUSED, _S.FAILED, _S.RELEASED}),
    _S.PAUSED: frozenset({_S.RETURNING, _S.RELEASED}),
    _S.RETURNING: frozenset({_S.RETURNED, _S.RELEASED}),
    **{state: frozenset() for state in FINAL},
}


def check_transition(before: ActionState, after: ActionState) -> None:
    """Raises:
    Conflict: `already_<state>`: this cannot follow that.
    """
    if after not in TRANSITIONS[before]:
        raise Conflict(f"already_{before}", f"the action is {before} and cannot become {after}")
