"""Settings of the Meta source; lag and quota by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from collectors.source_config import SourceConfig


class MetaConversionsConfig(SourceConfig):
    """What Meta counts as conversions, by action and day: for reconciliation, never added to our own."""

    interval_s: float = Field(default=3600.0, gt=0, description="Time between two reads; 1 call each, or a job.")
    documented_lag_s: int = Field(
        default=3600,
        ge=0,
        description="Meta documents insights every 15 minutes, and no figure for events that servers send late.",
    )
    restatement_s: int = Field(default=28 * 86_400, ge=0, description="Insights move for 28 days and are frozen then.")
    restatement_interval_s: float = Field(
        default=24 * 3600.0, gt=0, description="Time between two re-reads that far back."
    )
    window_s: int = Field(default=30 * 86_400, ge=3600, description="Longest span of event time in one request.")
    types: dict[str, str] = Field(
        default={
            "omni_purchase": "order",
            "purchase": "order",
            "offsite_conversion.fb_pixel_purchase": "order",
            "lead": "lead",
        },
        min_length=1,
        description="Conversion type of ours for an action type; others are not read. Action types overlap, so of several for one"
        " type the first that Meta tells of a campaign's day counts, never their sum.",
    )


class MetaAdsConfig(SourceConfig):
    """Spend by hour and campaign; campaign states; conversions beside them."""

    interval_s: float = Field(default=900.0, gt=0, description="Time between two reads.")
    documented_lag_s: int = Field(
        default=3600, ge=0, description="Not documented exactly; insights refresh within the hour."
    )
    restatement_s: int = Field(default=28 * 86_400, ge=0, description="Insights move for 28 days and are frozen then.")
    conversions: MetaConversionsConfig = Field(
        default=MetaConversionsConfig(), description="Conversions by action, for reconciliation."
    )
