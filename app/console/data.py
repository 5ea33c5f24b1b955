"""What the console reads: incidents and their series from the store, actions and ledger from the control database.

Every method blocks and is called in a worker thread, never on the event loop.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from alerts.actions.base import Action
from alerts.ledger import Entry, Lease, Ledger
from app.console.series import Series, read_series
from core.clock import MINUTE_MS
from core.errors import NotFound
from core.incidents import IncidentPayload
from core.principal import Principal
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.journey import Journey, journey
from correlator.period import Question

#: Closed incidents stay on the list this long.
LISTED_DAYS = 30


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident's newest version."""

    incident_id: str
    state: str
    opened: int
    closed: int
    known_at: int
    payload: IncidentPayload


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    """An action with its ledger and the lease it holds."""

    action: Action
    entries: list[Entry]
    lease: Lease | None


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What is being watched while nothing is wrong."""

    campaigns: int
    clicks_last_hour: int


class ConsoleData:
    """Reads for one principal at a time; a key sees its clients only."""

    def __init__(self, store: Store, ledger: Ledger, *, config: CorrelatorConfig, steering_origin: str) -> None:
        self._store = store
        self._ledger = ledger
        self._config = config
        self._origin = steering_origin

    def incidents(self, principal: Principal, *, now: int) -> list[IncidentView]:
        """Open ones first, then the closed ones of the last weeks, newest first."""
        rows = self._store.rows(
            "SELECT incident_id, state, opened, closed, known_at, payload FROM incident_current "
            "WHERE state != 'closed' OR opened >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') "
            "ORDER BY state = 'closed', opened DESC LIMIT 200",
            {"since": now - LISTED_DAYS * 24 * 60 * MINUTE_MS},
        )
        views = [_view(row) for row in rows]
        return [view for view in views if visible(view.payload, principal)]

    def incident(self, incident_id: str, principal: Principal) -> IncidentView:
        """Raises:
        NotFound: `unknown_incident`: there is none, or it concerns clients that this key does not see.
        """
        rows = self._store.rows(
            "SELECT incident_id, state, opened, closed, known_at, payload FROM incident_current "
            "WHERE incident_id = {incident_id:String}",
            {"incident_id": incident_id},
        )
        if not rows or not visible(_view(rows[0]).payload, principal):
            raise NotFound("unknown_incident", f"there is no incident {incident_id}")
        return _view(rows[0])

    def actions(self, incident_id: str, principal: Principal) -> list[ActionView]:
        """Everything done or asked for an incident, each with its ledger."""
        return [
            ActionView(
                action=action, entries=self._ledger.entries(action.action_id), lease=self._ledger.lease(action.target)
            )
            for action in self._ledger.find(incident_id=incident_id)
            if principal.sees(action.client)
        ]

    def series(self, payload: IncidentPayload, *, now: int) -> Series:
        """Expected and observed conversions of the incident's scope, per minute."""
        return read_series(self._store, payload, steering=self._config.steering_types(), origin=self._origin, now=now)

    def waiting(self) -> dict[str, int]:
        """How many decisions wait for a person, by incident."""
        found: dict[str, int] = {}
        for action in self._ledger.find(limit=500):
            if action.state == "awaiting":
                found[action.incident_id] = found.get(action.incident_id, 0) + 1
        return found

    def journey(self, click_id: str, principal: Principal, *, now: int) -> Journey:
        """One click's journey.

        Raises:
            Invalid: `bad_click_id`.
            NotFound: `unknown_click`.
        """
        question = Question(since=0, until=now, now=now, clients=tuple(sorted(principal.clients)))
        return journey(self._store, self._config, click_id, question)

    def watching(self, principal: Principal, *, now: int) -> Watching:
        row = self._store.rows(
            "SELECT uniqExactIf(campaign, campaign != '') AS campaigns, count() AS clicks FROM click "
            "WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') "
            "AND (empty({clients:Array(String)}) OR has({clients:Array(String)}, client))",
            {"since": now - 60 * MINUTE_MS, "clients": sorted(principal.clients)},
        )[0]
        return Watching(campaigns=cast(int, row["campaigns"]), clicks_last_hour=cast(int, row["clicks"]))


def visible(payload: IncidentPayload, principal: Principal) -> bool:
    """True when the key sees every client the incident concerns: its sums could not be shown in part."""
    return all(principal.sees(campaign.client) for campaign in payload.campaigns)


def _view(row: dict[str, object]) -> IncidentView:
    return IncidentView(
        incident_id=cast(str, row["incident_id"]),
        state=cast(str, row["state"]),
        opened=_ms(row["opened"]),
        closed=_ms(row["closed"]),
        known_at=_ms(row["known_at"]),
        payload=msgspec.json.decode(cast(str, row["payload"]), type=IncidentPayload),
    )


def _ms(moment: object) -> int:
    return round(cast(datetime, moment).timestamp() * 1000)
