"""One run of one source, and what is remembered of it.

1. Plan the windows from its position (`collectors.windows`).
2. Fetch each, with retries inside the run's deadline; journal what is new or changed; save the position.
3. Fetch what holds now (campaign states).
4. Journal a watermark when it advanced. It does so only over complete data: after an error it stands still.
5. Compare what came with what usually comes (`collectors.shape_watch`), and journal how the source does when that changed.

A permanent error stops the source with its word until `stopped_retry_s` is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
import structlog

from collectors import windows
from collectors.base import Budgeted, Fetched, Journal, Quota, Source, SourceState, SourceStatus
from collectors.metrics import SOURCE_DURATION, SOURCE_ROWS, SOURCE_RUNS, SourceGauges
from collectors.shape import Shape, rows_by_hour, shape_of_records
from collectors.shape_watch import REMEMBERED_MS, Finding, Memory, Observed, findings_now, in_bulk, judge
from collectors.versions import Versions
from collectors.windows import Position, Window
from collectors.writing import write_changes
from core.clock import HOUR_MS
from core.errors import ClicktraceError, Permanent, QuotaExceeded, SourceError, Transient
from core.records import Reading, Watermark
from core.retry import RetryPolicy, call

log = structlog.get_logger(__name__)

Kept = TypeVar("Kept", Position, Memory)

#: After a failed run the next comes this much sooner than the interval, at most; doubled with every further failure.
FIRST_RETRY_S = 30.0
QUOTA_WAIT_S = 300.0
#: How a source does is journaled at least this often.
TOLD_AGAIN_MS = HOUR_MS


class Checkpoint(Protocol):
    """`core.control.checkpoints.Checkpoints` of the part "collectors"."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...


class Desk(msgspec.Struct, frozen=True):
    """What every reader works with."""

    journal: Journal
    checkpoints: Checkpoint
    versions: Versions
    policy: RetryPolicy
    sleep: Callable[[float], None] = time.sleep


class _Run(msgspec.Struct, kw_only=True):
    """What one run brought so far. `ends` is on the monotonic clock, in seconds; `advanced`: some of several windows are done."""

    now: int
    ends: float
    complete: bool = True
    advanced: bool = False
    detail: str = ""
    invalid: int = 0
    rows: int = 0
    described: int = 0
    shape: Shape = Shape()
    hours: dict[int, int] = {}


class Reader:
    """Reads one source, from one thread at a time; `status` may be asked from any."""

    def __init__(self, source: Source, desk: Desk) -> None:
        self.source = source
        self.config = source.config
        self.name = source.name
        self._desk = desk
        self._state: SourceState = "waiting"
        self._detail = ""
        self._findings: tuple[Finding, ...] = ()
        self._last_attempt = 0
        self._rows_read = self._rows_written = self._failures = 0
        self._told: tuple[object, ...] = ()
        self._told_at = 0
        self._gauges = SourceGauges(self.name, interval_s=self.config.interval_s)
        self.next_attempt = 0
        self.restore()

    def restore(self) -> None:
        """Go on from what was saved last, by this process or by the one that read before it."""
        self._position = self._restored(f"position:{self.name}", Position())
        self._memory = self._restored(f"shape:{self.name}", Memory())
        self._marked = windows.complete_through(self._position, self.config)
        self._last_success = self._position.read_at
        self._gauges.reveal()

    def stand_back(self) -> None:
        """Another process reads from now on."""
        self._gauges.hide()

    def greet(self, now: int) -> None:
        """Tell of a source that was never read: its first back-fill may take long."""
        if self._state == "waiting" and not self._position.read_through:
            self._tell(now)

    def run(self, now: int) -> None:
        """One run with its bookkeeping; errors are contained."""
        self._last_attempt = now
        started = time.monotonic()
        run = _Run(now=now, ends=started + self.config.deadline_s)
        error: ClicktraceError | None = None
        try:
            self._read(run)
        except ClicktraceError as caught:
            error = caught
        except Exception as caught:  # a defect of one source must not end the reading of the others
            log.exception("source failed", source=self.name)
            error = Permanent(self.name, f"defect: {type(caught).__name__}")
        finally:
            self._settle(run, error)
            SOURCE_DURATION.labels(self.name).observe(time.monotonic() - started)

    # --- one run -------------------------------------------------------------------------------------------------------------

    def _read(self, run: _Run) -> None:
        """Steps 1 to 4.

        Raises:
            SourceError: the source does not answer, or refuses.
            JournalError: nothing can be written; the position stays.
        """
        plan = windows.plan(self._position, self.config, now=run.now)
        for window in plan:
            if not self._read_window(run, window, last=window is plan[-1]):
                break
        described = self._call(run, lambda left_s: self.source.describe(now=run.now, deadline_s=left_s))
        run.described = len(described.records)
        came_whole = self._take(run, described)
        if run.complete:
            self._mark(run.now)
            self._reach_back(run)
        run.complete = run.complete and came_whole

    def _read_window(self, run: _Run, window: Window, *, last: bool) -> bool:
        if not self._fetch(run, window):
            return False
        self._arrive(windows.advance(self._position, window, self.config, last=last, now=run.now))
        run.advanced = run.advanced or not last
        return True

    def _reach_back(self, run: _Run) -> None:
        """What a longer back-fill lacks. It comes after the watermark, which says nothing of the past's other end."""
        for window in windows.older(self._position, self.config, now=run.now):
            if not self._fetch(run, window):
                return
            self._arrive(windows.reach_back(self._position, window))
            run.advanced = True

    def _fetch(self, run: _Run, window: Window) -> bool:
        """Read and journal one window; whether all of it came."""
        fetched = self._call(run, lambda left_s: self.source.fetch(window, now=run.now, deadline_s=left_s))
        if not self._take(run, fetched):
            run.complete = False
            return False
        run.hours |= rows_by_hour(fetched.records, window, since=run.now - REMEMBERED_MS)
        return True

    def _arrive(self, position: Position) -> None:
        self._position = position
        self._save(f"position:{self.name}", position)

    def _call(self, run: _Run, work: Callable[[float], Fetched]) -> Fetched:
        left_s = run.ends - time.monotonic()
        if left_s <= 0:
            raise Transient(self.name, "not everything was read before the deadline")
        return call(
            lambda each_s: work(min(each_s, self.config.call_timeout_s)),
            policy=self._desk.policy,
            deadline_s=left_s,
            sleep=self._desk.sleep,
        )

    def _take(self, run: _Run, fetched: Fetched) -> bool:
        """Journal what is new or changed; whether all of it came. The journal comes before the position: after a crash in between,
        the same rows are read once more and found unchanged."""
        gone = self._desk.versions.vanished(fetched.records, fetched.whole)
        fresh = write_changes(self._desk.journal, self._desk.versions, [*fetched.records, *gone])
        read, written = len(fetched.records), len(fresh)
        self._rows_read += read
        self._rows_written += written
        counts = {
            "written": written,
            "unchanged": read + len(gone) - written,
            "failed": fetched.failed,
            "invalid": fetched.invalid,
        }
        for outcome, count in counts.items():
            SOURCE_ROWS.labels(self.name, outcome).inc(count)
        run.rows += read
        run.invalid += fetched.invalid
        run.shape += fetched.shape or shape_of_records(fetched.records)
        if fetched.failed:
            run.detail = f"{fetched.failed} part(s) did not come: {fetched.detail}"
        elif in_bulk(invalid=fetched.invalid, rows=read):
            run.detail = f"{fetched.invalid} of {read + fetched.invalid} rows were not understood: {fetched.detail}"
        else:
            return True
        return False

    def _mark(self, now: int) -> None:
        through = windows.complete_through(self._position, self.config)
        if through > self._marked:
            lag_s = self.config.documented_lag_s
            mark = Watermark(ts=now, source=self.name, complete_through=through, documented_lag_s=lag_s)
            self._desk.journal.append_many([mark])
            self._marked = through

    # --- after a run ---------------------------------------------------------------------------------------------------------

    def _settle(self, run: _Run, error: ClicktraceError | None) -> None:
        """Note what happened, and when the source comes next."""
        # A back-fill longer than one run's deadline gets on: that is no failure, and the next run continues soon.
        failures = 0 if run.advanced else self._failures
        self._state, wait_s = outcome(error, self.config.interval_s, failures=failures, complete=run.complete)
        if isinstance(error, Permanent):
            wait_s = self.config.stopped_retry_s
        self._failures = failures + 1 if error else 0
        self.next_attempt = run.now + round(wait_s * 1000)
        if error is not None:
            self._detail = error.detail if isinstance(error, SourceError) else str(error)
            log.warning("source not read", source=self.name, state=self._state, error=self._detail)
        elif run.complete:
            self._detail, self._last_success = "", run.now
        else:
            self._detail = run.detail
        self._watch(run, complete=error is None and run.complete)
        SOURCE_RUNS.labels(self.name, self._state).inc()
        self._gauges.show(self.status())
        self._tell(run.now)

    def _watch(self, run: _Run, *, complete: bool) -> None:
        """Step 5: the shape of what came, judged over complete runs only."""
        before = {finding.word for finding in self._findings}
        if complete:
            through = run.now - self.config.documented_lag_s * 1000
            seen = Observed(
                shape=run.shape, invalid=run.invalid, hours=run.hours, described=run.described, through=through
            )
            self._memory, self._findings = judge(self._memory, seen, now=run.now)
            self._save(f"shape:{self.name}", self._memory)
        else:
            self._findings = findings_now(self._memory, self._findings, invalid=run.invalid, rows=run.rows, now=run.now)
        for finding in self._findings:
            if finding.word not in before:
                log.warning("source changed", source=self.name, finding=finding.word, detail=finding.detail)

    def _tell(self, now: int) -> None:
        """Journal how the source does, when that changed or an hour has passed."""
        status = self.status()
        quota = status.quota
        words = [finding.word for finding in status.findings]
        told = (status.state, status.detail, words, _tenths(quota))
        if told == self._told and now - self._told_at < TOLD_AGAIN_MS:
            return
        try:
            self._desk.journal.append_many([reading_of(status, interval_s=self.config.interval_s, now=now)])
        except ClicktraceError as error:
            log.warning("not journaled how the source does", source=self.name, error=str(error))
            return
        self._told, self._told_at = told, now

    def status(self) -> SourceStatus:
        return SourceStatus(
            source=self.name,
            state=self._state,
            detail=self._detail,
            complete_through=windows.complete_through(self._position, self.config),
            documented_lag_s=self.config.documented_lag_s,
            last_attempt=self._last_attempt,
            last_success=self._last_success,
            next_attempt=self.next_attempt,
            rows_read=self._rows_read,
            rows_written=self._rows_written,
            consecutive_failures=self._failures,
            quota=self.source.quota() if isinstance(self.source, Budgeted) else None,
            findings=self._findings,
        )

    # --- what survives a restart ---------------------------------------------------------------------------------------------

    def _restored(self, name: str, default: Kept) -> Kept:
        saved = self._desk.checkpoints.get(name)
        try:
            return msgspec.json.decode(saved, type=type(default)) if saved else default
        except msgspec.MsgspecError:
            log.warning("checkpoint not readable: starting over", checkpoint=name)
            return default

    def _save(self, name: str, value: Position | Memory) -> None:
        self._desk.checkpoints.put(name, msgspec.json.encode(value))


def outcome(
    error: ClicktraceError | None, interval_s: float, *, failures: int, complete: bool
) -> tuple[SourceState, float]:
    """(state, seconds until the next attempt) after a run; `failures` in a row came before it."""
    if error is None:
        return ("complete" if complete else "partial"), interval_s
    if isinstance(error, QuotaExceeded):
        return "quota", max(interval_s, error.retry_after_s or QUOTA_WAIT_S)
    if isinstance(error, Permanent):
        return "stopped", interval_s
    return "behind", min(interval_s, FIRST_RETRY_S * 2 ** min(failures, 10))


def reading_of(status: SourceStatus, *, interval_s: float, now: int) -> Reading:
    quota = status.quota or Quota(unit="", used=0.0, limit=0.0)
    return Reading(
        ts=now,
        source=status.source,
        state=status.state,
        detail=status.detail,
        findings=[finding.word for finding in status.findings],
        details=[finding.detail for finding in status.findings],
        last_success=status.last_success,
        next_attempt=status.next_attempt,
        interval_s=round(interval_s),
        documented_lag_s=status.documented_lag_s,
        quota_unit=quota.unit,
        quota_used=quota.used,
        quota_limit=quota.limit,
        quota_resets_at=quota.resets_at,
    )


def _tenths(quota: Quota | None) -> int:
    """How much of a quota is used, coarsely: a few calls more are no news."""
    return round(10 * quota.used / quota.limit) if quota and quota.limit else -1
