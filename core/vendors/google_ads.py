"""One Google Ads account through the official client (API v26): spend by hour, campaign states, pausing.

What else the account tells (conversions by action, change history, single clicks) is read in `core.vendors.google_ads_reports`.
Needed access: the OAuth scope of `core.vendors.google_ads_wire` and, on the account, "Standard" for pausing or "Read only" for reading.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from google.protobuf.field_mask_pb2 import FieldMask

from core.clock import Clock, now_ms
from core.errors import Permanent
from core.identity import qualified, split_qualified
from core.vendors.base import CampaignState, DeliveryStatus, Report, SpendRow, understood
from core.vendors.config import AccountConfig
from core.vendors.google_ads_wire import GoogleAdsWire
from core.zones import hour_bucket, local_day

#: The same figures at two grains: every campaign's hours, and those of its ad groups.
SPEND_QUERY: Final = """
SELECT {ids}, segments.date, segments.hour, segments.device, customer.currency_code,
       metrics.cost_micros, metrics.clicks, metrics.impressions, metrics.conversions
FROM {resource}
WHERE segments.date BETWEEN '{since}' AND '{until}'"""

CAMPAIGN_QUERY: Final = """
SELECT campaign.id, campaign.name, campaign.status, campaign_budget.amount_micros, customer.currency_code
FROM campaign
WHERE campaign.status != 'REMOVED'{only}"""

LABEL_QUERY: Final = """
SELECT campaign.id, label.name
FROM campaign_label
WHERE campaign.status != 'REMOVED'{only}"""


class GoogleAdsAccount:
    """`core.vendors.base.AdPlatform` for Google Ads. May be used from several threads."""

    platform = "google"

    def __init__(self, config: AccountConfig, *, clock: Clock = now_ms) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.account = config.account
        self.zone = ZoneInfo(config.timezone)
        self._source = f"google_ads:{config.account}"
        self.wire = GoogleAdsWire(config, source=self._source, clock=clock)

    # --- reading -------------------------------------------------------------------------------------------------------------

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        return self._campaigns(only="", deadline_s=deadline_s)

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform.

        Raises:
            Permanent: the campaign is removed or not of this account.
        """
        found = self._campaigns(only=f" AND campaign.id = {self._own_id(campaign)}", deadline_s=deadline_s)
        if not found:
            raise Permanent(self._source, f"campaign {campaign} is removed or not of this account")
        return found[0]

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> Report[SpendRow]:
        """Cost by campaign, device and hour for the days that touch [since, until) in the account's time zone."""
        return self._spend(since_ms, until_ms, resource="campaign", ids="campaign.id", deadline_s=deadline_s)

    def ad_group_spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> Report[SpendRow]:
        """As `spend`, by ad group. Campaigns without ad groups (Performance Max) are not in it."""
        ids = "campaign.id, ad_group.id"
        return self._spend(since_ms, until_ms, resource="ad_group", ids=ids, deadline_s=deadline_s)

    def _spend(self, since_ms: int, until_ms: int, *, resource: str, ids: str, deadline_s: float) -> Report[SpendRow]:
        days = {"since": self.day(since_ms), "until": self.day(max(since_ms, until_ms - 1))}
        rows = self.wire.search(SPEND_QUERY.format(resource=resource, ids=ids, **days), deadline_s=deadline_s)
        return understood(rows, self._spend_row)

    def _campaigns(self, *, only: str, deadline_s: float) -> list[CampaignState]:
        ends = time.monotonic() + deadline_s
        labels: dict[int, list[str]] = {}
        for row in self.wire.search(LABEL_QUERY.format(only=only), deadline_s=deadline_s):
            labels.setdefault(row.campaign.id, []).append(row.label.name)
        rows = self.wire.search(CAMPAIGN_QUERY.format(only=only), deadline_s=max(0.1, ends - time.monotonic()))
        return [self._state(row, labels.get(row.campaign.id, [])) for row in rows]

    def _state(self, row: Any, labels: list[str]) -> CampaignState:
        return CampaignState(
            campaign=self.qualified(row.campaign.id),
            name=row.campaign.name,
            status=_status(enum_name(row, "campaign", "status")),
            currency=row.customer.currency_code,
            daily_budget_micros=row.campaign_budget.amount_micros,
            labels=tuple(sorted(labels)),
        )

    def _spend_row(self, row: Any) -> SpendRow:
        hour = hour_bucket(date.fromisoformat(row.segments.date), row.segments.hour, zone=self.zone)
        return SpendRow(
            campaign=self.qualified(row.campaign.id),
            bucket_ms=hour.start,
            bucket_s=hour.length_s,
            cost_micros=row.metrics.cost_micros,
            currency=row.customer.currency_code,
            clicks=row.metrics.clicks,
            impressions=row.metrics.impressions,
            device=_device(enum_name(row, "segments", "device")),
            ad_group=self.qualified(row.ad_group.id) if row.ad_group.id else "",
            platform_conversions=row.metrics.conversions,
        )

    # --- writing -------------------------------------------------------------------------------------------------------------

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it. Repeating it is harmless."""
        with self.wire.errors():
            service = self.wire.service("CampaignService", deadline_s=deadline_s)
            client = self.wire.client(deadline_s=deadline_s)
            operation = client.get_type("CampaignOperation")
            operation.update.resource_name = service.campaign_path(self.account, self._own_id(campaign))
            operation.update.status = client.enums.CampaignStatusEnum.CampaignStatus.Value(status.upper())
            operation.update_mask.CopyFrom(FieldMask(paths=["status"]))
            request = client.get_type("MutateCampaignsRequest")
            request.customer_id = self.account
            request.operations.append(operation)
            self.wire.count_operation()
            service.mutate_campaigns(request=request, timeout=deadline_s, retry=None)

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        self.wire.close()

    # --- names ---------------------------------------------------------------------------------------------------------------

    def qualified(self, identifier: int | str) -> str:
        return qualified(self.platform, self.account, str(identifier))

    def _own_id(self, campaign: str) -> str:
        """The numeric ID of a qualified campaign of this very account.

        Raises:
            Permanent: anything else; an action must never reach another account's campaign.
        """
        try:
            platform, account, identifier = split_qualified(campaign)
        except ValueError as error:
            raise Permanent(self._source, str(error)) from None
        if (platform, account) != (self.platform, self.account) or not identifier.isdigit():
            raise Permanent(self._source, f"campaign {campaign} is not of account {self.account}")
        return identifier

    def day(self, ms: int) -> str:
        """The account's own day (`yyyy-mm-dd`) that a moment lies in."""
        return local_day(ms, zone=self.zone).isoformat()


def enum_name(message: Any, *path: str) -> str:
    """The word of an enum field, by the message's own descriptor; UNKNOWN for a number that this version does not know."""
    *parents, field = path
    for name in parents:
        message = getattr(message, name)
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(getattr(message, field))
    return str(known.name) if known is not None else "UNKNOWN"


def _status(name: str) -> DeliveryStatus:
    known: dict[str, DeliveryStatus] = {"ENABLED": "enabled", "PAUSED": "paused", "REMOVED": "removed"}
    return known.get(name, "unknown")


def _device(name: str) -> str:
    lowered = name.lower()
    return lowered if lowered in ("mobile", "desktop", "tablet") else "other"
