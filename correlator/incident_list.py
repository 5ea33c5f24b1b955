"""Incidents as the store has them, for the reading routes: newest version, or the one known at a moment."""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import NotFound
from core.incidents import IncidentPayload
from core.store.client import Store
from correlator import queries
from correlator.period import Question


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    incident_id: str
    state: str
    onset_ms: int
    opened_ms: int
    closed_ms: int
    known_ms: int
    verdict: str
    scope: dict[str, str]
    payload: IncidentPayload


def incidents(store: Store, question: Question, *, state: str = "") -> list[IncidentView]:
    """Incidents that were open at some time in the period, newest first."""
    found = [_view(row) for row in _rows(store, question, incident_id="")]
    return [view for view in found if _visible(view, question) and state in ("", view.state)]


def incident(store: Store, incident_id: str, question: Question) -> IncidentView:
    """Raises:
    NotFound: `unknown_incident`, there is none, or it concerns clients the question may not see.
    """
    # Whatever its age: a link in a message stays good.
    always = msgspec.structs.replace(question, since=0, until=max(question.until, question.at) + 1)
    found = [_view(row) for row in _rows(store, always, incident_id=incident_id)] if incident_id else []
    if not found or not _visible(found[0], always):
        raise NotFound("unknown_incident", f"there is no incident {incident_id}")
    return found[0]


def _rows(store: Store, question: Question, *, incident_id: str) -> list[dict[str, Any]]:
    params = {**question.params(), "incident_id": incident_id}
    return queries.read(store, queries.text("incident_as_of"), params)


def _visible(view: IncidentView, question: Question) -> bool:
    """An incident's sums cannot be shown in part: all of its campaigns must be visible."""
    named = view.payload.campaigns
    if question.campaign and question.campaign not in {entry.campaign for entry in named}:
        return False
    return not question.clients or (bool(named) and all(entry.client in question.clients for entry in named))


def _view(row: dict[str, Any]) -> IncidentView:
    return IncidentView(
        incident_id=row["incident_id"],
        state=row["state"],
        onset_ms=int(row["onset"]),
        opened_ms=int(row["opened"]),
        closed_ms=int(row["closed"]),
        known_ms=int(row["known_at"]),
        verdict=row["verdict"],
        scope=dict(row["scope"]),
        payload=msgspec.json.decode(row["payload"], type=IncidentPayload),
    )
