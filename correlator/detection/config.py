"""Settings of detection: how often it may be wrong, what counts as a conversion, how fast an incident may close."""

from __future__ import annotations

import datetime

from pydantic import Field, field_validator

from core.settings import Section

_EPOCH = datetime.date(1970, 1, 1)


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
    special_days: list[str] = Field(
        [],
        description="Holidays and promotions, days or ranges of days (UTC) such as `2026-11-27` or `2026-11-27/2026-11-30`. They stay out of "
        "the baseline, and their level counts as unknown: only drops within such a day, or an outage, are told.",
    )
    # Hourly, not daily: seconds of CPU beside the tick (5.5 at 1.8 million clicks, docs/benchmarks.md) are 0.2 % of
    # a core, and a campaign launched today is judged by its own rate within the hour, not by the average until tomorrow.
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

    @field_validator("special_days")
    @classmethod
    def _readable(cls, special_days: list[str]) -> list[str]:
        for text in special_days:
            _days_of(text)
        return special_days

    def special_day_numbers(self) -> set[int]:
        """Days since the epoch of the calendar."""
        return {day for text in self.special_days for day in _days_of(text)}


def _days_of(text: str) -> range:
    """Days since the epoch of a day or a range of days.

    Raises:
        ValueError: it is neither, or ends before it begins.
    """
    first, slash, last = text.partition("/")
    begin = datetime.date.fromisoformat(first.strip())
    end = datetime.date.fromisoformat(last.strip()) if slash else begin
    if end < begin:
        raise ValueError(f"{text!r} ends before it begins")
    return range((begin - _EPOCH).days, (end - _EPOCH).days + 1)
