"""Meta's own count of conversions, by action and day (README.md)."""

from __future__ import annotations

from collections.abc import Iterable

from collectors.meta_ads.config import MetaConversionsConfig
from collectors.platform_conversions import Key, PlatformConversions
from collectors.windows import Window
from core.vendors.base import ConversionCount, Report
from core.vendors.meta import MetaAccount
from core.vendors.meta_reports import conversions


class MetaConversionsSource(PlatformConversions[MetaAccount, MetaConversionsConfig]):
    kind = "meta_conversions"

    def counted(self, window: Window, *, deadline_s: float) -> Report[ConversionCount]:
        return conversions(
            self._account,
            actions=self._own.types.keys(),
            since_ms=window.since,
            until_ms=window.until,
            deadline_s=deadline_s,
        )

    def by_type(self, rows: Iterable[ConversionCount]) -> dict[Key, list[ConversionCount]]:
        """Of several actions that stand for one type of ours, the first in the settings' order: Meta tells the same sale under each
        of their names, so a sum would count it again and again."""
        order = {action: at for at, action in enumerate(self._own.types)}
        found: dict[Key, list[ConversionCount]] = {}
        for row in sorted(rows, key=lambda row: order[row.action]):
            found.setdefault((row.campaign, self._own.types[row.action], row.bucket_ms), [row])
        return found
