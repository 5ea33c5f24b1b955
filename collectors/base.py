"""The contract between the runner and a source, and the little of the journal and store that collectors need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec

from collectors.source_config import SourceConfig
from collectors.windows import Window
from core.records import Record

SourceState = Literal["waiting", "complete", "partial", "behind", "quota", "stopped"]


class Journal(Protocol):
    """The journal's writing side, as far as collectors need it (`core.journal.writer.JournalWriter`)."""

    def append_many(self, records: Iterable[Record], /) -> int: ...


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What one read brought. Partial success is a result: keep what came, count what did not.

    `failed` counts rows or parts that could not be read; with any, the window does not count as complete.
    """

    records: list[Record]
    failed: int = 0
    detail: str = ""


class Source(Protocol):
    """Something that is read at intervals. It says only what differs; schedule, retries and watermarks are the runner's.

    `fetch` raises `core.errors.SourceError` only, and is never called from two threads at once.
    """

    name: str
    config: SourceConfig

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Facts whose event time lies in the window."""
        ...

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Facts that hold now, such as campaign states; read once per run, after the windows."""
        ...

    def close(self) -> None: ...


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a source does, for freshness, doctor and the console. Times are ms, 0 = never."""

    source: str
    state: SourceState
    detail: str
    complete_through: int
    documented_lag_s: int
    last_attempt: int
    last_success: int
    next_attempt: int
    rows_read: int
    rows_written: int
    consecutive_failures: int


SourceFactory = Callable[..., list[Source]]
