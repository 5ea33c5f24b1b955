"""The sent log: one row for each conversion, destination and target, in the control database, and every state of it in the journal.

Nothing is sent that was not claimed here before: a claim is a compare-and-set from `pending` to `sending`, and stands before the call.
A row that is found `sending` after its time therefore may have arrived; it is sent again only while the platform recognises the event
by its ID. `event_key` is unique: one event ID goes to one target once, whoever else reports the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, and_, delete, func, insert, or_, select, update

from core.control.tables import uploads
from uploads.base import Journal
from uploads.decisions import Decision
from uploads.states import FINAL
from uploads.upload import Change, Count, Upload, entered, event_key, record, settled

#: Rows in one statement.
CHUNK: Final = 500
_MAY_BE_THERE: Final = ("pending", "sending", "accepted", "sent", "dead")


_COLUMNS: Final = tuple(uploads.c[name] for name in Upload.__struct_fields__)


class SentLog:
    """Reads and writes the log. Times are handed in, ms."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- what is to be sent --------------------------------------------------------------------------------------------------------

    def decide(
        self, decisions: Sequence[Decision], *, destination: str, now: int, arrived: frozenset[str] = frozenset()
    ) -> dict[str, int]:
        """Enter new decisions and correct those that still can be; how many changed, by state and reason (``skipped:too_old``).

        `arrived` are uploads that went out before this log began.
        """
        changed: dict[str, int] = {}
        for start in range(0, len(decisions), CHUNK):
            part = decisions[start : start + CHUNK]
            with self._engine.begin() as connection:
                known = _by_id(connection, [decision.event.upload_id for decision in part])
                owners = _owners(connection, [event_key(decision) for decision in part])
                for decision in part:
                    row = known.get(decision.event.upload_id)
                    if row is None and decision.event.upload_id in arrived:
                        decision = msgspec.structs.replace(decision, reason="already_there")
                    word = self._enter(connection, decision, row, owners, destination=destination, now=now)
                    if word:
                        changed[word] = changed.get(word, 0) + 1
        return changed

    def _enter(
        self,
        connection: Connection,
        decision: Decision,
        row: Upload | None,
        owners: dict[str, str],
        *,
        destination: str,
        now: int,
    ) -> str:
        """One decision; the state and reason it led to, "" when nothing changed."""
        identifier = decision.event.upload_id
        key = event_key(decision)
        holds = row is not None and row.state in _MAY_BE_THERE
        taken = not holds and owners.get(key, identifier) != identifier
        values = entered(row, decision, reason=decision.reason or ("duplicate_event" if taken else ""), now=now)
        if not values:
            return ""
        # Only what is or may be at the platform holds its event ID; what is left out makes room for another report of the same order.
        if values.get("state") == "skipped":
            values["event_key"] = None
        elif "state" in values and not holds:
            values["event_key"] = key
            owners[key] = identifier
        if row is None:
            fixed = {"upload_id": identifier, "destination": destination, "target": decision.event.mapping.target}
            connection.execute(insert(uploads).values(**fixed, **_BLANK, **values))
        else:
            connection.execute(update(uploads).where(uploads.c.upload_id == identifier).values(**values))
        return f"{values.get('state', row.state if row else '')}:{values.get('reason', '')}"

    def unknown(self, upload_ids: Sequence[str]) -> list[str]:
        """Those that the log does not hold."""
        held: set[str] = set()
        for start in range(0, len(upload_ids), CHUNK):
            query = select(uploads.c.upload_id).where(uploads.c.upload_id.in_(upload_ids[start : start + CHUNK]))
            with self._engine.connect() as connection:
                held.update(connection.execute(query).scalars())
        return [each for each in upload_ids if each not in held]

    def due(self, destination: str, *, now: int, limit: int) -> list[Upload]:
        """What is to be sent by now, the longest waiting first."""
        query = select(*_COLUMNS).where(
            uploads.c.destination == destination, uploads.c.state == "pending", uploads.c.next_attempt <= now
        )
        return self._rows(query.order_by(uploads.c.next_attempt, uploads.c.upload_id).limit(limit))

    def claim(self, wanted: Iterable[Upload], *, batch_id: str, now: int) -> list[Upload]:
        """The intent, before the call: those of `wanted` that nobody else took meanwhile, as they were before."""
        before = {upload.upload_id: upload for upload in wanted}
        with self._engine.begin() as connection:
            connection.execute(
                update(uploads)
                .where(uploads.c.upload_id.in_(before), uploads.c.state == "pending")
                .values(
                    state="sending",
                    batch_id=batch_id,
                    attempts=uploads.c.attempts + 1,
                    uncertain_since=func.coalesce(uploads.c.uncertain_since, now),
                    updated_at=now,
                )
            )
            mine = connection.execute(select(uploads.c.upload_id).where(uploads.c.batch_id == batch_id)).scalars()
            return [
                msgspec.structs.replace(before[found], batch_id=batch_id, attempts=before[found].attempts + 1)
                for found in mine
                if found in before
            ]

    def settle(self, changes: Iterable[Change], *, now: int) -> None:
        """What the call led to. A row that is no longer ours is left alone."""
        with self._engine.begin() as connection:
            for change in changes:
                upload = change.upload
                ours = and_(
                    uploads.c.upload_id == upload.upload_id,
                    uploads.c.batch_id == upload.batch_id,
                    uploads.c.state.in_(("sending", "accepted")),
                )
                connection.execute(update(uploads).where(ours).values(**settled(change, now=now)))

    def drop(self, changes: Iterable[tuple[Upload, str, str]], *, now: int) -> None:
        """(upload, state, reason) of what was waiting and is not to be sent any more: `skipped` or `dead`."""
        with self._engine.begin() as connection:
            for upload, state, reason in changes:
                waiting = and_(uploads.c.upload_id == upload.upload_id, uploads.c.state == "pending")
                values: dict[str, Any] = {"state": state, "reason": reason, "updated_at": now, "unpublished": True}
                if state == "skipped":
                    values["event_key"] = None
                connection.execute(update(uploads).where(waiting).values(**values))

    # --- what is under way -----------------------------------------------------------------------------------------------------------

    def recover(self, destination: str, *, older_than: int, now: int) -> int:
        """Uploads whose call was under way when its process ended wait again, and may have arrived; how many."""
        lost = and_(
            uploads.c.destination == destination, uploads.c.state == "sending", uploads.c.updated_at < older_than
        )
        values = {"state": "pending", "reason": "interrupted", "next_attempt": now, "updated_at": now}
        with self._engine.begin() as connection:
            return int(connection.execute(update(uploads).where(lost).values(**values, unpublished=True)).rowcount)

    def requests_due(self, destination: str, *, now: int, limit: int = 50) -> list[str]:
        """Accepted requests that are to be asked about by now."""
        query = (
            select(uploads.c.request_id)
            .where(uploads.c.destination == destination, uploads.c.state == "accepted", uploads.c.next_attempt <= now)
            .group_by(uploads.c.request_id)
            .order_by(func.min(uploads.c.next_attempt))
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [str(found) for found in connection.execute(query).scalars()]

    def of_request(self, request_id: str) -> list[Upload]:
        query = select(*_COLUMNS).where(uploads.c.request_id == request_id, uploads.c.state == "accepted")
        return self._rows(query.order_by(uploads.c.upload_id))

    def postpone(self, request_id: str, *, until: int) -> None:
        asked = and_(uploads.c.request_id == request_id, uploads.c.state == "accepted")
        with self._engine.begin() as connection:
            connection.execute(update(uploads).where(asked).values(next_attempt=until))

    # --- what people see and do ------------------------------------------------------------------------------------------------------

    def counts(self) -> list[Count]:
        columns = (uploads.c.destination, uploads.c.state, uploads.c.reason)
        query = select(*columns, func.count().label("uploads"), func.min(uploads.c.decided_at).label("oldest"))
        with self._engine.connect() as connection:
            return [Count(*row) for row in connection.execute(query.group_by(*columns).order_by(*columns))]

    def waiting_since(self, *, now: int) -> dict[str, int]:
        """Destination -> since when its oldest upload is known that should have gone out by now (ms).

        What waits for its first time, and what the platform has taken and works on, is in order.
        """
        late = and_(
            uploads.c.state.in_(("pending", "sending")), or_(uploads.c.attempts > 0, uploads.c.next_attempt <= now)
        )
        query = select(uploads.c.destination, func.min(uploads.c.decided_at)).where(late)
        with self._engine.connect() as connection:
            return {str(name): int(since) for name, since in connection.execute(query.group_by(uploads.c.destination))}

    def find(
        self,
        *,
        upload_id: str = "",
        destination: str = "",
        states: Sequence[str] = (),
        reason: str = "",
        conversion: str = "",
        limit: int = 100,
    ) -> list[Upload]:
        """The newest first."""
        asked = {uploads.c.upload_id: upload_id, uploads.c.destination: destination, uploads.c.reason: reason}
        query = select(*_COLUMNS).where(*(column == value for column, value in asked.items() if value))
        if states:
            query = query.where(uploads.c.state.in_(states))
        if conversion:
            query = query.where(or_(uploads.c.conversion == conversion, uploads.c.event_id == conversion))
        return self._rows(query.order_by(uploads.c.updated_at.desc(), uploads.c.upload_id).limit(limit))

    def redrive(self, *, destination: str = "", upload_id: str = "", include_unknown: bool = False, now: int) -> int:
        """Let dead letters wait to be sent again; how many. Those that may have arrived only with `include_unknown`."""
        dead = [uploads.c.state == "dead"]
        if destination:
            dead.append(uploads.c.destination == destination)
        if upload_id:
            dead.append(uploads.c.upload_id == upload_id)
        if not include_unknown:
            dead.append(uploads.c.reason != "outcome_unknown")
        values = {
            "state": "pending",
            "reason": "",
            "next_attempt": now,
            "attempts": 0,
            "batch_limit": 0,
            "decided_at": now,
            "updated_at": now,
            "unpublished": True,
        }
        if include_unknown:
            values["uncertain_since"] = None
        with self._engine.begin() as connection:
            return int(connection.execute(update(uploads).where(*dead).values(**values)).rowcount)

    def forget(self, *, before: int) -> int:
        """Drop what ended, and happened, before this; how many."""
        old = and_(uploads.c.state.in_(FINAL), uploads.c.event_ts < before, uploads.c.updated_at < before)
        with self._engine.begin() as connection:
            return int(connection.execute(delete(uploads).where(old, ~uploads.c.unpublished)).rowcount)

    # --- the journal -----------------------------------------------------------------------------------------------------------------

    def publish(self, journal: Journal, *, kind_of: Callable[[str], str]) -> int:
        """Journal every state that does not stand there yet; how many. After a crash in between, some stand there twice and equal.

        Raises:
            JournalError: nothing can be written; the next call does it.
        """
        published = 0
        query = select(*_COLUMNS).where(uploads.c.unpublished, uploads.c.state != "sending").limit(CHUNK)
        while found := self._rows(query):
            journal.append_many([record(upload, kind=kind_of(upload.destination)) for upload in found])
            with self._engine.begin() as connection:
                for upload in found:
                    same = and_(
                        uploads.c.upload_id == upload.upload_id,
                        uploads.c.updated_at == upload.updated_at,
                        uploads.c.state == upload.state,
                        uploads.c.reason == upload.reason,
                    )
                    connection.execute(update(uploads).where(same).values(unpublished=False))
            published += len(found)
        return published

    def _rows(self, query: Any) -> list[Upload]:
        with self._engine.connect() as connection:
            return [Upload(*row) for row in connection.execute(query)]


_BLANK: Final[dict[str, object]] = {
    "detail": "",
    "attempts": 0,
    "batch_limit": 0,
    "batch_id": "",
    "request_id": "",
}


def _by_id(connection: Connection, identifiers: Sequence[str]) -> dict[str, Upload]:
    rows = connection.execute(select(*_COLUMNS).where(uploads.c.upload_id.in_(identifiers)))
    return {row[0]: Upload(*row) for row in rows}


def _owners(connection: Connection, keys: Iterable[str]) -> dict[str, str]:
    """Event key -> the upload that holds it."""
    query = select(uploads.c.event_key, uploads.c.upload_id).where(uploads.c.event_key.in_(list(keys)))
    return {str(key): str(owner) for key, owner in connection.execute(query)}
