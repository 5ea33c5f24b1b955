"""What a Google Ads account is read for besides spend, as cases for the suite over all sources: the same sandbox, other questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.demo.google_reports import AccountChange, CountedConversion, GoogleReports, SingleClick
from app.demo.google_sandbox import GoogleSandbox
from core.records import Deploy, PlatformClick, Record, Tally
from tests.collectors.sandboxes.ad_accounts import GoogleAdsCase

PARTS = ("conversions", "changes", "clicks")


def budget_raised(*, ts: int) -> AccountChange:
    """A person raises the daily budget of campaign 11 from 50 to 80."""
    return AccountChange(
        ts=ts,
        resource="CAMPAIGN_BUDGET",
        campaign="11",
        fields=["amount_micros"],
        author="maria@acme.example",
        old={"amount_micros": 50_000_000},
        new={"amount_micros": 80_000_000},
    )


class GooglePartCase(GoogleAdsCase):
    """One part is on, with the suite's schedule; spend is read by another source, which the suite leaves alone."""

    part = ""
    restates = False

    def settings(self) -> dict[str, Any]:
        return {part: {"enabled": part == self.part} for part in PARTS}

    def configured(self, schedule: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings()
        return settings | {self.part: schedule | settings[self.part]}

    @property
    def reports(self) -> GoogleReports:
        assert isinstance(self.sandbox, GoogleSandbox)
        return self.sandbox.reports


class GoogleConversionsCase(GooglePartCase):
    part = "conversions"
    reads = "google_conversions:"
    restates = True

    def add(self, number: int, *, ts: int) -> None:
        self.reports.conversions.append(CountedConversion(campaign="11", action=f"action {number}", ts=ts, value=1.5))

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(record.name.split()[1]) for record in records if isinstance(record, Tally)]

    def restate(self, number: int) -> None:
        for each in self.reports.conversions:
            each.value += 10.0 * (each.action == f"action {number}")

    def credit_elsewhere(self, number: int) -> None:
        for each in self.reports.conversions:
            each.campaign = "12" if each.action == f"action {number}" else each.campaign


class GoogleChangesCase(GooglePartCase):
    part = "changes"
    reads = "google_changes:"
    lag_s = 180
    reach_days = 29

    def add(self, number: int, *, ts: int) -> None:
        change = AccountChange(ts=ts, resource="CAMPAIGN", campaign="11", fields=[f"number_{number}"])
        self.reports.changes.append(change)

    def seen(self, records: Sequence[Record]) -> list[int]:
        texts = [record.description for record in records if isinstance(record, Deploy)]
        return [int(number) for text in texts for number in re.findall(r"number_(\d+)", text)]


class GoogleClicksCase(GooglePartCase):
    part = "clicks"
    reads = "google_clicks:"

    def add(self, number: int, *, ts: int) -> None:
        self.reports.clicks.append(SingleClick(gclid=f"Cj0-{number}", campaign="11", ts=ts, keyword=str(number)))

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(record.keyword) for record in records if isinstance(record, PlatformClick)]
