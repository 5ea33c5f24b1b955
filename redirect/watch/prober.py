"""Runs the watch: looks at every URL once per interval, confirms what it finds, remembers and journals it.

One round, in the order it happens:

1. read the links again when one changed; what no link leads to any more is retired,
2. take the URLs that are due (`redirect.watch.pace`),
3. look: hosts side by side, the URLs of one host one after the other with a pause between,
4. confirm: what is found for the first time is looked at once more, and only what both looks agree on counts,
5. remember and journal each look.

A round ends after `ROUND_S`; what it did not reach is first in the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from threading import Event, Lock
from typing import Final, Protocol

import msgspec
import structlog
from sqlalchemy import Engine

from core.clock import DAY_MS, MINUTE_MS, Clock, now_ms
from core.destinations import AllowList
from core.errors import Conflict
from core.records import Check
from redirect.watch import metrics, targets
from redirect.watch.check import (
    KIND_OF,
    Finding,
    Limits,
    Observation,
    accept,
    confirmed,
    judge,
    remembered,
    state_of,
)
from redirect.watch.config import WatchConfig
from redirect.watch.memory import Memory, Remembered
from redirect.watch.pace import due_at, first_at
from redirect.watch.targets import Watched

log = structlog.get_logger(__name__)

SOURCE: Final = "watch"
ROUND_S: Final = 30.0
#: Links are read again at least this often, because schedules end by themselves.
RELOAD_MS: Final = MINUTE_MS
KEEP_UNUSED_MS: Final = 90 * DAY_MS
#: A finding stands for so many intervals without a newer look.
HOLDS_INTERVALS: Final = 3
#: The gap between two looks is shorter (`redirect.watch.pace`).
_FURTHEST_INTERVALS: Final = 2
_STOP_SEEN_S: Final = 0.2
_STATES: Final = ("ok", "care", "changed", "failing")


class Journal(Protocol):
    def append(self, record: Check) -> None: ...


#: A URL -> what a visitor sees there (`redirect.watch.visit.Visitor.look` with a fresh click ID).
Look = Callable[[str], Awaitable[Observation]]


class Prober:
    """Looks, remembers, journals. `tick` runs in one thread; `check` and `accept` may be called from others."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        look: Look,
        *,
        config: WatchConfig,
        allowed: AllowList,
        clock: Clock = now_ms,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._look = look
        self._config = config
        self._allowed = allowed
        self._clock = clock
        self._memory = Memory(engine)
        self._interval_ms = round(config.interval_s * 1000)
        self._limits = Limits(
            slow_ms=round(config.slow_s * 1000), certificate_ms=round(config.certificate_days * DAY_MS)
        )
        self._watched: dict[str, Watched] = {}
        self._known: dict[str, Remembered] | None = None
        self._due: dict[str, int] = {}
        self._read_at = self._newest_change = 0
        self._one_at_a_time = Lock()
        self._stopping = Event()

    def tick(self, now: int) -> None:
        """One round."""
        self._read_links(now)
        # No look is planned further ahead than that: such a time was set before the clock was set back.
        horizon = now + _FURTHEST_INTERVALS * self._interval_ms
        due = sorted((at, url) for url, at in self._due.items() if not now < at <= horizon)
        if due:
            asyncio.run(self._round([self._watched[url] for _, url in due]))
        self._export(now)

    def stop(self) -> None:
        """End a round under way at once; what it has not looked at is due again after the next start. May be called twice."""
        self._stopping.set()

    def check(self, urls: Sequence[str]) -> None:
        """Look at these now, whether they are due or not; those that nobody is sent to are left out."""
        self._read_links(self._clock())
        asyncio.run(self._round([self._watched[url] for url in urls if url in self._watched]))

    def known(self, urls: Collection[str]) -> dict[str, Remembered]:
        """What is remembered of these."""
        return self._memory.find(urls)

    def accept(self, urls: Collection[str], *, by: str) -> None:
        """Make what was seen last the expected, of all these or of none.

        Raises:
            Conflict: `not_checked`: nobody looked yet; `failing`: a page that does not work is not accepted.
        """
        self._read_links(self._clock())
        known = self._memory.find(urls)
        for url in urls:
            if url not in known:
                raise Conflict("not_checked", f"{url} has not been looked at yet: check it first")
            if known[url].state == "failing":
                raise Conflict("failing", f"{url} does not work: {known[url].findings[0].text}")
        for last in known.values():
            self._accept(last, by=by)

    def _accept(self, last: Remembered, *, by: str) -> None:
        now = self._clock()
        baseline = accept(last.seen, last.findings, by=by, at=now)
        findings = judge(last.seen, baseline=baseline, limits=self._limits, now=now)
        news = msgspec.structs.replace(
            last, baseline=baseline, findings=findings, state=state_of(findings), checked_at=now
        )
        self._keep(self._watched.get(last.url) or Watched(url=last.url, host=""), news, by=by)

    def watched(self) -> list[tuple[Watched, Remembered | None]]:
        """Every URL in use with what is remembered of it, by host and URL."""
        self._read_links(self._clock())
        known = self._memory.load()
        return [
            (each, known.get(each.url))
            for each in sorted(self._watched.values(), key=lambda each: (each.host, each.url))
        ]

    # --- which, and when ---------------------------------------------------------------------------------------------------------
    def _read_links(self, now: int) -> None:
        """Know the URLs in use; a change of any link is seen by the next round."""
        with self._one_at_a_time:
            newest = targets.newest_change(self._engine)
            if self._known is not None and newest == self._newest_change and 0 <= now - self._read_at < RELOAD_MS:
                return
            found, beyond = targets.watched(
                targets.read_definitions(self._engine),
                allowed=self._allowed,
                limit=self._config.max_destinations,
                now=now,
            )
            known = self._memory.load() if self._known is None else self._known
            known |= self._memory.find([url for url in found if url not in known])
            self._retire([each for url, each in known.items() if url not in found], now=now)
            self._watched, self._known = found, {url: known[url] for url in found if url in known}
            self._due = {url: self._due.get(url) or self._next(url, now=now) for url in found}
            self._read_at, self._newest_change = now, newest
            metrics.UNWATCHED.set(beyond)

    def _next(self, url: str, *, now: int) -> int:
        last = (self._known or {}).get(url)
        if last is None:
            return first_at(url, known_since=now, interval_ms=self._interval_ms)
        failing = last.state == "failing"
        return due_at(url, checked_at=last.checked_at, interval_ms=self._interval_ms, failing=failing)

    def _retire(self, unused: Sequence[Remembered], *, now: int) -> None:
        """What was found where nobody is sent any more is over."""
        for each in unused:
            if each.findings:
                host = each.url.partition("://")[2].partition("/")[0]
                self._journal.append(
                    Check(ts=now, source=SOURCE, url=each.url, host=host, state="unused", holds_until=now)
                )
        self._memory.retire([each.url for each in unused], forget_before=now - KEEP_UNUSED_MS)

    # --- looking -----------------------------------------------------------------------------------------------------------------
    async def _round(self, due: Iterable[Watched]) -> None:
        by_host: dict[str, list[Watched]] = {}
        for each in due:
            by_host.setdefault(each.host, []).append(each)
        slots = asyncio.Semaphore(self._config.concurrency)
        until = time.monotonic() + ROUND_S
        async with asyncio.TaskGroup() as hosts:
            looking = [hosts.create_task(self._host(each, slots, until=until)) for each in by_host.values()]
            while any(not task.done() for task in looking):
                if self._stopping.is_set():
                    for task in looking:
                        task.cancel()
                await asyncio.wait(looking, timeout=_STOP_SEEN_S)

    async def _host(self, due: Sequence[Watched], slots: asyncio.Semaphore, *, until: float) -> None:
        """One host: one look at a time, a pause between two."""
        async with slots:
            for index, each in enumerate(due):
                if index:
                    await asyncio.sleep(self._config.host_pause_s)
                if time.monotonic() >= until:
                    return
                try:
                    await self._one(each)
                except Exception:  # whatever one page makes of our visit, the others are looked at
                    log.exception("a look failed", url=each.url)
                    self._due[each.url] = self._clock() + self._interval_ms

    async def _one(self, each: Watched) -> None:
        last = (self._known or {}).get(each.url)
        baseline = last.baseline if last else None

        def judged(seen: Observation) -> tuple[Finding, ...]:
            return judge(seen, baseline=baseline, limits=self._limits, now=self._clock())

        seen = await self._timed(each.url)
        findings = judged(seen)
        if {finding.word for finding in findings} - {finding.word for finding in (last.findings if last else ())}:
            await asyncio.sleep(self._config.retry_s)
            seen = await self._timed(each.url)
            findings = confirmed(findings, judged(seen))
        now = self._clock()
        news = Remembered(
            url=each.url,
            seen=seen,
            findings=findings,
            baseline=baseline or remembered(seen, at=now),
            state=state_of(findings),
            checked_at=now,
        )
        self._keep(each, news)

    async def _timed(self, url: str) -> Observation:
        with metrics.LOOK_SECONDS.time():
            return await self._look(url)

    def _keep(self, each: Watched, news: Remembered, *, by: str = "") -> None:
        self._journal.append(
            record_of(each, news, holds_until=news.checked_at + HOLDS_INTERVALS * self._interval_ms, by=by)
        )
        self._memory.save([news])
        metrics.CHECKS.labels(news.state).inc()
        if self._known is not None and each.url in self._watched:
            self._known[each.url] = news
            self._due[each.url] = self._next(each.url, now=news.checked_at)

    def _export(self, now: int) -> None:
        known = list((self._known or {}).values())
        states = Counter(each.state for each in known)
        words = Counter(finding.word for each in known for finding in each.findings)
        for state in _STATES:
            metrics.DESTINATIONS.labels(state).set(states[state])
        for word in KIND_OF:
            metrics.FINDINGS.labels(word).set(words[word])
        metrics.OVERDUE.set(sum(1 for at in self._due.values() if now - at > self._interval_ms))


def record_of(each: Watched, news: Remembered, *, holds_until: int, by: str = "") -> Check:
    """A look as it is journaled."""
    seen = news.seen
    return Check(
        ts=news.checked_at,
        source=SOURCE,
        url=news.url,
        host=each.host or news.url.partition("://")[2].partition("/")[0],
        state=news.state,
        holds_until=holds_until,
        findings=[finding.word for finding in news.findings],
        details=[finding.text for finding in news.findings],
        links=list(each.links),
        campaigns=list(each.campaigns),
        clients=list(each.clients),
        statuses=list(seen.statuses),
        final_url=seen.final_url,
        ttfb_ms=seen.ttfb_ms,
        certificate_expires=seen.certificate_expires,
        click_id_survived=seen.click_id_survived,
        title=seen.title,
        accepted_by=by,
    )
