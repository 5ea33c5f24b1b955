"""Answer after fsync (`redirect.answer_after_fsync`): the answers of a tick wait until their clicks are on the disk.

Group commit: while one fdatasync runs in its thread, ticks go on and their answers queue; when it has ended, the next one starts for
all of them together, and it started after their writes. So the wait is one to two fdatasyncs, whatever the load.

A disk that refuses changes nothing for the visitor: the 302 still leaves, as it does when the journal cannot be written, and
`fsync_failures` counts the group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from redirect.connection import Connection
from redirect.counters import Counters

Held = tuple[Connection, bytes, int]


class Durable(Protocol):
    """What is needed of `core.journal.writer.JournalWriter`."""

    def commit(self) -> bool: ...


class Commits:
    """The answers that wait for the disk, in groups."""

    def __init__(self, journal: Durable, *, counters: Counters, observe: Callable[[list[float]], None]) -> None:
        self._journal = journal
        self._counters = counters
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fsync")
        self._held: list[Held] = []
        self._starts: list[float] = []
        self._running = False

    def hold(self, answers: Sequence[Held], *, starts: list[float]) -> None:
        """Send these answers after an fdatasync that starts from now on. `starts`: when their requests began."""
        self._held += answers
        self._starts += starts
        if self._held and not self._running:
            self._begin()

    def _begin(self) -> None:
        group, self._held = self._held, []
        starts, self._starts = self._starts, []
        self._running = True
        synced = self._loop.run_in_executor(self._thread, self._journal.commit)
        synced.add_done_callback(lambda done: self._end(done, group, starts))

    def _end(self, done: asyncio.Future[bool], group: list[Held], starts: list[float]) -> None:
        if done.cancelled() or done.exception() is not None or not done.result():
            self._counters.add("fsync_failures")
        self._running = False
        if self._held:
            self._begin()  # first, so that the disk works while we send
        self._counters.add("bytes_sent", sum(connection.release(wire, count) for connection, wire, count in group))
        self._observe(starts)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
