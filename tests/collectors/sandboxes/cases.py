"""The table of sources for the suite over all of them (tests/collectors/test_every_source.py).

A source gets a `Case`: its sandbox, its settings, how something happens at the vendor, and how that shows in the journal. Then the
whole suite runs over it. A source in `collectors.registry` without a case fails the suite.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from app.demo.ad_account import Behaviour
from core.records import Record
from core.vendors.config import AccountConfig


class Case:
    """A source as the suite drives it. Built once a test; `start` before the first read, `stop` at the end."""

    #: The vendor on the wire: a `Sandbox`, or what has its `endpoint`, `start` and `stop`.
    sandbox: Any
    #: The section of `collectors` in the settings.
    section = ""
    #: How the source's name begins, where the section has several: "google_changes:". Default: the section.
    reads = ""
    #: Seconds by which the sandbox shows data late; the schedule's documented lag.
    lag_s = 0
    #: The source can be asked about the past. False for one that sees the present only, such as a synthetic check.
    history = True
    #: A vendor answers, who can be late and misbehave. False where what is looked at may be broken, and exactly that is told.
    vendor = True
    #: How far back the vendor can be asked, in days.
    reach_days = 90
    #: The vendor changes figures later: after `restate` the same fact comes with another value.
    restates = False

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        """`directory` is empty and the case's own; `clock` is the test's, in ms."""
        self.directory = directory
        self.clock = clock

    @property
    def behaviour(self) -> Behaviour:
        """The sandbox's switches."""
        found: Behaviour = self.sandbox.behaviour
        return found

    @property
    def endpoint(self) -> str:
        """`http://host:port` or `host:port` of the sandbox, to put something silent in its place."""
        return str(self.sandbox.endpoint)

    def start(self) -> None:
        self.sandbox.start()

    def stop(self) -> None:
        self.sandbox.stop()

    def settings(self) -> dict[str, Any]:
        """What stands in the section besides the schedule: `{"connections": [{…}]}`."""
        return {}

    def configured(self, schedule: dict[str, Any]) -> dict[str, Any]:
        """The section with the suite's schedule. A part of a section puts it into the part's own: `{"changes": schedule}`."""
        return schedule | self.settings()

    def accounts(self) -> list[AccountConfig]:
        """For ad platforms."""
        return []

    def add(self, number: int, *, ts: int) -> None:
        """Something happens at `ts` (ms) that the source reports, told apart by its number (1 to 9,999)."""
        raise NotImplementedError

    def seen(self, records: Sequence[Record]) -> list[int]:
        """The numbers that arrived, in the journal's order, once for each version."""
        raise NotImplementedError

    def restate(self, number: int) -> None:
        """The vendor changes its figure (only with `restates`); ad platforms do it by themselves after a day."""

    def lock_out(self) -> None:
        """From now on our credentials are wrong."""
        raise NotImplementedError

    def let_in(self) -> None:
        """The credentials are mended, as a person would do it: in the file."""
        raise NotImplementedError


#: Section -> its case; a further source of a section's accounts is `<section>.<part>` (`collectors.registry.AD_PLATFORM_PARTS`).
CASES: Final[dict[str, str]] = {
    "ga4": "tests.collectors.sandboxes.ga4:Ga4Case",
    "google_ads": "tests.collectors.sandboxes.ad_accounts:GoogleAdsCase",
    "google_ads.conversions": "tests.collectors.sandboxes.google_parts:GoogleConversionsCase",
    "google_ads.changes": "tests.collectors.sandboxes.google_parts:GoogleChangesCase",
    "google_ads.clicks": "tests.collectors.sandboxes.google_parts:GoogleClicksCase",
    "meta_ads": "tests.collectors.sandboxes.ad_accounts:MetaAdsCase",
    "meta_ads.conversions": "tests.collectors.sandboxes.ad_accounts:MetaConversionsCase",
    "github": "tests.collectors.sandboxes.github:GithubCase",
    "stripe": "tests.collectors.sandboxes.stripe:StripeCase",
    "hubspot": "tests.collectors.sandboxes.hubspot:HubspotCase",
    "checks": "tests.collectors.sandboxes.checks:ChecksCase",
    "prometheus": "tests.collectors.sandboxes.prometheus:PrometheusCase",
}


def case_type(section: str) -> type[Case]:
    module, _, name = CASES[section].partition(":")
    found: type[Case] = getattr(importlib.import_module(module), name)
    return found


def build_case(section: str, directory: Path, clock: Callable[[], int]) -> Case:
    directory.mkdir(parents=True, exist_ok=True)
    return case_type(section)(directory, clock)
