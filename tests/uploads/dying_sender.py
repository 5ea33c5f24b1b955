"""A sender that is killed: rounds of the uploads over orders that always exist, until everything has arrived. Run as a process of its own.

python -m tests.uploads.dying_sender DIRECTORY ENDPOINT DATASET CREDENTIALS ORDERS CLOCK_OFFSET_MS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.clock import now_ms
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.uploads.events import order
from uploads.candidates import text
from uploads.meta_conversions.config import MetaConversionsConnection
from uploads.meta_conversions.destination import MetaConversions
from uploads.runner import UploadRunner
from uploads.sent_log import SentLog

NAME = "meta-shop"


class Orders:
    """What the store would answer: `count` orders, all matched an hour ago."""

    store_id = "orders"

    def __init__(self, count: int, *, now: int) -> None:
        found = (order(n, ts=now - 60_000, click_ts=now - 3_600_000, campaign="", matched_at=now) for n in range(count))
        self._orders = {one.fact_id: msgspec.structs.asdict(one) for one in found}
        self._matched = now - 3_600_000

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        asked = params or {}
        if sql == text("target_from_match"):
            behind = (int(str(asked["matched_at"])), str(asked["fact_id"]))
            names = sorted(name for name in self._orders if (self._matched, name) > behind)
            return [{"fact_id": name, "matched_ms": self._matched} for name in names]
        wanted = asked["fact_ids"]
        assert isinstance(wanted, list)
        return [self._orders[name] for name in wanted if name in self._orders]


def main() -> None:
    directory, endpoint, dataset, credentials, count, offset = sys.argv[1:]
    destination = MetaConversions(
        MetaConversionsConnection.model_validate(
            {
                "name": NAME, "enabled": True, "endpoint": endpoint, "dataset": dataset, "credentials_file": credentials,
                "conversions": [{"type": "order", "target": "Purchase"}], "since": "2026-01-01T00:00:00Z", "wait_s": 0,
                "batch_size": 5, "deadline_s": 30, "call_timeout_s": 15,
            }
        )
    )  # fmt: skip
    control = open_control("", Path(directory))
    log = SentLog(control)

    def clock() -> int:
        return now_ms() + int(offset)

    journal = JournalWriter(Path(directory) / "journal", config=JournalConfig(), clock=clock, name="dying")
    runner = UploadRunner(
        [destination], Orders(int(count), now=now_ms()), log, journal, Checkpoints(control, "uploads"), clock=clock
    )
    print("ready", flush=True)
    while any(one.state not in ("sent", "dead") for one in log.find(limit=10_000)) or not log.find():
        runner.run_once()
        time.sleep(0.02)
    journal.close()


if __name__ == "__main__":
    main()
