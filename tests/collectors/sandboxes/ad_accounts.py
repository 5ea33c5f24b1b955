"""The ad platforms' cases for the suite over all sources: `number` clicks happen in the demo's own sandbox of the platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.demo.ad_account import Behaviour, CampaignSetup, Clicks
from app.demo.google_sandbox import GoogleSandbox, process_ca
from app.demo.meta_reports import CountedAction, MetaReports
from app.demo.meta_sandbox import MetaSandbox
from core.records import Record, Spend, Tally
from core.vendors.config import AccountConfig
from tests.collectors.sandboxes.cases import Case

LAG_S = 3 * 3600


def campaigns() -> list[CampaignSetup]:
    return [
        CampaignSetup(id="11", name="Spring", cpc_micros=500_000),
        CampaignSetup(id="12", name="Autumn", cpc_micros=800_000),
    ]


def late_and_restating() -> Behaviour:
    return Behaviour(report_lag_s=LAG_S, restate_after_s=86_400, restate_share=0.05)


class AdAccountCase(Case):
    """A platform with one account; it restates by itself after a day."""

    lag_s = LAG_S
    restates = True
    sandbox: GoogleSandbox | MetaSandbox

    @property
    def behaviour(self) -> Behaviour:
        return self.sandbox.account.behaviour

    def accounts(self) -> list[AccountConfig]:
        return [
            AccountConfig(
                platform="google" if isinstance(self.sandbox, GoogleSandbox) else "meta",
                account=self.sandbox.account.account,
                client="acme",
                endpoint=self.sandbox.endpoint,
                credentials_file=str(self.sandbox.credentials_file),
            )
        ]

    def add(self, number: int, *, ts: int) -> None:
        taken = self.sandbox.account.add_clicks([Clicks(campaign="11", clicks=number, ts=ts)])
        assert taken.accepted == number

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [record.clicks for record in records if isinstance(record, Spend)]

    def let_in(self) -> None:
        self.sandbox.credentials_file.write_bytes(self._credentials)

    def lock_out(self) -> None:
        self._credentials = self.sandbox.credentials_file.read_bytes()
        self.sandbox.credentials_file.write_text(self.wrong_credentials)

    wrong_credentials = ""


class GoogleAdsCase(AdAccountCase):
    section = "google_ads"
    reads = "google_ads:"
    wrong_credentials = "{}"

    def settings(self) -> dict[str, Any]:
        """Spend alone; what else the account tells is tried in tests/collectors/google_ads."""
        return {part: {"enabled": False} for part in ("conversions", "changes", "clicks")}

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        more: dict[str, Any] = {"ca": process_ca()}
        self.sandbox = GoogleSandbox(
            directory, campaigns=campaigns(), behaviour=late_and_restating(), clock=clock, **more
        )


class MetaAdsCase(AdAccountCase):
    section = "meta_ads"
    reads = "meta_ads:"
    wrong_credentials = "EAABwrong"

    def settings(self) -> dict[str, Any]:
        """Spend alone."""
        return {"conversions": {"enabled": False}}

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self.sandbox = MetaSandbox(directory, campaigns=campaigns(), behaviour=late_and_restating(), clock=clock)


class MetaConversionsCase(MetaAdsCase):
    """The account's actions; spend is read by another source, which the suite leaves alone. Each number is a campaign."""

    reads = "meta_conversions:"

    def settings(self) -> dict[str, Any]:
        return {}

    def configured(self, schedule: dict[str, Any]) -> dict[str, Any]:
        return {"conversions": schedule}

    @property
    def reports(self) -> MetaReports:
        assert isinstance(self.sandbox, MetaSandbox)
        return self.sandbox.reports

    def add(self, number: int, *, ts: int) -> None:
        self.reports.actions.append(CountedAction(campaign=str(number), ts=ts, value=1.5))

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(record.campaign.rpartition(":")[2]) for record in records if isinstance(record, Tally)]

    def restate(self, number: int) -> None:
        for each in self.reports.actions:
            each.value += 10.0 * (each.campaign == str(number))

    def credit_elsewhere(self, number: int) -> None:
        for each in self.reports.actions:
            each.campaign = "99" if each.campaign == str(number) else each.campaign
