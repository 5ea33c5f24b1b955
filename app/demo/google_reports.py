"""What the Google Ads sandbox tells besides campaigns and spend: conversions by action, change history, single clicks.

The rules a query must keep are the service's own (pages "Change event", "ChangeEventError", "ClickView", "ClickViewError" and
"Segmentation" of the Google Ads API, and the error enums of the client package): broken ones are answered with its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from google.ads.googleads.v26.services.types.google_ads_service import GoogleAdsRow

from app.demo.gaql import Query
from core.clock import DAY_MS, to_datetime

CHANGE_LIMIT: Final = 10_000
CHANGE_DAYS: Final = 30
CLICK_DAYS: Final = 90
#: A change shows within three minutes, however late statistics are.
CHANGE_LAG_S: Final = 180.0


class BrokenRule(Exception):
    """A query that the service refuses: the field of the error code's oneof, and its word."""

    def __init__(self, kind: str, word: str) -> None:
        super().__init__(word)
        self.kind = kind
        self.word = word


class CountedConversion(msgspec.Struct, kw_only=True):
    """Conversions of one action that the platform credits to a campaign. `ts` in ms is when they happened, `clicked` when the click
    was that they are credited to (0 = at the same time)."""

    campaign: str
    action: str
    ts: int
    count: float = 1.0
    value: float = 0.0
    clicked: int = 0
    device: str = "mobile"
    ad_group: str = ""


class AccountChange(msgspec.Struct, kw_only=True):
    """An entry of the change history. `old` and `new` are the changed fields of the resource, as the API names them."""

    ts: int
    resource: str
    campaign: str = ""
    operation: str = "UPDATE"
    fields: list[str] = []
    client: str = "GOOGLE_ADS_WEB_CLIENT"
    author: str = ""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}


class SingleClick(msgspec.Struct, kw_only=True):
    gclid: str
    campaign: str
    ts: int
    ad_group: str = ""
    ad: str = ""
    keyword: str = ""


class GoogleReports:
    """The account's further facts; the world appends to the lists. `lag_s` keeps what is younger from showing."""

    def __init__(self, *, account: str, currency: str) -> None:
        self.account = account
        self.currency = currency
        self.conversions: list[CountedConversion] = []
        self.changes: list[AccountChange] = []
        self.clicks: list[SingleClick] = []

    def rows(self, query: Query, *, now: int, lag_s: float, zone: ZoneInfo) -> Iterator[GoogleAdsRow] | None:
        """The rows of a query about one of them; None for any other query.

        Raises:
            BrokenRule: the service would refuse it.
        """
        if query.resource == "change_event":
            return self._change_rows(query, now=now, lag_s=min(lag_s, CHANGE_LAG_S), zone=zone)
        if query.resource == "click_view":
            return self._click_rows(query, now=now, lag_s=lag_s, zone=zone)
        if "segments.conversion_action" in query.fields:
            return self._conversion_rows(query, now=now, lag_s=lag_s, zone=zone)
        return None

    def credited(self, campaign: str, ad_group: str, hour: datetime, device: str, *, zone: ZoneInfo) -> float:
        """Conversions by the click's own hour (the account's wall clock), as the API shows them beside cost (`metrics.conversions`).
        `ad_group` "" = of the whole campaign."""
        return sum(
            each.count
            for each in self.conversions
            if (each.campaign, each.device) == (campaign, device)
            and ad_group in ("", each.ad_group)
            and _hour(each.clicked or each.ts, zone) == hour
        )

    def _conversion_rows(self, query: Query, *, now: int, lag_s: float, zone: ZoneInfo) -> Iterator[GoogleAdsRow]:
        if {"metrics.cost_micros", "metrics.clicks", "metrics.impressions"} & set(query.fields):
            raise BrokenRule("query_error", "PROHIBITED_SEGMENT_WITH_METRIC_IN_SELECT_OR_WHERE_CLAUSE")
        since, until = query.values("segments.date", "BETWEEN")
        sums: dict[tuple[str, str, str], list[float]] = {}
        for each in self.conversions:
            day = _day(each.ts, zone)
            if since <= day <= until and each.ts <= now - lag_s * 1000 and each.count:
                cell = sums.setdefault((each.campaign, day, each.action), [0.0, 0.0])
                cell[0] += each.count
                cell[1] += each.value
        actions = sorted({each.action for each in self.conversions})
        for (campaign, day, action), (count, value) in sums.items():
            yield GoogleAdsRow(
                campaign={"id": int(campaign)},
                customer={"currency_code": self.currency},
                segments={
                    "date": day,
                    "conversion_action": f"customers/{self.account}/conversionActions/{actions.index(action) + 1}",
                    "conversion_action_name": action,
                },
                metrics={"conversions_by_conversion_date": count, "conversions_value_by_conversion_date": value},
            )

    def _change_rows(self, query: Query, *, now: int, lag_s: float, zone: ZoneInfo) -> Iterator[GoogleAdsRow]:
        since = query.values("change_event.change_date_time", ">=")
        until = query.values("change_event.change_date_time", "<=")
        if not since or not until:
            raise BrokenRule("change_event_error", "CHANGE_DATE_RANGE_INFINITE")
        if not query.limit:
            raise BrokenRule("change_event_error", "LIMIT_NOT_SPECIFIED")
        if query.limit > CHANGE_LIMIT:
            raise BrokenRule("change_event_error", "INVALID_LIMIT_CLAUSE")
        oldest = to_datetime(now - CHANGE_DAYS * DAY_MS).astimezone(zone).replace(tzinfo=None)
        if datetime.fromisoformat(since[0]) < oldest:
            raise BrokenRule("change_event_error", "START_DATE_TOO_OLD")
        if since[0] > until[0]:
            raise BrokenRule("change_event_error", "CHANGE_DATE_RANGE_NEGATIVE")
        shown = [(index, each) for index, each in enumerate(self.changes) if each.ts <= now - lag_s * 1000]
        rows = [(_wall(each.ts, zone), index, each) for index, each in sorted(shown, key=lambda pair: pair[1].ts)]
        chosen = [row for row in rows if since[0] <= row[0] <= until[0]][: query.limit]
        return (self._change_row(wall, index, each) for wall, index, each in chosen)

    def _change_row(self, wall: str, index: int, each: AccountChange) -> GoogleAdsRow:
        kind = each.resource.lower()
        return GoogleAdsRow(
            change_event={
                "resource_name": f"customers/{self.account}/changeEvents/{each.ts * 1000}~{index}~0",
                "change_date_time": wall,
                "change_resource_type": each.resource,
                "resource_change_operation": each.operation,
                "changed_fields": {"paths": each.fields},
                "client_type": each.client,
                "user_email": each.author,
                "campaign": f"customers/{self.account}/campaigns/{each.campaign}" if each.campaign else "",
                "old_resource": {kind: each.old} if each.old else {},
                "new_resource": {kind: each.new} if each.new else {},
            }
        )

    def _click_rows(self, query: Query, *, now: int, lag_s: float, zone: ZoneInfo) -> Iterator[GoogleAdsRow]:
        days = query.values("segments.date", "=")
        if len(days) != 1:
            raise BrokenRule("click_view_error", "EXPECTED_FILTER_ON_A_SINGLE_DAY")
        if date.fromisoformat(days[0]) < date.fromisoformat(_day(now, zone)) - timedelta(days=CLICK_DAYS):
            raise BrokenRule("click_view_error", "DATE_TOO_OLD")
        chosen = [each for each in self.clicks if _day(each.ts, zone) == days[0] and each.ts <= now - lag_s * 1000]
        return (self._click_row(each, days[0]) for each in chosen)

    def _click_row(self, each: SingleClick, day: str) -> GoogleAdsRow:
        ad = f"customers/{self.account}/adGroupAds/{each.ad_group}~{each.ad}" if each.ad else ""
        return GoogleAdsRow(
            click_view={"gclid": each.gclid, "ad_group_ad": ad, "keyword_info": {"text": each.keyword}},
            campaign={"id": int(each.campaign)},
            ad_group={"id": int(each.ad_group or 0)},
            segments={"date": day},
        )


def _day(ts: int, zone: ZoneInfo) -> str:
    return to_datetime(ts).astimezone(zone).date().isoformat()


def _hour(ts: int, zone: ZoneInfo) -> datetime:
    return to_datetime(ts).astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None, fold=0)


def _wall(ts: int, zone: ZoneInfo) -> str:
    return to_datetime(ts).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")
