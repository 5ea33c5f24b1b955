"""What reading sources costs while nothing new comes: 20 sources, each of which answers the rows that it answered before.

They are read every 130 seconds, seven times as often as the default and just too late for the memory of what was written lately, so that
every re-read is compared with the store. Measured is the CPU of the whole process over one such interval, the engine's threads
included; beside it, what the process takes with the engine open and nobody reading.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from collectors import fact_ids
from collectors.base import Fetched
from collectors.runner import Runner
from collectors.source_config import SourceConfig
from collectors.versions import RECENT_MS, Versions
from collectors.windows import Window
from core.clock import HOUR_MS, now_ms
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.records import Campaign, Spend
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import open_store

SOURCES: Final = 20
CAMPAIGNS: Final = 5
INTERVAL_S: Final = RECENT_MS // 1000 + 10
ENGINE_ALONE_S: Final = 10


class UnchangedSource:
    """One account: a day of spend by hour and campaign, and the campaigns' states; always the same."""

    def __init__(self, number: int, *, interval_s: float, until: int) -> None:
        self.name = f"bench:{number}"
        self.config = SourceConfig(interval_s=interval_s, backfill_s=86_400, documented_lag_s=3 * 3600)
        self._account = str(number)
        self._until = until

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        hours = range(window.since, min(window.until, self._until), HOUR_MS)
        return Fetched(records=[self._spend(hour, campaign) for hour in hours for campaign in range(CAMPAIGNS)])

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        return Fetched(records=[self._state(campaign, now=now) for campaign in range(CAMPAIGNS)])

    def close(self) -> None:
        """Nothing is open."""

    def _spend(self, hour: int, campaign: int) -> Spend:
        qualified = f"bench:{self._account}:{campaign}"
        return Spend(
            ts=hour,
            source="bench",
            fact_id=fact_ids.spend(campaign=qualified, ts=hour, bucket_s=3600),
            platform="bench",
            account=self._account,
            campaign=qualified,
            bucket_s=3600,
            cost_micros=12_340_000,
            currency="EUR",
            clicks=20,
            impressions=900,
        )

    def _state(self, campaign: int, *, now: int) -> Campaign:
        qualified = f"bench:{self._account}:{campaign}"
        return Campaign(
            ts=now,
            source="bench",
            fact_id=fact_ids.campaign(campaign=qualified, source="bench"),
            campaign=qualified,
            platform="bench",
            account=self._account,
            name=f"Campaign {campaign}",
            status="enabled",
        )


def run(*, size: int, rounds: int, interval_s: float = INTERVAL_S, directory: Path | None = None) -> dict[str, object]:
    """Shares of one core, medians over the rounds.

    Args:
        size: sources.
        rounds: intervals that are measured.
        interval_s: seconds between two reads of a source.
        directory: data directory of the engine; default a temporary one. (One engine directory per process.)
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        home = Path(scratch)
        control = open_control("", home)
        journal = JournalWriter(home / "journal", config=JournalConfig(), name="bench")
        store = open_store(StoreConfig(), directory or home)
        begins = now_ms()
        sources = [UnchangedSource(number, interval_s=interval_s, until=begins - 3 * HOUR_MS) for number in range(size)]
        runner = Runner(sources, journal, Checkpoints(control, "collectors"), versions=Versions(store))
        runner.run_once(begins)
        first = runner.statuses()
        Shipper(store, control, home / "journal", config=JournalConfig()).run_once()
        alone = _share(min(ENGINE_ALONE_S, interval_s))
        runner.start()
        try:
            shares = [_share(interval_s) for _ in range(rounds)]
            reads = runner.statuses()
        finally:
            runner.stop()
            store.close()
            journal.close()
            control.dispose()
    return {
        "sources": size,
        "interval_s": interval_s,
        "rounds": rounds,
        "rows_read_again": sum(status.rows_read for status in reads) - sum(one.rows_read for one in first),
        "rows_written_again": sum(status.rows_written for status in reads) - sum(one.rows_written for one in first),
        "core_share": round(median(shares), 5),
        "engine_alone_core_share": round(alone, 5),
    }


def _share(seconds: float) -> float:
    """The process's CPU over so many seconds, as a share of one core."""
    started, cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - started)
