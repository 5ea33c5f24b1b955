"""The settings of attribution. How long a click may lie before its conversion is each type's own (`lookback_days` in the catalogue)."""

from __future__ import annotations

from pydantic import Field

from core.clock import DAY_MS
from core.settings import Section


class AttributionConfig(Section):
    """How credit is shared, and whose clicks are one person's."""

    half_life_days: float = Field(
        7.0, gt=0, description="Time decay: a click this much older than another gets half of its credit."
    )
    person_keys: int = Field(
        50,
        ge=1,
        description="An order, CRM, e-mail or phone key that leads to more visitors and clicks than this is many people's (a till, an agency) and joins none.",
    )
    person_clicks: int = Field(
        1000,
        ge=1,
        description="A visitor ID with more clicks than this inside the look-back is no person: credit goes to the matched click alone.",
    )

    @property
    def half_life_ms(self) -> int:
        return max(1, round(self.half_life_days * DAY_MS))
