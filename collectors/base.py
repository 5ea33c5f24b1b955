"""The contract between the runner and a source, and the little of the journal and store that collectors need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Protocol, runtime_checkable

import msgspec

from collectors.shape import Shape
from collectors.shape_watch import Finding
from collectors.source_config import SourceConfig
from collectors.windows import Window
from core.records import Origin, Record

SourceState = Literal["waiting", "complete", "partial", "behind", "quota", "stopped"]


class Journal(Protocol):
    """The journal's writing side, as far as collectors need it (`core.journal.writer.JournalWriter`)."""

    def append_many(self, records: Iterable[Record], /) -> int: ...


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """All tallies of one account with `ts` in [since, until) came. A vendor leaves rows of nothing out, so what we hold beyond them
    (sessions that were credited to another campaign meanwhile) is over, and becomes zero."""

    origin: Origin
    account: str
    since: int
    until: int


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What one read brought. Partial success is a result: keep what came, count what did not.

    `failed` counts parts that did not come (a page, an account); with any, the window does not count as complete. `invalid` counts
    rows that came and could not be understood; a few are only counted, in bulk they hold the window, too. `detail` says what was
    wrong, without personal data. `shape` is what the vendor's raw rows looked like; without it the records' own fields are watched.
    `whole` says of which tallies nothing is missing.
    """

    records: list[Record]
    failed: int = 0
    detail: str = ""
    invalid: int = 0
    shape: Shape | None = None
    whole: Whole | None = None


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what the vendor allows is used, by the vendor's own count; of several budgets the one that is nearest its end.

    `unit` reads after a number: "tokens a day", "operations in 24 h", "percent of the hourly calls". `resets_at` in ms, 0 = unknown.
    """

    unit: str
    used: float
    limit: float
    resets_at: int = 0


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


@runtime_checkable
class Budgeted(Protocol):
    """A source whose vendor tells how much of a quota is left."""

    def quota(self) -> Quota | None:
        """As the last answers said; asks nobody. None before the first."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A source with a cheaper or more telling trial than `describe` and an hour of `fetch`, for `clicktrace doctor`."""

    def probe(self, *, now: int, deadline_s: float) -> str:
        """What could be reached, in a few words ("3 properties, reads key events"). Raises `core.errors.SourceError` only."""
        ...


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
    quota: Quota | None = None
    findings: tuple[Finding, ...] = ()


SourceFactory = Callable[..., list[Source]]
