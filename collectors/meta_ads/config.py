"""Settings of the Meta source; lag and quota by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from collectors.source_config import SourceConfig


class MetaAdsConfig(SourceConfig):
    """Spend by hour and campaign; campaign states."""

    interval_s: float = Field(default=900.0, gt=0, description="Time between two reads.")
    documented_lag_s: int = Field(
        default=3600, ge=0, description="Not documented exactly; insights refresh within the hour."
    )
    restatement_s: int = Field(default=28 * 86_400, ge=0, description="Insights move for 28 days and are frozen then.")
