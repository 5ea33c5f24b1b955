"""Synthetic checks of landing pages: is what a paid click should see there? (collectors/checks/README.md)

One round, in the order it happens: look at every page, several side by side; look once more at those with news, after `retry_s`, and keep
only what both looks agree on; answer a `check` and gauges for each page.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import msgspec

from collectors.base import Fetched
from collectors.checks.config import ChecksConfig, ChecksConnection, PageConfig
from collectors.checks.judge import Finding, confirmed, judge, state_of
from collectors.checks.page import MAX_PAGE_BYTES, Page, read_page
from collectors.metrics import SYNTHETIC_PAGES
from collectors.windows import Window
from core.clock import DAY_MS
from core.destinations import AllowList
from core.errors import Transient
from core.records import Check, Gauge, Record
from core.visits.guard import Guard, Resolve, system_resolver
from core.visits.visit import PageVisitor, Visit

KIND: Final = "checks"
#: A finding stands for so many intervals without a newer look.
HOLDS_INTERVALS: Final = 3
_STATES: Final = ("ok", "care", "failing")


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One page as it was seen last."""

    wanted: PageConfig
    visit: Visit
    page: Page | None
    findings: list[Finding]


class ChecksSource:
    """Looks at one site's pages; see `collectors.base.Source`.

    Args:
        tls: trusted roots; None = the system's.
    """

    def __init__(
        self,
        connection: ChecksConnection,
        *,
        config: ChecksConfig,
        resolve: Resolve = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = f"{KIND}:{connection.name}"
        self.config = config
        self._connection = connection
        self._known: dict[str, list[Finding]] = {}
        allowed = AllowList(config.allowed_private, setting="collectors.checks.allowed_private")
        self._visitor = PageVisitor(
            Guard(allowed, resolve=resolve),
            timeout_s=config.timeout_s,
            max_hops=config.max_hops,
            tls=tls,
            max_body_bytes=MAX_PAGE_BYTES,
            body_s=config.timeout_s,
        )

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Nothing: a look sees the present only."""
        return Fetched(records=[])

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Every page, looked at now."""
        looked = asyncio.run(self._round(now=now, deadline_s=deadline_s))
        records: list[Record] = []
        for one in looked:
            self._known[one.wanted.url] = one.findings
            records += self._records(one, now=now)
        states = [state_of(findings) for findings in self._known.values()]
        for state in _STATES:
            SYNTHETIC_PAGES.labels(self._connection.name, state).set(states.count(state))
        left = len(self._connection.pages) - len(looked)
        return Fetched(records=records, failed=left, detail=f"{left} page(s) not looked at in time" if left else "")

    def probe(self, *, now: int, deadline_s: float) -> str:
        """How the pages do, without journaling it."""
        looked = asyncio.run(self._round(now=now, deadline_s=deadline_s))
        bad = [f"{one.wanted.url}: {one.findings[0].text}" for one in looked if one.findings]
        if len(looked) < len(self._connection.pages):
            raise Transient(self.name, "not every page was looked at in time")
        return "; ".join(bad) if bad else f"{len(looked)} page(s) as they should be"

    def close(self) -> None:
        """Nothing stays open between two rounds."""

    async def _round(self, *, now: int, deadline_s: float) -> list[Looked]:
        """The pages that were reached before the deadline."""
        slots = asyncio.Semaphore(self.config.concurrency)
        looks = [asyncio.create_task(self._look(wanted, slots, now=now)) for wanted in self._connection.pages]
        done, late = await asyncio.wait(looks, timeout=deadline_s)
        for look in late:
            look.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return [look.result() for look in looks if look in done]

    async def _look(self, wanted: PageConfig, slots: asyncio.Semaphore, *, now: int) -> Looked:
        async with slots:
            first = await self._once(wanted, now=now)
        news = {finding.word for finding in first.findings} - {f.word for f in self._known.get(wanted.url, ())}
        if not news:
            return first
        await asyncio.sleep(self.config.retry_s)
        async with slots:
            second = await self._once(wanted, now=now)
        return msgspec.structs.replace(second, findings=confirmed(first.findings, second.findings))

    async def _once(self, wanted: PageConfig, *, now: int) -> Looked:
        visit = await self._visitor.visit(wanted.url)
        page = read_page(visit)
        certificate_ms = self.config.certificate_days * DAY_MS
        findings = judge(visit, page, wanted, certificate_ms=certificate_ms, now=now)
        return Looked(wanted=wanted, visit=visit, page=page, findings=findings)

    def _records(self, one: Looked, *, now: int) -> list[Record]:
        visit, host = one.visit, one.wanted.url.partition("://")[2].partition("/")[0]
        attributes = {"check": self._connection.name, "url": one.wanted.url}
        values = {"check.up": float(state_of(one.findings) != "failing"), "check.ttfb_s": visit.ttfb_ms / 1000}
        if visit.certificate_expires:
            values["check.certificate_days"] = (visit.certificate_expires - now) / DAY_MS
        if not visit.statuses:
            del values["check.ttfb_s"]
        return [
            self._check(one, host=host, now=now),
            *(
                Gauge(ts=now, source=self.name, service=host, name=name, value=value, attributes=attributes)
                for name, value in values.items()
            ),
        ]

    def _check(self, one: Looked, *, host: str, now: int) -> Check:
        visit = one.visit
        return Check(
            ts=now,
            source=self.name,
            url=one.wanted.url,
            host=host,
            state=state_of(one.findings),
            holds_until=now + round(HOLDS_INTERVALS * self.config.interval_s * 1000),
            findings=[finding.word for finding in one.findings],
            details=[finding.text for finding in one.findings],
            campaigns=list(one.wanted.campaigns),
            clients=[self._connection.client] if self._connection.client else [],
            statuses=list(visit.statuses),
            final_url=visit.final_url,
            ttfb_ms=visit.ttfb_ms,
            certificate_expires=visit.certificate_expires,
            title=one.page.title if one.page else "",
        )
