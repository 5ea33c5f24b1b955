"""Insights of a Meta ad account: small spans at once, larger ones as asynchronous jobs, both in pieces when they are too much at once.

Shapes and advice by "Insights API: Asynchronous Jobs" and "Limits and Best Practices" (developers.facebook.com, read Nov 2026): POST
starts a job and answers `report_run_id`; the job tells `async_status` and `async_percent_completion`; its rows are below
`<report_run_id>/insights`. The ID expires after 30 days, and is not kept as long here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import structlog

from core.errors import Permanent, Transient
from core.vendors.meta_graph import Graph, GraphRefusal

log = structlog.get_logger(__name__)

#: Up to this many days are asked for at once: the newest spend should not wait for a job.
AT_ONCE_DAYS: Final = 2
#: A job that was started this long ago is not asked about any more; its figures would be as old.
JOB_KEPT_S: Final = 3_600.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
#: "Too much data": CodeException of the data-per-call limits, for jobs and for direct calls.
TOO_MUCH: Final = (100, 1_487_534)
#: "Invalid parameter", said of a job: its ID has expired.
NO_SUCH_JOB: Final = 100

_DONE, _FAILED, _SKIPPED = "Job Completed", "Job Failed", "Job Skipped"
_UNDER_WAY: Final = frozenset({"Job Not Started", "Job Started", "Job Running"})


class _Job(msgspec.Struct, frozen=True):
    report_run_id: str
    started_at: float


class _Status(msgspec.Struct, frozen=True):
    async_status: str
    async_percent_completion: int = 0


class _Started(msgspec.Struct, frozen=True):
    report_run_id: str | int


class _TooMuch(Exception):
    """The span must be asked for in pieces."""


class Insights:
    """Reads one edge. A job that is not through by the deadline is kept: the next read of the same span goes on waiting for it."""

    def __init__(
        self,
        graph: Graph,
        source: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = graph
        self._source = source
        self._sleep = sleep
        self._monotonic = monotonic
        self._jobs: dict[str, _Job] = {}

    def rows(
        self, edge: str, params: Mapping[str, str], *, since: date, until: date, deadline_s: float
    ) -> list[dict[str, Any]]:
        """All rows of the days from `since` to `until`, both included.

        Raises:
            Transient: not everything came before the deadline, or a job was dropped by the platform.
            Permanent: one day alone is too much, or the call is refused.
        """
        return list(self._span(edge, params, since=since, until=until, ends=self._monotonic() + deadline_s))

    def _span(
        self, edge: str, params: Mapping[str, str], *, since: date, until: date, ends: float
    ) -> Iterator[dict[str, Any]]:
        days = {"since": since.isoformat(), "until": until.isoformat()}
        query = {**params, "time_range": json.dumps(days, separators=(",", ":"))}
        try:
            if (until - since).days < AT_ONCE_DAYS:
                # Read to the end before anything is handed on: a span that turns out too large is asked for anew, in pieces.
                found = self._pages(edge, query, ends=ends)
            else:
                found = self._by_job(edge, query, ends=ends)
        except _TooMuch:
            if since == until:
                raise Permanent(
                    self._source, f"{edge}: {since} alone is more than the platform tells at once"
                ) from None
            middle = since + timedelta(days=(until - since).days // 2)
            log.info("insights are asked for in pieces", source=self._source, since=str(since), until=str(until))
            yield from self._span(edge, params, since=since, until=middle, ends=ends)
            yield from self._span(edge, params, since=middle + timedelta(days=1), until=until, ends=ends)
        else:
            yield from found

    def _by_job(self, edge: str, query: dict[str, str], *, ends: float) -> list[dict[str, Any]]:
        """Start a job or find the one that was started, wait for it, read its rows."""
        key = f"{edge}?{json.dumps(query, sort_keys=True)}"
        job = self._jobs.get(key)
        if job is None or self._monotonic() - job.started_at > JOB_KEPT_S:
            job = self._jobs[key] = self._start(edge, query, ends=ends)
        try:
            self._wait(job, ends=ends)
        except GraphRefusal as error:
            self._jobs.pop(key, None)
            if error.code == NO_SUCH_JOB:
                raise _Dropped(self._source, f"the insights job is not known any more: {error.detail}") from None
            raise
        except (_TooMuch, _Dropped):
            self._jobs.pop(key, None)
            raise
        rows = self._pages(f"{job.report_run_id}/insights", {}, ends=ends)
        # Kept until here: what fails in between is read again from the same job.
        self._jobs.pop(key, None)
        return rows

    def _start(self, edge: str, query: dict[str, str], *, ends: float) -> _Job:
        answer = self._call("POST", edge, data=query, ends=ends)
        try:
            identifier = str(msgspec.convert(answer, _Started).report_run_id)
        except msgspec.ValidationError:
            raise Transient(self._source, f"{edge}: no report_run_id was answered") from None
        return _Job(report_run_id=identifier, started_at=self._monotonic())

    def _wait(self, job: _Job, *, ends: float) -> None:
        """Until the job is through.

        Raises:
            _TooMuch: it failed, which the platform does not explain; a smaller one may not.
            Transient: the deadline comes first, or the platform dropped the job.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            answer = self._call(
                "GET", job.report_run_id, params={"fields": "async_status,async_percent_completion"}, ends=ends
            )
            try:
                status = msgspec.convert(answer, _Status)
            except msgspec.ValidationError:
                raise Transient(self._source, "an insights job's status has another shape than documented") from None
            if status.async_status == _DONE:
                return
            if status.async_status == _FAILED:
                raise _TooMuch
            if status.async_status == _SKIPPED or status.async_status not in _UNDER_WAY:
                raise _Dropped(self._source, f"the insights job ended as {status.async_status!r}")
            if self._monotonic() + pause_s >= ends:
                percent = status.async_percent_completion
                raise Transient(self._source, f"the insights job is at {percent} %: its rows are read next time")
            self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _pages(self, path: str, query: dict[str, str], *, ends: float) -> list[dict[str, Any]]:
        try:
            return list(self._graph.pages(path, query, deadline_s=self._left_s(ends)))
        except GraphRefusal as error:
            raise self._told(error) from None

    def _call(self, method: str, path: str, *, ends: float, **more: Any) -> dict[str, Any]:
        try:
            return self._graph.call(method, path, deadline_s=self._left_s(ends), **more)
        except GraphRefusal as error:
            raise self._told(error) from None

    def _told(self, error: GraphRefusal) -> Exception:
        return _TooMuch() if (error.code, error.subcode) == TOO_MUCH else error

    def _left_s(self, ends: float) -> float:
        left_s = ends - self._monotonic()
        if left_s <= 0:
            raise Transient(self._source, "not all insights came before the deadline")
        return left_s


class _Dropped(Transient):
    """The platform gave a job up; another one may be started."""
