"""A whole day of the detector's simulated visitors with addresses, cookies, habits: most from homes, many through a few exits of carriers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import numpy as np

from core.records import Click, Record, Touch
from tests.correlator.detection.conftest import ADS, DEVICES, WEIGHTS, World

DAY_MS = 86_400_000
#: Shares of clicks through carriers: 8 exits (addresses in 2 networks), offices: 40, homes: everybody else.
CARRIERS, OFFICES = 0.25, 0.10
NO_SNIPPET = 0.25  # ad blockers, closed tabs


class Crowd:
    """Writes a day's records to the journal as they happened."""

    def __init__(self, world: Any, journal: Any, clock: Any) -> None:
        self.random = np.random.default_rng(7)
        self.journal, self.start = journal, clock.now
        self.visitors = World(journal, world.ship, clock, world.store, world.control, seed=7)

    def day(self, *, clicks: int) -> None:
        # Evenings are busier, as in app/demo's law of the week.
        hours = np.arange(24)
        busy = np.exp(0.45 * np.cos(2 * np.pi * (hours - 19) / 24))
        at_hour = self.random.choice(24, clicks, p=busy / busy.sum())
        times = np.sort(at_hour * 3_600_000 + self.random.integers(0, 3_600_000, clicks)) + self.start
        ads = self.random.choice(len(ADS), clicks, p=WEIGHTS)
        devices = self.random.choice(list(DEVICES), clicks, p=[share for share, _ in DEVICES.values()])
        records: list[Record] = []
        for ts, ad, device in zip(times.tolist(), ads.tolist(), devices.tolist(), strict=True):
            records += self._visit(ts, ADS[ad], str(device))
        records.sort(key=lambda record: record.ts)
        self.journal.append_many(records, known_at=[record.ts for record in records])

    def _visit(self, ts: int, ad: Any, device: str) -> list[Record]:
        seen = self.visitors._visit(ts, ad, device, robot=False, pages=defaultdict(int))
        found: list[Record] = [self._placed(record) if isinstance(record, Click) else record for record in seen[:2]]
        if self.random.random() < NO_SNIPPET:
            found = found[:1]
        elif isinstance(found[1], Touch):
            found[1] = msgspec.structs.replace(found[1], ts=ts + 150 + int(self.random.exponential(900)))
        for attempts in self.visitors.waiting.values():
            found += [self.visitors._order(attempt, tracked=True) for attempt in attempts]
        self.visitors.waiting.clear()
        return found

    def _placed(self, click: Click) -> Click:
        kind = self.random.random()
        if kind < CARRIERS:
            exit_ = int(self.random.integers(8))
            network, address = f"192.0.{exit_ % 2}.0/24", exit_
        elif kind < CARRIERS + OFFICES:
            office = int(self.random.integers(40))
            network, address = f"198.51.{office}.0/24", 100 + office
        else:
            home = int(self.random.integers(2_000_000))
            network, address = f"{20 + home // 65_536}.{home // 256 % 256}.{home % 256}.0/24", 1_000 + home
        visitor = f"{self.random.integers(1, 2**62):032x}"
        return msgspec.structs.replace(click, network=network, network_hash=f"{address:016x}", visitor_id=visitor)
