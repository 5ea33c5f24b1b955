"""One leader runs the correlator and the alerts; the others stand by and take over when its lease runs out.

The lease is a row of the control database. The holder's name stays the same over restarts of one installation, so a monitor that was
killed leads again at once, without waiting for its own lease to end.
"""

from __future__ import annotations

import socket
from pathlib import Path

from sqlalchemy import Engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import Clock, now_ms
from core.control.tables import leadership


class Leadership:
    """A lease on one role. `hold` is called before every piece of work that only the leader may do."""

    def __init__(self, engine: Engine, role: str, *, holder: str, lease_s: float = 30.0, clock: Clock = now_ms) -> None:
        self._engine = engine
        self._role = role
        self._holder = holder
        self._lease_ms = int(lease_s * 1000)
        self._clock = clock
        self.leads = False

    def hold(self) -> bool:
        """Take or renew the lease; True while this process leads."""
        now = self._clock()
        free_or_mine = or_(leadership.c.holder == self._holder, leadership.c.until < now)
        renewal = update(leadership).where(leadership.c.role == self._role, free_or_mine)
        with self._engine.begin() as connection:
            renewed = connection.execute(renewal.values(holder=self._holder, until=now + self._lease_ms)).rowcount
        self.leads = bool(renewed) or self._claim(now)
        return self.leads

    def remaining_s(self) -> float:
        """Seconds until the lease ends unless it is renewed; 0 for a standby. Writes to platforms must end before."""
        held = select(leadership.c.until).where(leadership.c.role == self._role, leadership.c.holder == self._holder)
        with self._engine.connect() as connection:
            until = connection.execute(held).scalar()
        return max(0.0, (until - self._clock()) / 1000) if until is not None else 0.0

    def release(self) -> None:
        """Give the lease back so that a standby takes over at once."""
        mine = (leadership.c.role == self._role) & (leadership.c.holder == self._holder)
        with self._engine.begin() as connection:
            connection.execute(delete(leadership).where(mine))
        self.leads = False

    def _claim(self, now: int) -> bool:
        row = {"role": self._role, "holder": self._holder, "until": now + self._lease_ms}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(leadership).values(**row))
        except IntegrityError:  # somebody else holds it
            return False
        return True


def installation_name(data_dir: Path) -> str:
    """The holder's name: this host and data directory. Only one monitor at a time can open a data directory."""
    return f"{socket.gethostname()}:{data_dir.resolve()}"[-128:]
