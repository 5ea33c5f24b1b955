"""Which deliveries were taken: a replay is told by what was signed. Kept in the control database, so for all processes.

A delivery is claimed before its facts are written and marked done after: of two that come at once one writes. When writing fails the
claim is given back; when the process dies in between it lapses, so that what was never written can be delivered again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from sqlalchemy import ColumnElement, Engine, and_, delete, insert, or_, update
from sqlalchemy.exc import IntegrityError

from collectors.hooks.base import Delivery
from core.control.tables import hook_deliveries
from core.errors import Conflict

#: A claim that is not done after this long is whose process died.
CLAIM_MS: Final = 60_000
SWEEP_EVERY_MS: Final = 60_000

_table = hook_deliveries.c


class Deliveries:
    """Thread-safe. Times in ms."""

    def __init__(self, engine: Engine, *, remember_s: int) -> None:
        self._engine = engine
        self._remember_ms = remember_s * 1000
        self._swept = 0

    def claim(self, connection: str, delivery: Delivery, *, now: int) -> None:
        """Take the delivery for this call.

        Raises:
            Conflict: `replayed`: it was taken before, or is being taken now.
        """
        self._sweep(now)
        claimed = {"claimed_at": now, "done": False, "expires_at": delivery.expires_at or now + self._remember_ms}
        key = {"connection": connection, "delivery_sha256": _digest(delivery)}
        try:
            with self._engine.begin() as database:
                database.execute(insert(hook_deliveries).values(**key, **claimed))
        except IntegrityError:
            lapsed = or_(_table.expires_at < now, and_(~_table.done, _table.claimed_at < now - CLAIM_MS))
            again = update(hook_deliveries).where(_is(connection, delivery), lapsed).values(**claimed)
            with self._engine.begin() as database:
                taken = database.execute(again).rowcount
            if not taken:
                raise Conflict("replayed", "this delivery was taken before; nothing was written") from None

    def done(self, connection: str, delivery: Delivery) -> None:
        """Its facts are in the journal."""
        with self._engine.begin() as database:
            database.execute(update(hook_deliveries).where(_is(connection, delivery)).values(done=True))

    def release(self, connection: str, delivery: Delivery) -> None:
        """Nothing was written: it may come again."""
        with self._engine.begin() as database:
            database.execute(delete(hook_deliveries).where(_is(connection, delivery)))

    def _sweep(self, now: int) -> None:
        """Forget what would be refused for its age anyway; at most once a minute."""
        if now - self._swept < SWEEP_EVERY_MS:
            return
        self._swept = now
        with self._engine.begin() as database:
            database.execute(delete(hook_deliveries).where(_table.expires_at < now))


def _is(connection: str, delivery: Delivery) -> ColumnElement[bool]:
    return and_(_table.connection == connection, _table.delivery_sha256 == _digest(delivery))


def _digest(delivery: Delivery) -> str:
    return sha256(delivery.delivery_id.encode()).hexdigest()
