"""Settings of the Google Ads source; lag and quota by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from collectors.source_config import SourceConfig


class GoogleAdsConfig(SourceConfig):
    """Spend by hour, campaign and device; campaign states."""

    interval_s: float = Field(default=900.0, gt=0, description="Time between two reads; 2 operations each.")
    documented_lag_s: int = Field(default=3 * 3600, ge=0, description="Google documents statistics within 3 hours.")
    restatement_s: int = Field(default=3 * 86_400, ge=0, description="Invalid clicks are credited back for some days.")
