"""Settings of the Google Ads sources; lag and quota by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collectors.source_config import SourceConfig


class GoogleConversionsConfig(SourceConfig):
    """What Google counts as conversions, by action and day: for reconciliation, never added to our own."""

    interval_s: float = Field(default=3600.0, gt=0, description="Time between two reads; 1 operation each.")
    documented_lag_s: int = Field(
        default=15 * 3600, ge=0, description="Google documents conversions that are not last-click within 15 hours."
    )
    recent_s: int = Field(
        default=3 * 86_400, ge=0, description="Every read goes back this far, for rows that came late."
    )
    restatement_s: int = Field(
        default=30 * 86_400, ge=0, description="Conversions are imported, adjusted and credited anew for weeks."
    )
    restatement_interval_s: float = Field(
        default=24 * 3600.0, gt=0, description="Time between two re-reads that far back."
    )
    window_s: int = Field(default=30 * 86_400, ge=3600, description="Longest span of event time in one request.")
    types: dict[str, str] = Field(
        default_factory=dict,
        description="Conversion type of ours for a conversion action's name; an action that is not listed keeps its name.",
    )


class GoogleChangesConfig(SourceConfig):
    """The account's change history as change markers."""

    interval_s: float = Field(default=300.0, gt=0, description="Time between two reads; 1 operation each.")
    documented_lag_s: int = Field(default=180, ge=0, description="Google documents changes within 3 minutes.")
    recent_s: int = Field(default=3600, ge=0, description="Every read goes back this far, for rows that came late.")
    backfill_s: int = Field(
        default=29 * 86_400, ge=0, description="How far back the very first read goes; Google keeps 30 days."
    )
    authors: bool = Field(
        default=True, description="Keep who made a change: the part of the address before the @, never the address."
    )


class GoogleClicksConfig(SourceConfig):
    """Which campaign each gclid belongs to, for clicks that came without their campaign's ID."""

    enabled: bool = Field(
        default=False,
        description="Needed only when tracking templates lack the campaign's ID (README.md of google_ads).",
    )
    interval_s: float = Field(default=3600.0, gt=0, description="Time between two reads; 2 or 3 operations each.")
    documented_lag_s: int = Field(
        default=3 * 3600, ge=0, description="As statistics; for single clicks Google documents no figure."
    )
    backfill_s: int = Field(
        default=89 * 86_400, ge=0, description="How far back the very first read goes; Google keeps 90 days."
    )
    window_s: int = Field(default=86_400, ge=3600, description="Longest span of event time in one request.")


class GoogleAdsConfig(SourceConfig):
    """Spend by hour, campaign (or ad group) and device; campaign states; conversions, changes and clicks beside them."""

    interval_s: float = Field(
        default=900.0, gt=0, description="Time between two reads; 3 operations each, 4 by ad group."
    )
    documented_lag_s: int = Field(default=3 * 3600, ge=0, description="Google documents statistics within 3 hours.")
    restatement_s: int = Field(default=3 * 86_400, ge=0, description="Invalid clicks are credited back for some days.")
    grain: Literal["campaign", "ad_group"] = Field(
        default="campaign",
        description="Finest grain of spend. From campaign to ad_group costs nothing; the way back leaves the ad groups' rows.",
    )
    daily_operations: int = Field(
        default=2_880,
        ge=1,
        description="Operations that the Cloud project may make in 24 hours: 2,880 with Explorer access, 15,000 with Basic.",
    )
    conversions: GoogleConversionsConfig = Field(
        default=GoogleConversionsConfig(), description="Conversions by action, for reconciliation."
    )
    changes: GoogleChangesConfig = Field(default=GoogleChangesConfig(), description="Change history as markers.")
    clicks: GoogleClicksConfig = Field(default=GoogleClicksConfig(), description="Campaign of every gclid.")
