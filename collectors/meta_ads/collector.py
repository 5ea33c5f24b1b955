"""Meta: spend by hour and campaign, and campaign states (README.md beside this file)."""

from __future__ import annotations

from collectors.ad_platform import AdPlatformSource


class MetaAdsSource(AdPlatformSource):
    kind = "meta_ads"
