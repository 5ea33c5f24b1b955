"""What a platform client can do, the same for every vendor. Errors are `core.errors.SourceError` only."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

DeliveryStatus = Literal["enabled", "paused", "removed", "unknown"]


class CampaignState(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as the platform describes it now. `campaign` is qualified (`google:1:2`)."""

    campaign: str
    name: str
    status: DeliveryStatus
    currency: str = ""
    daily_budget_micros: int = 0
    labels: tuple[str, ...] = ()


class SpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of one campaign (and device) in [bucket_ms, bucket_ms + bucket_s)."""

    campaign: str
    bucket_ms: int
    bucket_s: int
    cost_micros: int
    currency: str
    clicks: int
    impressions: int
    device: str = ""
    ad_group: str = ""
    creative: str = ""
    platform_conversions: float = 0.0


class AdPlatform(Protocol):
    """One account on one platform. Writes are absolute target states, so repeating one is harmless."""

    platform: str
    account: str

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        ...

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform."""
        ...

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it."""
        ...

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> list[SpendRow]:
        """Cost by campaign, device and hour for the days that touch [since, until)."""
        ...

    def close(self) -> None: ...
