"""One Meta ad account over the Marketing API: spend by hour, campaign states, pausing.

Needed permissions: `ads_read` for reading, `ads_management` for pausing. Shapes by the vendor's documentation: "Insights API",
"Insights API Breakdowns", "Campaign", "Currencies" (developers.facebook.com, read Nov 2026).
Insights by hour cannot be broken down by device as well, so the rows of this platform have no device. What the account counts as
conversions is read in `core.vendors.meta_reports`.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from core.errors import Permanent, Transient
from core.identity import qualified, split_qualified
from core.money import MICROS, to_micros
from core.vendors.base import CampaignState, DeliveryStatus, Report, SpendRow, understood
from core.vendors.config import AccountConfig
from core.vendors.meta_graph import Graph, Usage
from core.vendors.meta_insights import Insights
from core.zones import hour_bucket, local_day

HOURLY: Final = "hourly_stats_aggregated_by_advertiser_time_zone"
CAMPAIGN_FIELDS: Final = "id,name,status,account_id,daily_budget,adlabels{name}"

#: Currencies whose smallest unit the API counts in is the unit itself; all others count hundredths.
_WHOLE_UNITS: Final = frozenset({"CLP", "COP", "CRC", "HUF", "ISK", "IDR", "JPY", "KRW", "PYG", "TWD", "VND"})


class _Row(msgspec.Struct, rename={"hour": HOURLY}):
    """An insights row; numbers come as strings."""

    campaign_id: str
    date_start: str
    hour: str
    spend: str
    account_currency: str
    impressions: str = "0"
    inline_link_clicks: str = "0"


class _Label(msgspec.Struct):
    name: str = ""


class _Campaign(msgspec.Struct):
    id: str
    name: str
    status: str
    account_id: str = ""
    daily_budget: str = "0"
    adlabels: list[_Label] = []


class MetaAccount:
    """`core.vendors.base.AdPlatform` for Meta. May be used from several threads."""

    platform = "meta"

    def __init__(self, config: AccountConfig) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.account = config.account.removeprefix("act_")
        self._config = config
        self.zone = ZoneInfo(config.timezone)
        self._source = f"meta_ads:{self.account}"
        self._graph = Graph(self._source, endpoint=config.endpoint, credentials_file=config.credentials_file)
        self._insights = Insights(self._graph, self._source)

    @property
    def usage(self) -> Usage | None:
        """How much of the hour's budget is used, by the newest answer; None before the first."""
        return self._graph.usage

    # --- reading -------------------------------------------------------------------------------------------------------------

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        rows = self._graph.pages(f"act_{self.account}/campaigns", {"fields": CAMPAIGN_FIELDS}, deadline_s=deadline_s)
        states = [self._state(self._convert(row)) for row in rows]
        return [state for state in states if state.status != "removed"]

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform.

        Raises:
            Permanent: the campaign is not of this account.
        """
        answer = self._graph.call(
            "GET", self._own_id(campaign), params={"fields": CAMPAIGN_FIELDS}, deadline_s=deadline_s
        )
        found = self._convert(answer)
        if found.account_id and found.account_id != self.account:
            raise Permanent(self._source, f"campaign {campaign} is not of account {self.account}")
        return self._state(found)

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> Report[SpendRow]:
        """Cost by campaign and hour for the days that touch [since, until) in the account's time zone."""
        params = {
            "level": "campaign",
            "fields": "campaign_id,account_currency,spend,impressions,inline_link_clicks",
            "breakdowns": HOURLY,
            "time_increment": "1",
        }
        rows = self.insights(params, since_ms=since_ms, until_ms=until_ms, deadline_s=deadline_s)
        return understood(rows, self._spend_row)

    def insights(
        self, params: dict[str, str], *, since_ms: int, until_ms: int, deadline_s: float
    ) -> list[dict[str, Any]]:
        """The account's insights, as they came, of the days that touch [since, until)."""
        return self._insights.rows(
            f"act_{self.account}/insights",
            params,
            since=local_day(since_ms, zone=self.zone),
            until=local_day(max(since_ms, until_ms - 1), zone=self.zone),
            deadline_s=deadline_s,
        )

    def _state(self, found: _Campaign) -> CampaignState:
        unit = MICROS if self._config.currency in _WHOLE_UNITS else MICROS // 100
        return CampaignState(
            campaign=self.qualified(found.id),
            name=found.name,
            status=_status(found.status),
            currency=self._config.currency,
            daily_budget_micros=int(found.daily_budget or 0) * unit,
            labels=tuple(sorted(label.name for label in found.adlabels)),
        )

    def _spend_row(self, raw: dict[str, Any]) -> SpendRow:
        row = msgspec.convert(raw, _Row)
        # "13:00:00 - 13:59:59"
        hour = hour_bucket(date.fromisoformat(row.date_start), int(row.hour[:2]), zone=self.zone)
        return SpendRow(
            campaign=self.qualified(row.campaign_id),
            bucket_ms=hour.start,
            bucket_s=hour.length_s,
            cost_micros=to_micros(row.spend),
            currency=row.account_currency,
            clicks=int(row.inline_link_clicks),
            impressions=int(row.impressions),
        )

    # --- writing -------------------------------------------------------------------------------------------------------------

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it. Repeating it is harmless."""
        word = {"enabled": "ACTIVE", "paused": "PAUSED"}[status]
        answer = self._graph.call("POST", self._own_id(campaign), data={"status": word}, deadline_s=deadline_s)
        if answer.get("success") is not True:
            raise Transient(self._source, "the platform did not confirm the change")

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        self._graph.close()

    def _convert(self, row: object) -> _Campaign:
        """A campaign as described. Guards rely on states, so one that cannot be understood is an error and not left out."""
        try:
            return msgspec.convert(row, _Campaign)
        except msgspec.ValidationError as error:
            raise Permanent(self._source, f"a campaign has another shape than documented: {error}") from None

    # --- names ---------------------------------------------------------------------------------------------------------------

    def qualified(self, identifier: str) -> str:
        return qualified(self.platform, self.account, identifier)

    def _own_id(self, campaign: str) -> str:
        """The platform's ID of a qualified campaign of this very account.

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


def _status(word: str) -> DeliveryStatus:
    known: dict[str, DeliveryStatus] = {
        "ACTIVE": "enabled",
        "PAUSED": "paused",
        "DELETED": "removed",
        "ARCHIVED": "removed",
    }
    return known.get(word, "unknown")
