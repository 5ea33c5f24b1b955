"""Reads the pull sources when they are due, several at a time; one run of one source is `collectors.reading`.

A source in trouble leaves the others. One that left the settings is said to be removed, so that nothing waits for it any more. Of several
processes on one control database one reads, so that a vendor's quota is used once; whoever takes over goes on from the saved positions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import structlog

from collectors.base import Journal, Source, SourceStatus
from collectors.reading import Checkpoint, Desk, Reader
from collectors.versions import Versions
from core.clock import Clock, now_ms
from core.errors import ClicktraceError
from core.records import Reading
from core.retry import RetryPolicy
from core.schedule import Periodic

log = structlog.get_logger(__name__)

#: Checkpoint with the names of the sources that were read last.
KNOWN = "sources"


class Runner:
    """Reads every source when it is due. `start` and `stop` may be called in any state and twice."""

    def __init__(
        self,
        sources: Sequence[Source],
        journal: Journal,
        checkpoints: Checkpoint,
        *,
        versions: Versions,
        poll_interval_s: float = 1.0,
        concurrency: int = 4,
        policy: RetryPolicy | None = None,
        clock: Clock = now_ms,
        sleep: Callable[[float], None] = time.sleep,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`leads` is asked before sources are read and while they are: it takes or renews a lease, and says whether it is held."""
        policy = policy or RetryPolicy(attempts=5, first_wait_s=1.0, longest_wait_s=30.0)
        self._desk = Desk(journal, checkpoints, versions, policy, sleep)
        self._readers = {source.name: Reader(source, self._desk) for source in sources}
        self._clock = clock
        self._concurrency = concurrency
        self._leads = leads
        self._leading = False
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._periodic = Periodic("collectors", self._dispatch, interval_s=poll_interval_s, clock=clock)

    # --- life ----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._pool is not None:
            return
        if self._readers:
            self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="collector")
            self._periodic.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop dispatching and wait for running reads, at most as long as told; a position is only saved after its window."""
        ends = time.monotonic() + timeout_s
        self._periodic.stop(timeout_s)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            while self._running and time.monotonic() < ends:
                time.sleep(0.02)
        for reader in self._readers.values():
            reader.source.close()

    def run_once(self, now: int) -> None:
        """Read every source that is due, here and now."""
        for name in self._due(now) if self._may_read(now) else ():
            try:
                self._readers[name].run(now)
            finally:
                self._release(name)

    def _dispatch(self, now: int) -> None:
        for name in self._due(now) if self._may_read(now) else ():
            if self._pool is not None:
                # Also called for a run that `stop` cancels before it began.
                self._pool.submit(self._readers[name].run, now).add_done_callback(partial(self._release, name))
            else:
                self._release(name)

    def _may_read(self, now: int) -> bool:
        """Whether this process is the one that reads; asked every time, so that the lease lasts as long as the longest read."""
        leads = self._leads()
        if leads and not self._leading:
            self._take_over(now)
        if self._leading and not leads:
            for reader in self._readers.values():
                reader.stand_back()
        self._leading = leads
        return leads

    def _take_over(self, now: int) -> None:
        self._tell_removed(now)
        for reader in self._readers.values():
            reader.restore()
            if self._pool is not None:
                reader.greet(now)

    def _due(self, now: int) -> list[str]:
        with self._lock:
            due = [
                name
                for name, reader in self._readers.items()
                if name not in self._running and reader.next_attempt <= now
            ]
            self._running.update(due)
        return due

    def _release(self, name: str, _future: object = None) -> None:
        with self._lock:
            self._running.discard(name)

    def statuses(self) -> list[SourceStatus]:
        """How every source does, by name."""
        return [self._readers[name].status() for name in sorted(self._readers)]

    def _tell_removed(self, now: int) -> None:
        """Journal which sources left the settings since the last start."""
        try:
            known = msgspec.json.decode(self._desk.checkpoints.get(KNOWN) or b"[]", type=list[str])
            removed = [name for name in known if name not in self._readers]
            if removed:
                self._desk.journal.append_many([Reading(ts=now, source=name, state="removed") for name in removed])
            if set(known) != self._readers.keys():
                self._desk.checkpoints.put(KNOWN, msgspec.json.encode(sorted(self._readers)))
        except (ClicktraceError, msgspec.MsgspecError) as error:
            log.warning("not known which sources were removed", error=str(error))
