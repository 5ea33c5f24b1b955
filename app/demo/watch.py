"""What the product says while the story runs: incidents, actions and alerts, read as any customer could read them, with when we saw it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from app.demo.alert_receiver import Received
from app.demo.product import Product
from core.clock import parse_rfc3339


class SeenIncident(msgspec.Struct, kw_only=True):
    """An incident in its newest version, and what was noteworthy on the way. Times are ms."""

    incident_id: str
    first_seen: int
    state: str
    verdict: str
    #: The version in which the verdict was reached that still stands.
    verdict_since: int
    opened: int
    onset: int
    scope: dict[str, str]
    payload: dict[str, Any]
    #: The payload as it stood while the fault lasted: recovery changes the figures.
    at_worst: dict[str, Any] = {}
    recovered_at: int = 0
    closed_at: int = 0


class SeenAction(msgspec.Struct, kw_only=True):
    action_id: str
    incident_id: str
    target: str
    kind: str
    state: str
    mode: str
    decided_by: str
    #: First time we saw each state, ms.
    states: dict[str, int]


class Observed(msgspec.Struct, kw_only=True):
    """Everything the product said in one run; the checker compares it with the truth."""

    incidents: dict[str, SeenIncident] = {}
    actions: dict[str, SeenAction] = {}
    alerts: list[Received] = []
    mutations: list[dict[str, Any]] = []
    ledgers: dict[str, list[dict[str, Any]]] = {}
    failed_traces: int = 0


class Watch:
    """Reads incidents and actions again and again; tells what changed through `tell`."""

    def __init__(self, product: Product, *, tell: Callable[[str, Any], None]) -> None:
        self.observed = Observed()
        self._product = product
        self._tell = tell

    def look(self) -> None:
        """One reading of everything."""
        now = int(time.time() * 1000)
        for incident in incidents_of(self._product):
            self._note_incident(incident, now=now)
        for action in actions_of(self._product):
            self._note_action(action, now=now)

    def _note_incident(self, found: dict[str, Any], *, now: int) -> None:
        payload = found["payload"]
        known = self.observed.incidents.get(found["incident_id"])
        seen = SeenIncident(
            incident_id=found["incident_id"], first_seen=known.first_seen if known else now, state=found["state"],
            verdict=found["verdict"], verdict_since=known.verdict_since if known and known.verdict == found["verdict"] else now,
            opened=parse_rfc3339(found["opened"]), onset=parse_rfc3339(found["onset"]), scope=found["scope"], payload=payload,
            at_worst=payload if found["state"] == "open" else (known.at_worst if known else payload),
            recovered_at=(known.recovered_at if known else 0) or (now if found["state"] != "open" else 0),
            closed_at=(known.closed_at if known else 0) or (now if found["state"] == "closed" else 0),
        )  # fmt: skip
        self.observed.incidents[seen.incident_id] = seen
        if known is None:
            self._tell("incident", seen)
        elif known.verdict != seen.verdict:
            self._tell("verdict", seen)
        elif known.state != seen.state:
            self._tell("incident_state", seen)

    def _note_action(self, found: dict[str, Any], *, now: int) -> None:
        known = self.observed.actions.get(found["action_id"])
        states = dict(known.states) if known else {}
        states.setdefault(found["state"], now)
        seen = SeenAction(
            action_id=found["action_id"], incident_id=found["incident_id"], target=found["target"], kind=found["kind"],
            state=found["state"], mode=found["mode"], decided_by=found.get("decided_by") or "", states=states,
        )  # fmt: skip
        self.observed.actions[seen.action_id] = seen
        if known is None or known.state != seen.state:
            self._tell("action", seen)

    def in_state(self, *states: str) -> list[SeenAction]:
        return [action for action in self.observed.actions.values() if action.state in states]


def incidents_of(product: Product) -> list[dict[str, Any]]:
    """Every incident with its payload."""
    found: list[dict[str, Any]] = product.get("/api/v1/incidents")["incidents"]
    return found


def actions_of(product: Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.get("/api/v1/actions")["actions"]
    return found
