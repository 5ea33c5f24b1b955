"""Meta: spend by hour and campaign, and campaign states (README.md beside this file)."""

from __future__ import annotations

from collectors.ad_platform import AdPlatformSource
from collectors.base import Quota
from core.vendors.meta_graph import Usage


class MetaAdsSource(AdPlatformSource):
    kind = "meta_ads"

    def quota(self) -> Quota | None:
        """The hour's budget of calls and computing time, as the usage headers of the newest answer said."""
        usage: Usage | None = getattr(self._account, "usage", None)
        return (
            None
            if usage is None
            else Quota(unit="percent of the hour's calls and time", used=usage.percent, limit=100.0)
        )
