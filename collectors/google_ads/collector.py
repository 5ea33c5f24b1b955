"""Google Ads: spend by hour, campaign or ad group and device, and campaign states (README.md beside this file)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from collectors.ad_platform import AdPlatformSource
from collectors.base import Fetched, Quota
from collectors.google_ads.config import GoogleAdsConfig
from collectors.windows import Window
from core.vendors.base import SpendRow
from core.vendors.config import AccountConfig
from core.vendors.google_ads import GoogleAdsAccount


class GoogleAdsSource(AdPlatformSource):
    kind = "google_ads"
    parallel_tracking = True

    def __init__(self, account: GoogleAdsAccount, *, account_config: AccountConfig, config: GoogleAdsConfig) -> None:
        super().__init__(account, account_config=account_config, config=config)
        self._google = account
        self._own = config

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Spend of the days that touch the window, by ad group where that is wanted."""
        if self._own.grain == "campaign":
            return super().fetch(window, now=now, deadline_s=deadline_s)
        since, until = window.since, window.until
        finer = self._google.ad_group_spend(since, until, deadline_s=deadline_s)
        whole = self._google.spend(since, until, deadline_s=deadline_s)
        # An ad group's row that cannot be understood leaves its money in the campaign's.
        rows = [*finer.rows, *remainders(whole.rows, finer.rows)]
        return Fetched(
            records=[self._spend(row) for row in rows],
            invalid=finer.invalid + whole.invalid,
            detail=finer.detail or whole.detail,
        )

    def quota(self) -> Quota | None:
        """Operations of the day that this process made, of what the project's access level allows; other programs' are not in it."""
        used = self._google.wire.operations_of_the_day()
        return Quota(unit="operations in 24 h, ours", used=used, limit=self._own.daily_operations) if used else None


def remainders(whole: Iterable[SpendRow], parts: Iterable[SpendRow]) -> list[SpendRow]:
    """Each campaign's row less what its ad groups explain.

    Performance Max and some others have no ad groups, so the sum over ad groups alone would lose money. The remainder keeps the
    campaign row's own key: where that row was read as a whole before, it is restated, and sums stay right.
    """
    explained: dict[tuple[str, int, str], list[SpendRow]] = {}
    for part in parts:
        explained.setdefault(_cell(part), []).append(part)
    return [_less(row, explained.get(_cell(row), [])) for row in whole]


def _cell(row: SpendRow) -> tuple[str, int, str]:
    return row.campaign, row.bucket_ms, row.device


def _less(row: SpendRow, parts: list[SpendRow]) -> SpendRow:
    # The two reports are asked one after the other and may differ by what came in between: never less than nothing.
    return msgspec.structs.replace(
        row,
        cost_micros=max(0, row.cost_micros - sum(part.cost_micros for part in parts)),
        clicks=max(0, row.clicks - sum(part.clicks for part in parts)),
        impressions=max(0, row.impressions - sum(part.impressions for part in parts)),
        platform_conversions=max(
            0.0, round(row.platform_conversions - sum(part.platform_conversions for part in parts), 6)
        ),
    )
