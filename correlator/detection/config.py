"""Settings of detection: how often it may be wrong, what counts as a conversion, how fast an incident may close."""

from __future__ import annotations

from pydantic import Field

from core.settings import Section


class DetectionConfig(Section):
    """The detector's settings. None of them depends on a campaign: what differs per segment is learned."""

    false_alarms_per_month: float = Field(
        1.0, gt=0, description="False incidents per month allowed over all streams together."
    )
    dead_zone: float = Field(
        0.05, ge=0, lt=0.5, description="Share by which a baseline may be wrong without counting as a drop."
    )
    history_days: int = Field(28, ge=1, le=120, description="Days of history the baseline is learned from.")
    minimum_conversions: int = Field(
        50, ge=1, description="Below this many conversions in the history a target takes the baseline's place."
    )
    refresh_interval_s: int = Field(3600, ge=60, description="The baseline is learned anew this often.")
    settle_s: int = Field(600, ge=0, description="The newest seconds that stay out of the baseline.")
    steering_types: list[str] = Field(
        ["order", "lead"], description="Conversion types that steer live detection; the catalogue's `steers_live`."
    )
    steering_origin: str = Field("backend", description="Origin that is authoritative for those types.")
    grace_s: float = Field(
        3.0, ge=0, description="A minute closes this long after its end, or later when the feed lags."
    )
    exposure_horizon_h: float = Field(24.0, gt=0, description="How far back clicks are kept as exposure.")
    quiet_period_s: int = Field(150, ge=0, description="A recovered incident closes after this long without relapse.")
    refresh_incident_s: int = Field(
        30, ge=1, description="An open incident's figures are journaled this often without other change."
    )
    checkpoint_interval_s: int = Field(30, ge=0, description="State is kept at least this often.")
