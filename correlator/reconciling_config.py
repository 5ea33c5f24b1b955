"""The settings of reconciliation: accepted bands, the daily run, and what is learned of earlier days."""

from __future__ import annotations

from pydantic import Field, field_validator

from core.records import Origin
from core.settings import Section


class ReconciliationConfig(Section):
    """Bands of single systems, when the daily run is, and when a leak is news."""

    bands: dict[Origin, float] = Field(
        default_factory=dict,
        description="Accepted difference of single systems, as a share (`{analytics: 0.15}`); others have `reconciliation_band`.",
    )
    least_difference: int = Field(
        5, ge=1, description="Conversions that two systems must differ by before a cause is looked for."
    )
    daily_at_h: float = Field(
        6.0, ge=0, lt=24, description="Hour (UTC) from which the day before is reconciled; what is known then counts."
    )
    recheck_days: int = Field(3, ge=1, le=14, description="Days that the daily run looks at, the newest included.")
    history_days: int = Field(28, ge=1, le=90, description="Days that the usual ratio of two steps is learned from.")
    least_days: int = Field(7, ge=3, le=90, description="Days needed before a ratio is judged.")
    least_count: int = Field(
        100, ge=1, description="Count of the step before, from which a day teaches and is judged; fewer are never news."
    )
    least_change: float = Field(
        0.1, ge=0, le=1, description="Change of a ratio, as a share of the usual one, that is worth a word at all."
    )

    @field_validator("bands")
    @classmethod
    def _bands_are_shares(cls, bands: dict[Origin, float]) -> dict[Origin, float]:
        if any(not 0 <= band <= 1 for band in bands.values()):
            raise ValueError("a band is a share between 0 and 1")
        return bands
