"""Google's own count of conversions, by action and day (README.md)."""

from __future__ import annotations

from collections.abc import Iterable

from collectors.google_ads.config import GoogleConversionsConfig
from collectors.platform_conversions import Key, PlatformConversions
from collectors.windows import Window
from core.vendors.base import ConversionCount, Report
from core.vendors.google_ads import GoogleAdsAccount
from core.vendors.google_ads_reports import conversions


class GoogleConversionsSource(PlatformConversions[GoogleAdsAccount, GoogleConversionsConfig]):
    kind = "google_conversions"

    def counted(self, window: Window, *, deadline_s: float) -> Report[ConversionCount]:
        return conversions(self._account, since_ms=window.since, until_ms=window.until, deadline_s=deadline_s)

    def by_type(self, rows: Iterable[ConversionCount]) -> dict[Key, list[ConversionCount]]:
        """Several actions may stand for one type of ours (a purchase by tag and one by import)."""
        found: dict[Key, list[ConversionCount]] = {}
        for row in rows:
            name = self._own.types.get(row.action, row.action)
            found.setdefault((row.campaign, name, row.bucket_ms), []).append(row)
        return found
