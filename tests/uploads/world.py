"""Clicks and orders that go in through the journal, are shipped and matched by the real correlator, and go out by the real runner.

One store for a whole module (making one takes a second): each test is a tenant of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from core.control.checkpoints import Checkpoints
from core.identity import derive
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Campaign, Click, Conversion
from core.records import Upload as UploadRecord
from core.shipper import Shipper
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator
from correlator.steps import STEPS
from tests.conftest import FakeClock
from tests.uploads.events import AGENT
from uploads.base import Destination
from uploads.runner import UploadRunner
from uploads.sent_log import SentLog
from uploads.upload import Upload

_numbers = count(1)


class World:
    """`client` is the tenant of everything that is added; a restart is another `runner`."""

    def __init__(
        self,
        store: Store,
        control: Engine,
        journal: JournalWriter,
        shipper: Shipper,
        clock: FakeClock,
        folder: Path,
        client: str,
    ) -> None:
        self.store, self.control, self.journal, self.shipper, self.clock = store, control, journal, shipper, clock
        self.client, self._folder = client, folder
        self.log = SentLog(control)
        self.sandbox_accounts: list[str] = []
        self._correlator = Correlator(
            store,
            journal,
            Checkpoints(control, "correlator"),
            config=CorrelatorConfig(),
            clock=clock,
            steps=[step for step in STEPS if step.name == "matches"],
            later=(),
        )
        self._added = False

    def order(
        self, *, clicked: bool = True, consent: str = "yes", campaign: str = "google:1234567890:2", **fields: Any
    ) -> str:
        """A click and its order; the conversion's ID."""
        number = next(_numbers)
        gclid, fbclid = f"Cj0-Gclid_{number}", f"IwAR-Fbclid_{number}"
        name, value = ("fbclid", fbclid) if campaign.startswith("meta") else ("gclid", gclid)
        identifier = f"{self.client}-o-{number}"
        if clicked:
            self.journal.append(
                Click(
                    ts=self.clock.now - 3_600_000, source="redirect", click_id=derive(name, value.encode()), hit_id=f"{number:016x}",
                    link_id="1", link_version=1, slug="s", domain="go.example", http_status=302, reason="ok", duration_us=50,
                    client=self.client, platform=campaign.partition(":")[0], campaign=campaign, platform_ids={name: value},
                    user_agent=AGENT, consent=consent,
                )
            )  # fmt: skip
        own: dict[str, Any] = {
            "type": "order", "status": "confirmed", "origin": "backend", "ts": self.clock.now, "value_micros": 59_900_000,
            "currency": "EUR", "client": self.client, "platform_ids": {name: value}, "page": "https://shop.example/thanks",
        }  # fmt: skip
        self.change(identifier, **(own | fields))
        return identifier

    def change(self, identifier: str, **fields: Any) -> None:
        """A further version of an order: every field anew."""
        known_at = fields.pop("known_at", None)
        own = {"type": "order", "origin": "backend"} | fields
        fact_id = f"conversion:{self.client}:{own['origin']}:{own['type']}:{identifier}"
        record = Conversion(source="push", fact_id=fact_id, conversion_id=identifier, **own)
        self.journal.append(record, known_at=known_at)
        self._added = True

    def campaign(self, campaign: str, *, sandbox: bool) -> None:
        platform, account, _ = campaign.split(":")
        self.journal.append(
            Campaign(ts=self.clock.now, source="google_ads", fact_id=f"campaign:{campaign}:x", campaign=campaign,
                     platform=platform, account=account, sandbox=sandbox)
        )  # fmt: skip

    def runner(self, *destinations: Destination, store: Any = None) -> UploadRunner:
        return UploadRunner(
            destinations,
            store or self.store,
            self.log,
            self.journal,
            Checkpoints(self.control, "uploads"),
            sandbox_accounts=self.sandbox_accounts,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    def match(self) -> None:
        """Ship and match what was added."""
        while self.shipper.run_once().ranges:
            pass
        self._correlator.tick(self.clock.now)
        self._added = False

    def round(self, runner: UploadRunner, *, after_s: float = 0) -> None:
        """Match what was added, then one round of the uploads."""
        self.clock.advance(round(after_s * 1000) + 1)
        if self._added:
            self.match()
        runner.run_once(self.clock.now)

    def uploads(self, destination: str) -> dict[str, Upload]:
        """By the conversion's ID."""
        return {
            upload.conversion.rpartition(":")[2]: upload
            for upload in self.log.find(destination=destination, limit=10_000)
        }

    def states(self, destination: str) -> dict[str, tuple[str, str]]:
        return {name: (upload.state, upload.reason) for name, upload in self.uploads(destination).items()}

    def journaled(self, destination: str) -> Sequence[UploadRecord]:
        lines = (line.record for segment in list_segments(self._folder) for line in iter_lines(segment.path))
        return [record for record in lines if isinstance(record, UploadRecord) and record.destination == destination]
