"""A pause is a lease: it ends by itself. Pure: when it ends, and why.

held ── recovery probe says the fault is gone ──▶ recovered
     ── the incident was closed ──────────────▶ incident_closed
     ── its time is over ─────────────────────▶ lease_expired
     ── a person wants it back ───────────────▶ undone
     ── a rule's resume step ─────────────────▶ rule_resumed
kept by a person: nothing of this but the person's own undo
stop_returns switched on: nothing automatic, a person's undo still works
"""

from __future__ import annotations

import msgspec

from alerts.actions.guard import STOP_RETURNS
from alerts.ledger import Lease
from core.incidents import IncidentPayload

UNDONE = "undone"


class ReturnDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to give the campaign back, and the word for why or why not."""

    due: bool
    reason: str


def return_due(
    lease: Lease,
    *,
    incident_state: str,
    incident: IncidentPayload | None,
    wanted: str,
    switches: frozenset[str],
    now: int,
) -> ReturnDecision:
    """Whether a lease ends now.

    Args:
        incident_state: open, recovering or closed; empty when the store does not know the incident (a wiped store): then only time counts.
        wanted: why a return was asked for already (`undone` by a person, `rule_resumed`, or an earlier tick's reason), or "".
    """
    if wanted == UNDONE:
        return ReturnDecision(due=True, reason=UNDONE)
    if lease.kept_by:
        return ReturnDecision(due=False, reason="kept_by_person")
    reason = wanted or _reason(lease, incident_state=incident_state, incident=incident, now=now)
    if reason and STOP_RETURNS in switches:
        return ReturnDecision(due=False, reason="returns_stopped")
    return ReturnDecision(due=bool(reason), reason=reason or "still_needed")


def _reason(lease: Lease, *, incident_state: str, incident: IncidentPayload | None, now: int) -> str:
    recovered = incident is not None and incident.recovery is not None and incident.recovery.recovered
    if recovered and incident_state in ("recovering", "closed"):
        return "recovered"
    if incident_state == "closed":
        return "incident_closed"
    return "lease_expired" if now >= lease.expires_at else ""
