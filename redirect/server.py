"""The redirect's HTTP/1.1 server: `asyncio.Protocol` on uvloop, one thread a worker.

A loop tick, in the order it happens:

1. every readable connection hands its bytes over (`redirect.connection`): a plain request is recognised at a glance, anything
   else is parsed by llhttp; each complete request is handled at once (`redirect.handler`), its answer and records wait,
2. at the end of the tick all records go to the journal in one write,
3. then all answers leave, one write per connection; with `answer_after_fsync` they first wait for the disk (`redirect.commits`).

So a click is in the journal before its 302 is on the wire. When the journal cannot take it, the 302 leaves all the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Final, Protocol

import structlog

from core.clock import Clock, now_ms
from core.errors import JournalError
from core.proxies import TrustedProxies
from redirect import reasons
from redirect.clicks import ENTROPY_CHARS
from redirect.commits import Commits
from redirect.connection import Connection
from redirect.counters import OUTCOME_SLOT, SIGNAL_SLOT, SLOT, Counters
from redirect.handler import World, handle, plain
from redirect.parser import Limits
from redirect.request import Request

log = structlog.get_logger(__name__)

_ENTROPY_BYTES: Final = 64 * ENTROPY_CHARS
_SWEEP_S: Final = 1.0
_BYTES_SENT: Final = SLOT["bytes_sent"]
_JOURNAL_WRITES: Final = SLOT["journal_writes"]


class Journal(Protocol):
    """What the server needs of `core.journal.writer.JournalWriter`."""

    def append_encoded(self, bodies: Sequence[bytes]) -> None: ...

    def commit(self) -> bool: ...


class Server:
    """All connections of one worker and what they share: the journal, the counters, the end of the tick.

    Args:
        secure: the listener speaks TLS.
        answer_after_fsync: answers wait until their clicks are on the disk.
    """

    def __init__(
        self,
        world: World,
        *,
        journal: Journal,
        counters: Counters,
        limits: Limits,
        proxies: TrustedProxies,
        secure: bool = False,
        answer_after_fsync: bool = False,
        clock: Clock = now_ms,
    ) -> None:
        self.world = world
        self.limits = limits
        self.proxies = proxies
        self.secure = secure
        self.clock = clock
        self.counters = counters
        self.connections: set[Connection] = set()
        self.draining = False
        #: The plain request in hand. One for all connections: it is answered before the next one is read.
        self.request = Request()
        #: No longer than this can a request be plain: then neither its target nor its headers can exceed their limits.
        self.max_plain = min(limits.max_target_bytes, limits.max_header_bytes)
        self._journal = journal
        self._commits = Commits(journal, counters=counters, observe=self._observe) if answer_after_fsync else None
        self._loop = asyncio.get_running_loop()
        self._bodies: list[bytes] = []
        self._waiting: list[Connection] = []
        self._outcomes: list[str] = []
        self._starts: list[float] = []
        self._entropy = ""
        self._entropy_at = 0
        self._now = 0
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        self._set_date()

    # --- the tick ------------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> bytes:
        """Handle one request; its records and its answer wait for the end of the tick."""
        at = self._entropy_at
        if at + ENTROPY_CHARS > len(self._entropy):
            self._entropy, at = os.urandom(_ENTROPY_BYTES).hex(), 0
        self._entropy_at = at + ENTROPY_CHARS
        # The time is taken once a tick: requests that are handled together happened together.
        now = self._now or self._tick()
        try:
            answer = handle(request, world=self.world, now=now, entropy=self._entropy[at : at + ENTROPY_CHARS])
        except Exception:  # a defect met by one request must not end the worker: answered 500, counted, logged
            # Without the query, in which people's data may stand.
            log.exception("a request failed", reason=reasons.FAILED, path=request.target.partition(b"?")[0])
            request.keep_alive = False
            return self.refuse(500, reasons.FAILED)
        if answer.signal:
            self.counters.slots[SIGNAL_SLOT[answer.signal]] += 1
        self._bodies += answer.records
        self._outcomes.append(answer.outcome)
        self._starts.append(request.started)
        return answer.wire

    def _tick(self) -> int:
        self._now = self.clock()
        return self._now

    def send_at_end_of_tick(self, connection: Connection) -> None:
        if not self._waiting:
            self._loop.call_soon(self.end_of_tick)
        self._waiting.append(connection)

    def end_of_tick(self) -> None:
        bodies, self._bodies = self._bodies, []
        waiting, self._waiting = self._waiting, []
        outcomes, self._outcomes = self._outcomes, []
        starts, self._starts = self._starts, []
        self._now = 0
        if bodies:
            self._journal_or_count(bodies)
        self._count(outcomes)
        if self._commits is not None:
            self._commits.hold([connection.hold() for connection in waiting], starts=starts)
            return
        sent = 0
        for connection in waiting:
            sent += connection.send(connection.collect())
        self.counters.slots[_BYTES_SENT] += sent
        self._observe(starts)

    def _journal_or_count(self, bodies: list[bytes]) -> None:
        slots = self.counters.slots
        try:
            self._journal.append_encoded(bodies)
            slots[_JOURNAL_WRITES] += 1
        except (JournalError, OSError):
            # The writer keeps what a sick disk refuses; an error here means that it can keep nothing. The 302 still leaves.
            slots[SLOT["journal_errors"]] += 1
            slots[SLOT["lost"]] += len(bodies)

    def _count(self, outcomes: list[str]) -> None:
        """Mostly all the same word: then one addition in shared memory instead of one each."""
        slots = self.counters.slots
        if outcomes and outcomes.count(outcomes[0]) == len(outcomes):
            slots[OUTCOME_SLOT[outcomes[0]]] += len(outcomes)
        else:
            for outcome in outcomes:
                slots[OUTCOME_SLOT[outcome]] += 1

    def _observe(self, starts: list[float]) -> None:
        """From the first byte of each request to its answer's write, journal included."""
        if starts:
            self.counters.observe(starts, end=time.perf_counter())

    def count(self, outcome: str) -> None:
        self.counters.slots[OUTCOME_SLOT[outcome]] += 1

    def refuse(self, status: int, outcome: str) -> bytes:
        """An answer to what is no proper request; the connection ends with it."""
        self.count(outcome)
        return plain(status, outcome.encode() + b"\n", date=self.world.date, keep_alive=False)

    # --- time and end --------------------------------------------------------------------------------------------------------

    def _set_date(self) -> None:
        self.world.date = formatdate(self.clock() / 1000, usegmt=True).encode()

    def _sweep(self) -> None:
        """Once a second: the Date header, and connections whose time is up."""
        self._set_date()
        now = time.perf_counter()
        for connection in list(self.connections):
            connection.check_time(now)
        self.counters.set("connections_open", len(self.connections))
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    async def drain(self, timeout_s: float) -> None:
        """Finish what is under way: every answer now carries ``Connection: close``; idle connections go first."""
        self.draining = True
        deadline = time.perf_counter() + timeout_s
        while self.connections and time.perf_counter() < deadline:
            for connection in list(self.connections):
                connection.close_if_idle(time.perf_counter())
            await asyncio.sleep(0.05)
        self.abort()

    def abort(self) -> None:
        self._sweeper.cancel()
        for connection in list(self.connections):
            connection.abort()
        if self._commits is not None:
            self._commits.close()


def connection_factory(server: Server) -> Callable[[], Connection]:
    return lambda: Connection(server)
