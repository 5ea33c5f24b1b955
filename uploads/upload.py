"""An upload and its transitions: pure. What a decision or a call changes of a row of the sent log, and its line in the journal."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

from core.records import Record
from core.records import Upload as UploadRecord
from uploads.candidates import upload_fact_id
from uploads.decisions import TAKEN_BACK, Decision
from uploads.states import State

#: What the platform says of an event is kept up to here.
MAX_DETAIL: Final = 1_000


class Upload(msgspec.Struct, frozen=True):
    """A row of the sent log, its columns in order. Times in ms."""

    upload_id: str
    destination: str
    target: str
    conversion: str
    event_id: str
    client: str
    state: State
    reason: str
    detail: str
    event_ts: int
    value_micros: int
    currency: str
    attempts: int
    uncertain_since: int | None
    next_attempt: int
    batch_limit: int
    batch_id: str
    request_id: str
    decided_at: int
    updated_at: int


class Count(msgspec.Struct, frozen=True):
    """How many uploads of a destination are in a state for a reason, and since when the oldest is known (ms)."""

    destination: str
    state: str
    reason: str
    uploads: int
    oldest: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one upload after a call."""

    upload: Upload
    state: State
    reason: str = ""
    detail: str = ""
    next_attempt: int = 0
    request_id: str = ""
    batch_limit: int = 0
    #: It may have arrived. False leaves it as it was before this call.
    uncertain: bool = False


def entered(row: Upload | None, decision: Decision, *, reason: str, now: int) -> dict[str, Any]:
    """Columns that a decision changes; empty when it changes nothing. What was sent is not called back, only said of it."""
    event = decision.event
    if row is not None and row.state in ("sent", "accepted"):
        gone = event.candidate.status in TAKEN_BACK and row.reason != "taken_back"
        return {"reason": "taken_back", "updated_at": now, "unpublished": True} if gone else {}
    if row is not None and row.state in ("sending", "dead"):
        return {}
    if row is None and reason == "status":
        return {}
    if row is not None and row.state == "pending" and reason == "replayed":
        return {}  # it was news when it was entered
    state, word = left_out(row, reason) if reason else ("pending", row.reason if row and row.state == "pending" else "")
    facts = {
        "conversion": event.candidate.fact_id,
        # It keeps the ID that it was entered with: it may have arrived under it.
        "event_id": row.event_id if row is not None and row.state == "pending" else event.event_id,
        "client": event.candidate.client,
        "event_ts": event.ts,
        "value_micros": event.candidate.value_micros if event.mapping.send_value else 0,
        "currency": event.candidate.currency if event.mapping.send_value else "",
    }
    if row is not None and (row.state, row.reason) == (state, word):
        return {name: value for name, value in facts.items() if getattr(row, name) != value}
    first = row is None or row.state != "pending"
    return {
        **facts,
        "state": state,
        "reason": word,
        "next_attempt": max(decision.not_before, now) if first else now,
        "updated_at": now,
        "unpublished": True,
        **({"decided_at": now} if first else {}),
    }


def left_out(row: Upload | None, reason: str) -> tuple[State, str]:
    """The state of what is not to be sent. What is there already was sent; what was to be sent and could not be in time is a dead letter, so that people see it."""
    if reason == "already_there":
        return "sent", reason
    if row is None or row.state != "pending":
        return "skipped", reason
    if row.uncertain_since is not None:
        return "dead", "outcome_unknown"
    return ("dead", "too_old") if reason == "too_old" else ("skipped", reason)


def settled(change: Change, *, now: int) -> dict[str, Any]:
    """Columns after a call."""
    upload = change.upload
    taken_back = upload.reason == "taken_back" and change.state in ("sent", "accepted")
    values: dict[str, Any] = {
        "state": change.state,
        "reason": "taken_back" if taken_back else change.reason,
        "detail": change.detail[:MAX_DETAIL],
        "next_attempt": change.next_attempt or upload.next_attempt,
        "request_id": change.request_id,
        "batch_limit": change.batch_limit,
        "attempts": upload.attempts,
        "updated_at": now,
        "unpublished": True,
    }
    if not change.uncertain:
        # A platform that has it, or has refused it, leaves no doubt; a call that did not happen leaves the doubt there was.
        values["uncertain_since"] = upload.uncertain_since if change.state == "pending" else None
    return values


def event_key(decision: Decision) -> str:
    """One event ID goes to one target of an account once."""
    parts = (decision.event.reported_to, decision.event.mapping.target, decision.event.event_id)
    return sha256("\n".join(parts).encode()).hexdigest()


def record(upload: Upload, *, kind: str) -> Record:
    """The journal's line of an upload's state."""
    return UploadRecord(
        ts=upload.updated_at,
        source=kind,
        fact_id=upload_fact_id(upload.upload_id),
        destination=upload.destination,
        target=upload.target,
        conversion=upload.conversion,
        event_id=upload.event_id,
        state=upload.state,
        reason=upload.reason,
        client=upload.client,
        value_micros=upload.value_micros,
        currency=upload.currency,
        attempts=upload.attempts,
        request_id=upload.request_id,
    )
