"""Google Ads: spend by hour, campaign and device, and campaign states (README.md beside this file)."""

from __future__ import annotations

from collectors.ad_platform import AdPlatformSource


class GoogleAdsSource(AdPlatformSource):
    kind = "google_ads"
    parallel_tracking = True
