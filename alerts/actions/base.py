"""What an action is: a write to an ad platform that somebody or some rule proposed, and everything known about it."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from alerts.state import ActionState
from core.errors import Invalid
from core.identity import split_qualified

PAUSE_CAMPAIGN = "pause_campaign"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A qualified campaign ID in its parts."""

    platform: str
    account: str
    campaign: str


def parse_target(qualified: str) -> Target:
    """`google:1:2` in its parts.

    Raises:
        Invalid: `unqualified_campaign`: without platform and account nobody knows which campaign is meant.
    """
    try:
        platform, account, _ = split_qualified(qualified)
    except ValueError as error:
        raise Invalid("unqualified_campaign", str(error)) from None
    return Target(platform=platform, account=account, campaign=qualified)


def action_id(*, rule: str, incident_id: str, target: str, attempt: int) -> str:
    """32 hex digits: the same proposal has the same ID after a restart or on a second monitor, so it exists once."""
    return sha256(f"{rule}\n{incident_id}\n{target}\n{attempt}".encode()).hexdigest()[:32]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's yes. `via` is link, key or cli: a link proves only that somebody holds it."""

    by: str
    via: str
    at: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one guard found. `needs` people must approve; None = it may not be done at all."""

    guard: str
    needs: int | None
    reason: str = ""
    text: str = ""

    @property
    def passed(self) -> bool:
        return self.needs == 0


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the `actions` table; what only Python reads lies in its payload."""

    action_id: str
    rule: str
    incident_id: str
    kind: str
    target: str
    client: str
    state: ActionState
    mode: str
    proposed_at: int
    expires_at: int
    spend_per_hour_micros: int
    currency: str
    attempt: int
    request: str  # actions that are asked for together share it; an approval link names it
    name: str  # the campaign's name for people
    sentence: str
    pause_cost: str  # what pausing itself costs, as a sentence
    runs_out: int  # lease length, ms
    reason: str = ""
    waits_for: str = ""  # the guard's word that keeps it from moving now
    needs: int = 1
    decided_at: int = 0
    decided_by: str = ""
    ended_at: int = 0
    approvals: list[Approval] = []
    findings: list[Finding] = []
    sandbox: bool = False
    deadline: int = 0  # of the write in hand
    call: str = ""  # how its last call ended: "" (none returned), ok, transient, permanent
    lease_expires: int = 0
    checked_at: int = 0
    kept_by: str = ""  # a person keeps it paused: it is theirs
    return_reason: str = ""
    return_by: str = ""
    escalated: str = ""
    error: str = ""
