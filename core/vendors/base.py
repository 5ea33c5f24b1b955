"""What a platform client can do, the same for every vendor. Errors are `core.errors.SourceError` only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

DeliveryStatus = Literal["enabled", "paused", "removed", "unknown"]

Row = TypeVar("Row")


class Report(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """The rows that were understood; `invalid` counts those that were not, `detail` says what was wrong with the first."""

    rows: list[Row]
    invalid: int = 0
    detail: str = ""


def understood(rows: Iterable[Any], parse: Callable[[Any], Row | None]) -> Report[Row]:
    """Every row parsed; a row that stands for nothing (None) is left out, one that cannot be understood is counted.

    `parse` says by ValueError or OverflowError that a row has another shape than documented.
    """
    good: list[Row] = []
    invalid, detail = 0, ""
    for row in rows:
        try:
            parsed = parse(row)
        except (ValueError, OverflowError) as error:
            invalid, detail = invalid + 1, detail or str(error)
            continue
        if parsed is not None:
            good.append(parsed)
    return Report(rows=good, invalid=invalid, detail=detail)


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


class ConversionCount(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions of one action in one day of the account, by the day they happened (not by that of their click), where the platform
    knows it."""

    campaign: str
    bucket_ms: int
    bucket_s: int
    action: str
    count: float
    value: float
    currency: str


class AdPlatform(Protocol):
    """One account on one platform. Writes are absolute target states, so repeating one is harmless."""

    platform: str
    account: str
    #: Whose days and hours the account's reports are in.
    zone: ZoneInfo

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        ...

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform."""
        ...

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it."""
        ...

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> Report[SpendRow]:
        """Cost by campaign, device and hour for the days that touch [since, until); a row that cannot be understood stops no other."""
        ...

    def close(self) -> None: ...
