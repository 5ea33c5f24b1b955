"""The ledger: every action and every step of it, append-only, in the control database and then in the journal.

The row in `actions` is the current state, `ledger` is how it came about; both are written in one transaction, so neither can be ahead of
the other. A transition is a compare-and-set on the state: of two processes that want to do the same thing, one gets a `Conflict`.

Steps: proposed, held, by_hand, asked, approval, approved, rejected, expired, withdrawn, intent, call, read_back, failed, unconfirmed,
kept, return_wanted, return_intent, return_call, return_read_back, released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Engine, Row, insert, select, update

from alerts.actions.base import Action
from alerts.actions.guard import SWITCHES
from alerts.metrics import ACTIONS
from alerts.state import FINAL, ActionState, check_transition
from core.control.checkpoints import Checkpoints
from core.control.tables import actions, ledger, pause_leases, switches
from core.control.upsert import upsert
from core.errors import Conflict, NotFound
from core.records import Decision, Record

SYSTEM = "clicktrace"
SOURCE = "alerts"
_COLUMNS = frozenset(column.name for column in actions.columns) - {"payload"}
_PUBLISHED = "published_entry"


class Journal(Protocol):
    """The journal's writing side (`core.journal.writer.JournalWriter`)."""

    def append_many(self, records: Iterable[Record], /) -> int: ...


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. `payload` holds the state after it and what belongs to the step."""

    entry: int
    action_id: str
    at: int
    step: str
    by: str
    reason: str
    payload: dict[str, Any]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A pause that we hold, or held."""

    target: str
    action_id: str
    platform: str
    previous_status: str
    started_at: int
    expires_at: int
    kept_by: str = ""
    ended_at: int = 0
    ended_reason: str = ""


class Ledger:
    """Reads and writes actions, their steps, leases and switches. Times are handed in, ms."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # --- actions ---------------------------------------------------------------------------------------------------------------
    def propose(self, action: Action, *, step: str, payload: Mapping[str, Any], now: int) -> bool:
        """Write a new action; False when it was proposed before (its ID says which proposal it is)."""
        with self.engine.begin() as connection:
            if _find(connection, action.action_id) is not None:
                return False
            connection.execute(insert(actions).values(**_to_row(action)))
            _append(connection, action, step="proposed", by=SYSTEM, reason="", payload=payload, now=now)
            _append(connection, action, step=step, by=SYSTEM, reason=action.reason, payload={}, now=now)
        ACTIONS.labels(action.state, action.reason).inc()
        return True

    def move(
        self,
        action: Action,
        to: ActionState,
        *,
        step: str,
        now: int,
        by: str = SYSTEM,
        reason: str = "",
        payload: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
        end_lease: str = "",
        **changes: Any,
    ) -> Action:
        """One transition with its ledger line, and with the lease it starts or ends, in one transaction.

        Raises:
            Conflict: `already_<state>`: somebody else moved it since `action` was read.
        """
        with self.engine.begin() as connection:
            current = _lock(connection, action.action_id)
            if current.state is not action.state or current.approvals != action.approvals:
                raise Conflict(f"already_{current.state}", f"the action is {current.state} by now")
            check_transition(current.state, to)
            if to in FINAL:
                changes["ended_at"] = now
            after = msgspec.structs.replace(current, state=to, reason=reason, **changes)
            _write(connection, after)
            _append(connection, after, step=step, by=by, reason=reason, payload=payload or {}, now=now)
            if lease is not None:
                upsert(connection, pause_leases, _lease_row(lease))
            if end_lease:
                _end_lease(connection, after, reason=end_lease, now=now)
        ACTIONS.labels(to, reason).inc()
        return after

    def note(
        self,
        action: Action,
        *,
        step: str,
        now: int,
        by: str = SYSTEM,
        reason: str = "",
        payload: Mapping[str, Any] | None = None,
        expected: Action | None = None,
        **changes: Any,
    ) -> Action:
        """A ledger line without a transition; `changes` go to the action's row.

        Raises:
            Conflict: with `expected`, when the action is not exactly that any more.
        """
        with self.engine.begin() as connection:
            current = _lock(connection, action.action_id)
            if expected is not None and current != expected:
                raise Conflict("changed_meanwhile", f"the action changed meanwhile and is {current.state}: look again")
            after = msgspec.structs.replace(current, **changes)
            _write(connection, after)
            _append(connection, after, step=step, by=by, reason=reason, payload=payload or {}, now=now)
        return after

    def touch(self, action: Action, **changes: Any) -> Action:
        """Bookkeeping that is no step: when it was last looked at, which error was told."""
        with self.engine.begin() as connection:
            after = msgspec.structs.replace(_lock(connection, action.action_id), **changes)
            _write(connection, after)
        return after

    def get(self, action_id: str) -> Action:
        """Raises:
        NotFound: `unknown_action`.
        """
        with self.engine.connect() as connection:
            found = _find(connection, action_id)
        if found is None:
            raise NotFound("unknown_action", f"there is no action {action_id}")
        return found

    def find(
        self,
        *,
        states: Iterable[ActionState] | None = None,
        incident_id: str = "",
        incidents: Iterable[str] | None = None,
        target: str = "",
        request: str = "",
        limit: int = 10_000,
    ) -> list[Action]:
        """Actions, newest proposal first."""
        query = select(actions).order_by(actions.c.proposed_at.desc(), actions.c.action_id).limit(limit)
        if states is not None:
            query = query.where(actions.c.state.in_([str(state) for state in states]))
        if incident_id:
            query = query.where(actions.c.incident_id == incident_id)
        if incidents is not None:
            query = query.where(actions.c.incident_id.in_(sorted(incidents)))
        if target:
            query = query.where(actions.c.target == target)
        with self.engine.connect() as connection:
            found = [_from_row(row) for row in connection.execute(query)]
        return [action for action in found if not request or action.request == request]

    def entries(self, action_id: str = "", *, after: int = 0, limit: int = 100_000) -> list[Entry]:
        """Ledger lines in the order they were written."""
        query = select(ledger).where(ledger.c.entry > after).order_by(ledger.c.entry).limit(limit)
        if action_id:
            query = query.where(ledger.c.action_id == action_id)
        with self.engine.connect() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    # --- leases ----------------------------------------------------------------------------------------------------------------
    def leases(self, *, open_only: bool = True) -> list[Lease]:
        query = select(pause_leases).order_by(pause_leases.c.started_at)
        if open_only:
            query = query.where(pause_leases.c.ended_at.is_(None))
        with self.engine.connect() as connection:
            return [_lease(row) for row in connection.execute(query)]

    def lease(self, target: str) -> Lease | None:
        with self.engine.connect() as connection:
            row = connection.execute(select(pause_leases).where(pause_leases.c.target == target)).first()
        return None if row is None else _lease(row)

    def keep(self, action: Action, *, by: str, now: int, reason: str = "kept_by_person") -> Action:
        """A person keeps the campaign paused: it is theirs now, nothing returns it by itself.

        Raises:
            Conflict: it is not paused.
        """
        if action.state is not ActionState.PAUSED:
            raise Conflict(f"already_{action.state}", f"the action is {action.state}, there is no pause to keep")
        with self.engine.begin() as connection:
            current = msgspec.structs.replace(_lock(connection, action.action_id), kept_by=by)
            _write(connection, current)
            mine = (pause_leases.c.target == action.target) & (pause_leases.c.action_id == action.action_id)
            connection.execute(update(pause_leases).where(mine).values(kept_by=by))
            _append(connection, current, step="kept", by=by, reason=reason, payload={}, now=now)
        return current

    # --- switches --------------------------------------------------------------------------------------------------------------
    def switches_on(self) -> frozenset[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(switches.c.name).where(switches.c.on.is_(True)))
            return frozenset(row.name for row in rows)

    def set_switch(self, name: str, *, on: bool, by: str, now: int) -> None:
        """Raises:
        NotFound: `unknown_switch`.
        """
        if name not in SWITCHES:
            raise NotFound("unknown_switch", f"there is no switch {name!r}; there are {', '.join(SWITCHES)}")
        with self.engine.begin() as connection:
            upsert(connection, switches, {"name": name, "on": on, "by": by, "at": now})

    # --- to the journal --------------------------------------------------------------------------------------------------------
    def publish(self, journal: Journal, checkpoints: Checkpoints) -> int:
        """Journal the lines written since the last time, as `decision` records; returns how many.

        The checkpoint moves after the journal has them: a crash between the two repeats lines, and a repeated line has the same
        `fact_id` and the same content, so it changes nothing.
        """
        after = int(checkpoints.get(_PUBLISHED) or b"0")
        entries = self.entries(after=after)
        if not entries:
            return 0
        with self.engine.connect() as connection:
            wanted = {entry.action_id for entry in entries}
            rows = connection.execute(select(actions).where(actions.c.action_id.in_(wanted)))
            by_id = {row.action_id: _from_row(row) for row in rows}
        journal.append_many([_decision(entry, by_id[entry.action_id]) for entry in entries])
        checkpoints.put(_PUBLISHED, str(entries[-1].entry).encode())
        return len(entries)


def _decision(entry: Entry, action: Action) -> Decision:
    return Decision(
        ts=entry.at,
        source=SOURCE,
        fact_id=f"decision:{entry.action_id}:{entry.entry}",
        action_id=entry.action_id,
        incident_id=action.incident_id,
        rule=action.rule,
        state=str(entry.payload.get("state", "")),
        target=action.target,
        by=entry.by,
        payload={"step": entry.step, "reason": entry.reason, **entry.payload},
    )


def _find(connection: Connection, action_id: str) -> Action | None:
    row = connection.execute(select(actions).where(actions.c.action_id == action_id)).first()
    return None if row is None else _from_row(row)


def _lock(connection: Connection, action_id: str) -> Action:
    """The row as it is now, locked until the transaction ends.

    The write comes first because SQLite's driver opens no transaction for a read: two approvers could each read, then overwrite the other.
    """
    touched = connection.execute(
        update(actions).where(actions.c.action_id == action_id).values(state=actions.c.state).returning(actions.c.state)
    ).first()
    found = _find(connection, action_id)
    if touched is None or found is None:
        raise NotFound("unknown_action", f"there is no action {action_id}")
    return found


def _write(connection: Connection, action: Action) -> None:
    connection.execute(update(actions).where(actions.c.action_id == action.action_id).values(**_to_row(action)))


def _append(
    connection: Connection, action: Action, *, step: str, by: str, reason: str, payload: Mapping[str, Any], now: int
) -> None:
    connection.execute(
        insert(ledger).values(
            action_id=action.action_id,
            at=now,
            step=step,
            by=by,
            reason=reason,
            payload={"state": str(action.state), **payload},
        )
    )


def _end_lease(connection: Connection, action: Action, *, reason: str, now: int) -> None:
    mine = (pause_leases.c.target == action.target) & (pause_leases.c.action_id == action.action_id)
    connection.execute(update(pause_leases).where(mine).values(ended_at=now, ended_reason=reason))


def _to_row(action: Action) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(action)
    row: dict[str, Any] = {name: value for name, value in fields.items() if name in _COLUMNS}
    row["payload"] = {name: value for name, value in fields.items() if name not in _COLUMNS}
    return row


def _from_row(row: Row[Any]) -> Action:
    fields = dict(row._mapping)
    fields.update(fields.pop("payload"))
    # str(): column names are SQLAlchemy's own kind of string, which msgspec does not take for a key.
    fields = {str(name): value for name, value in fields.items() if value is not None}
    return msgspec.convert(fields, Action)


def _lease_row(lease: Lease) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(lease)
    row["kept_by"] = row["kept_by"] or None
    row["ended_at"] = row["ended_at"] or None
    return row


def _lease(row: Row[Any]) -> Lease:
    return Lease(**{name: value for name, value in row._mapping.items() if value is not None})
