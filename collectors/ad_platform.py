"""What the ad platforms' sources share: rows of `core.vendors.base` become spend and campaign records, and further parts of an account
are sources of their own."""

from __future__ import annotations

from typing import Generic, TypeVar

from collectors import fact_ids
from collectors.base import Fetched
from collectors.source_config import SourceConfig
from collectors.windows import Window
from core.identity import split_qualified
from core.records import Campaign, Record, Spend
from core.vendors.base import AdPlatform, CampaignState, SpendRow
from core.vendors.config import AccountConfig

Account = TypeVar("Account", bound=AdPlatform)
Config = TypeVar("Config", bound=SourceConfig)


class AdPlatformPart(Generic[Account, Config]):
    """One part of one account besides its spend, read on its own schedule, with its own watermark.

    `kind` is the source word of its records; the watermark's is `<kind>:<account>`. A part that is refused (click_view on a manager
    account, say) stops alone, and spend goes on.
    """

    kind = ""

    def __init__(self, account: Account, *, account_config: AccountConfig, config: Config) -> None:
        self.name = f"{self.kind}:{account.account}"
        self.config: SourceConfig = config
        self._own = config
        self._account = account
        self._account_config = account_config

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Nothing that holds now: campaign states are read with spend."""
        return Fetched(records=[])

    def close(self) -> None:
        self._account.close()


class AdPlatformSource:
    """One account of one platform. `kind` is the source word of its records; the watermark's is `<kind>:<account>`."""

    kind = ""
    #: The platform sends visitors straight to the landing page and calls the tracking template in the background.
    parallel_tracking = False

    def __init__(self, account: AdPlatform, *, account_config: AccountConfig, config: SourceConfig) -> None:
        self.name = f"{self.kind}:{account.account}"
        self.config = config
        self._account = account
        self._account_config = account_config

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Spend of the days that touch the window; unchanged rows are told apart by the runner."""
        report = self._account.spend(window.since, window.until, deadline_s=deadline_s)
        return Fetched(records=[self._spend(row) for row in report.rows], invalid=report.invalid, detail=report.detail)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """State, name and budget of every campaign."""
        states = self._account.campaigns(deadline_s=deadline_s)
        return Fetched(records=[self._campaign(state, now=now) for state in states])

    def close(self) -> None:
        self._account.close()

    def _spend(self, row: SpendRow) -> Record:
        return Spend(
            ts=row.bucket_ms,
            source=self.kind,
            fact_id=fact_ids.spend(
                campaign=row.campaign,
                ts=row.bucket_ms,
                bucket_s=row.bucket_s,
                device=row.device,
                ad_group=row.ad_group,
                creative=row.creative,
            ),
            platform=self._account.platform,
            account=self._account.account,
            campaign=row.campaign,
            bucket_s=row.bucket_s,
            cost_micros=row.cost_micros,
            currency=row.currency,
            ad_group=row.ad_group,
            creative=row.creative,
            device=row.device,
            clicks=row.clicks,
            impressions=row.impressions,
            platform_conversions=row.platform_conversions,
        )

    def _campaign(self, state: CampaignState, *, now: int) -> Record:
        platform, account, _ = split_qualified(state.campaign)
        return Campaign(
            ts=now,
            source=self.kind,
            fact_id=fact_ids.campaign(campaign=state.campaign, source=self.kind),
            campaign=state.campaign,
            platform=platform,
            account=account,
            name=state.name,
            status=state.status,
            client=self._account_config.client,
            currency=state.currency or self._account_config.currency,
            daily_budget_micros=state.daily_budget_micros,
            parallel_tracking=self.parallel_tracking,
            sandbox=self._account_config.sandbox,
        )
