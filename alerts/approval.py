"""Approval: signed links, and what a person may decide about an action. Nothing here writes to a platform; the next tick does.

A link names a *request*: the actions that were asked for together. It is signed with a key that never leaves the control database, and it
expires. Whoever holds it may see the request; only the POST from its page decides, and each action is decided once.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

import msgspec
from sqlalchemy import Engine

from alerts.actions.base import Action, Approval
from alerts.actions.lease import UNDONE
from alerts.ledger import Ledger
from alerts.stages import enough
from alerts.state import ActionState
from core.clock import now_ms
from core.control.shared_secret import shared_secret
from core.errors import Conflict, Forbidden, Invalid, NotFound

SECRET_NAME = "approval_links"  # noqa: S105 - its name, not its value
_SIGNATURE_HEX = 32
MAX_NAME = 80


class ApprovalLinks:
    """Makes and checks the links' tokens: ``<request>-<expires, hex seconds>-<signature>``."""

    def __init__(self, engine: Engine, *, public_url: str) -> None:
        self._key = shared_secret(engine, SECRET_NAME, now=now_ms())
        self._public_url = public_url.rstrip("/")

    def url(self, request: str, *, expires_at: int) -> str:
        """The link of a request; the same arguments give the same link, so refreshing a message does not change it."""
        return f"{self._public_url}/approve/{self.token(request, expires_at=expires_at)}"

    def token(self, request: str, *, expires_at: int) -> str:
        body = f"{request}-{expires_at // 1000:x}"
        return f"{body}-{self._sign(body)}"

    def request_of(self, token: str, *, now: int) -> str:
        """The request that a token was made for.

        Raises:
            NotFound: `unknown_link`: not one of ours, or altered.
            Forbidden: `link_expired`.
        """
        body, _, signature = token.rpartition("-")
        request, _, expires = body.rpartition("-")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            raise NotFound("unknown_link", "this link is not one of ours, or a part of it is missing")
        if int(expires, 16) * 1000 <= now:
            raise Forbidden("link_expired", "this link has expired: open the newest message, or the console")
        return request

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), sha256).hexdigest()[:_SIGNATURE_HEX]


class Decisions:
    """What people decide. Every method raises `Conflict` with `already_<state>` when it was decided before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def approve(self, action: Action, *, by: str, via: str, now: int) -> Action:
        """One person's yes; with enough of them the action may be done.

        Raises:
            Conflict: decided already, expired, or this person agreed before.
            Invalid: `no_name`.
        """
        by = check_name(by)
        _require(action, ActionState.AWAITING)
        if now >= action.expires_at:
            raise Conflict("request_expired", "nobody answered in time; if it still matters you are asked again")
        if any(approval.by == by for approval in action.approvals):
            raise Conflict("same_approver", f"{by} has agreed already; a second person must")
        agreed = [*action.approvals, Approval(by=by, via=via, at=now)]
        after = msgspec.structs.replace(action, approvals=agreed)
        if not enough(after, needs=action.needs):
            return self._ledger.note(
                action, expected=action, step="approval", by=by, reason=via, now=now, approvals=agreed
            )
        return self._ledger.move(
            action,
            ActionState.APPROVED,
            step="approved",
            by=by,
            reason=via,
            now=now,
            approvals=agreed,
            decided_at=now,
            decided_by=" and ".join(each.by for each in agreed),
        )

    def reject(self, action: Action, *, by: str, via: str, now: int) -> Action:
        """One person's no ends it.

        Raises:
            Conflict: decided already.
            Invalid: `no_name`.
        """
        by = check_name(by)
        if action.state is not ActionState.APPROVED:
            _require(action, ActionState.AWAITING)
        return self._ledger.move(
            action, ActionState.REJECTED, step="rejected", by=by, reason=via, now=now, decided_at=now, decided_by=by
        )

    def undo(self, action: Action, *, by: str, via: str, now: int) -> Action:
        """Ask for the campaign back; the next tick gives it back, whatever the lease or a "keep paused" says.

        Raises:
            Conflict: nothing of it is in force.
            Invalid: `no_name`.
        """
        by = check_name(by)
        if action.state in (ActionState.AWAITING, ActionState.APPROVED):
            return self.reject(action, by=by, via=via, now=now)
        if action.state not in (ActionState.ACTING, ActionState.UNCONFIRMED, ActionState.PAUSED):
            raise Conflict(f"already_{action.state}", f"the action is {action.state}, there is nothing to undo")
        return self._ledger.note(
            action,
            expected=action,
            step="return_wanted",
            by=by,
            reason=UNDONE,
            now=now,
            return_reason=UNDONE,
            return_by=by,
        )

    def keep(self, action: Action, *, by: str, now: int) -> Action:
        """Keep the campaign paused for good: from now on it is this person's.

        Raises:
            Conflict: it is not paused.
            Invalid: `no_name`.
        """
        return self._ledger.keep(action, by=check_name(by), now=now)


def check_name(by: str) -> str:
    """Raises:
    Invalid: `no_name`: a decision needs somebody who made it.
    """
    name = " ".join(by.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Invalid("no_name", f"please give your name (at most {MAX_NAME} characters): the ledger keeps who decided")
    return name


def _require(action: Action, state: ActionState) -> None:
    if action.state is not state:
        who = f" by {action.decided_by}" if action.decided_by else ""
        raise Conflict(f"already_{action.state}", f"this was decided already: it is {action.state}{who}")


def waiting(actions: Sequence[Action]) -> list[Action]:
    return [each for each in actions if each.state is ActionState.AWAITING]
