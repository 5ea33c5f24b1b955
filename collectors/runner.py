"""Reads the pull sources: interval, watermark, retries, quota, back-fill, restatement and metrics, once for all of them.

One run of a source:

1. Plan the windows from its position (`collectors.windows`).
2. Fetch each, with retries inside the run's deadline; journal what is new or changed; save the position.
3. Fetch what holds now (campaign states).
4. Journal a watermark when it advanced. It does so only over complete data: after an error it stands still.

A permanent error stops that source with its word and leaves the others; it is tried again after `stopped_retry_s`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, cast

import msgspec
import structlog

from collectors import windows
from collectors.base import Fetched, Journal, Source, SourceState, SourceStatus
from collectors.metrics import SOURCE_DURATION, SOURCE_ROWS, SOURCE_RUNS, SOURCE_STOPPED, SOURCE_WATERMARK
from collectors.versions import Fact, Versions
from collectors.windows import Position, Window
from core.clock import Clock, now_ms
from core.errors import ClicktraceError, Permanent, QuotaExceeded, SourceError, Transient
from core.records import Record, Watermark
from core.retry import RetryPolicy, call
from core.schedule import Periodic

log = structlog.get_logger(__name__)

#: After a failed run the next comes this much sooner than the interval, at most; doubled with every further failure.
FIRST_RETRY_S = 30.0
QUOTA_WAIT_S = 300.0


class Checkpoint(Protocol):
    """`core.control.checkpoints.Checkpoints` of the part "collectors"."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...


class _Progress(msgspec.Struct, kw_only=True):
    """What the runner knows of one source while it runs."""

    position: Position
    state: SourceState = "waiting"
    detail: str = ""
    last_attempt: int = 0
    last_success: int = 0
    next_attempt: int = 0
    marked: int = 0
    rows_read: int = 0
    rows_written: int = 0
    failures: int = 0


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
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._journal = journal
        self._checkpoints = checkpoints
        self._versions = versions
        self._policy = policy or RetryPolicy(attempts=5, first_wait_s=1.0, longest_wait_s=30.0)
        self._clock = clock
        self._sleep = sleep
        self._concurrency = concurrency
        self._progress = {name: self._restored(name) for name in self._sources}
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._periodic = Periodic("collectors", self._dispatch, interval_s=poll_interval_s, clock=clock)

    # --- life ----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._pool is None and self._sources:
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
        for source in self._sources.values():
            source.close()

    def run_once(self, now: int) -> None:
        """Read every source that is due, here and now."""
        for name in self._due(now):
            try:
                self._run(name, now)
            finally:
                self._release(name)

    def _dispatch(self, now: int) -> None:
        for name in self._due(now):
            if self._pool is not None:
                # Also called for a run that `stop` cancels before it began.
                self._pool.submit(self._run, name, now).add_done_callback(partial(self._release, name))
            else:
                self._release(name)

    def _due(self, now: int) -> list[str]:
        with self._lock:
            due = [
                name
                for name, progress in self._progress.items()
                if name not in self._running and progress.next_attempt <= now
            ]
            self._running.update(due)
        return due

    def _release(self, name: str, _future: object = None) -> None:
        with self._lock:
            self._running.discard(name)

    # --- one run -------------------------------------------------------------------------------------------------------------

    def _run(self, name: str, now: int) -> None:
        source, progress = self._sources[name], self._progress[name]
        progress.last_attempt = now
        started = time.monotonic()
        error: ClicktraceError | None = None
        complete = False
        try:
            complete = self._read(source, progress, now=now, ends=started + source.config.deadline_s)
        except ClicktraceError as caught:
            error = caught
        except Exception as caught:  # a defect of one source must not end the reading of the others
            log.exception("source failed", source=name)
            error = Permanent(name, f"defect: {type(caught).__name__}")
        finally:
            self._settle(source, progress, error, complete=complete, now=now)
            SOURCE_DURATION.labels(name).observe(time.monotonic() - started)

    def _read(self, source: Source, progress: _Progress, *, now: int, ends: float) -> bool:
        """Steps 1 to 4; False when something of it did not come, without being an error.

        Raises:
            SourceError: the source does not answer, or refuses.
            JournalError: nothing can be written; the position stays.
        """
        plan = windows.plan(progress.position, source.config, now=now)
        complete = True
        for window in plan:
            fetched = self._fetch(source, window, now=now, ends=ends)
            self._write(source, progress, fetched)
            if fetched.failed:
                complete, progress.detail = False, f"{fetched.failed} part(s) did not come: {fetched.detail}"
                break
            progress.position = windows.advance(
                progress.position, window, source.config, last=window is plan[-1], now=now
            )
            self._save(source.name, progress)
        described = self._call(source, ends=ends, work=lambda left_s: source.describe(now=now, deadline_s=left_s))
        self._write(source, progress, described)
        if complete:
            self._mark(source, progress, now=now)
        return complete and not described.failed

    def _fetch(self, source: Source, window: Window, *, now: int, ends: float) -> Fetched:
        return self._call(source, ends=ends, work=lambda left_s: source.fetch(window, now=now, deadline_s=left_s))

    def _call(self, source: Source, *, ends: float, work: Callable[[float], Fetched]) -> Fetched:
        left_s = ends - time.monotonic()
        if left_s <= 0:
            raise Transient(source.name, "not everything was read before the deadline")
        return call(
            lambda each_s: work(min(each_s, source.config.call_timeout_s)),
            policy=self._policy,
            deadline_s=left_s,
            sleep=self._sleep,
        )

    def _write(self, source: Source, progress: _Progress, fetched: Fetched) -> None:
        """Journal what is new or changed. The journal comes before the position: after a crash in between, the same rows are
        read once more and found unchanged."""
        facts = cast(list[Fact], fetched.records)
        unchanged = self._versions.unchanged(facts)
        fresh = [fact for fact, same in zip(facts, unchanged, strict=True) if not same]
        if fresh:
            self._journal.append_many(fresh)
            self._versions.remember(fresh)
        progress.rows_read += len(facts)
        progress.rows_written += len(fresh)
        SOURCE_ROWS.labels(source.name, "written").inc(len(fresh))
        SOURCE_ROWS.labels(source.name, "unchanged").inc(len(facts) - len(fresh))
        SOURCE_ROWS.labels(source.name, "failed").inc(fetched.failed)

    def _mark(self, source: Source, progress: _Progress, *, now: int) -> None:
        through = windows.complete_through(progress.position, source.config)
        if through > progress.marked:
            record: Record = Watermark(
                ts=now,
                source=source.name,
                complete_through=through,
                documented_lag_s=source.config.documented_lag_s,
            )
            self._journal.append_many([record])
            progress.marked = through
            SOURCE_WATERMARK.labels(source.name).set(through / 1000)

    # --- after a run ---------------------------------------------------------------------------------------------------------

    def _settle(
        self, source: Source, progress: _Progress, error: ClicktraceError | None, *, complete: bool, now: int
    ) -> None:
        """Note what happened, and when the source comes next."""
        progress.state, wait_s = outcome(error, source.config.interval_s, failures=progress.failures, complete=complete)
        if isinstance(error, Permanent):
            wait_s = source.config.stopped_retry_s
        progress.failures = progress.failures + 1 if error else 0
        progress.next_attempt = now + round(wait_s * 1000)
        if error is not None:
            progress.detail = error.detail if isinstance(error, SourceError) else str(error)
            log.warning("source not read", source=source.name, state=progress.state, error=progress.detail)
        elif complete:
            progress.detail, progress.last_success = "", now
        SOURCE_RUNS.labels(source.name, progress.state).inc()
        SOURCE_STOPPED.labels(source.name).set(progress.state == "stopped")

    def statuses(self) -> list[SourceStatus]:
        """How every source does, by name."""
        return [
            SourceStatus(
                source=name,
                state=progress.state,
                detail=progress.detail,
                complete_through=windows.complete_through(progress.position, self._sources[name].config),
                documented_lag_s=self._sources[name].config.documented_lag_s,
                last_attempt=progress.last_attempt,
                last_success=progress.last_success,
                next_attempt=progress.next_attempt,
                rows_read=progress.rows_read,
                rows_written=progress.rows_written,
                consecutive_failures=progress.failures,
            )
            for name, progress in sorted(self._progress.items())
        ]

    # --- what survives a restart ---------------------------------------------------------------------------------------------

    def _restored(self, name: str) -> _Progress:
        saved = self._checkpoints.get(f"position:{name}")
        try:
            position = msgspec.json.decode(saved, type=Position) if saved else Position()
        except msgspec.MsgspecError:
            log.warning("position not readable: the source is read from the start", source=name)
            position = Position()
        return _Progress(position=position, marked=windows.complete_through(position, self._sources[name].config))

    def _save(self, name: str, progress: _Progress) -> None:
        self._checkpoints.put(f"position:{name}", msgspec.json.encode(progress.position))


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
