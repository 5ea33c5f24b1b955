"""What a Google Ads account tells besides spend: conversions by action, its change history, its single clicks.

Shapes by the client package's own types (v26) and the vendor's pages "Change event", "ClickView", "ChangeEventError", "Segmentation"
and, for dates of conversions, help answer 9549009 (read Nov 2026):

- A query with `segments.conversion_action` may not ask for cost, so conversions by action are a query of their own, by day.
- `change_event` must be filtered by time within the last 30 days and limited to 10,000 rows; who wants more starts again at the time
  of the last row. A change shows within three minutes.
- `click_view` is answered for one day a query, at most 90 days back, with valid and invalid clicks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

import msgspec

from core.clock import DAY_MS, HOUR_MS, to_datetime
from core.vendors.base import ConversionCount, Report, understood
from core.vendors.google_ads import GoogleAdsAccount, enum_name
from core.zones import Bucket, day_bucket, instant

CHANGE_LIMIT: Final = 10_000
#: `START_DATE_TOO_OLD` beyond; an hour less, because clocks differ and the account's may be set back.
CHANGES_REACH_MS: Final = 30 * DAY_MS - HOUR_MS
#: Days back, the present one included.
CLICKS_REACH_DAYS: Final = 90

CONVERSION_QUERY: Final = """
SELECT campaign.id, segments.date, segments.conversion_action, segments.conversion_action_name, customer.currency_code,
       metrics.conversions_by_conversion_date, metrics.conversions_value_by_conversion_date
FROM campaign
WHERE segments.date BETWEEN '{since}' AND '{until}'"""

CHANGE_QUERY: Final = """
SELECT change_event.resource_name, change_event.change_date_time, change_event.change_resource_type,
       change_event.resource_change_operation, change_event.changed_fields, change_event.client_type, change_event.user_email,
       change_event.campaign, change_event.old_resource, change_event.new_resource
FROM change_event
WHERE change_event.change_date_time >= '{since}' AND change_event.change_date_time <= '{until}'
ORDER BY change_event.change_date_time ASC
LIMIT {limit}"""

CLICK_QUERY: Final = """
SELECT click_view.gclid, click_view.ad_group_ad, click_view.keyword_info.text, campaign.id, ad_group.id, segments.date
FROM click_view
WHERE segments.date = '{day}'"""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the change history. `campaign` is qualified, or "" when the change concerns the account as a whole.

    `before` and `after` are of status or daily budget (micros), "" where the change is about neither.
    """

    ts: int
    campaign: str
    resource: str
    operation: str
    fields: tuple[str, ...] = ()
    client: str = ""
    author: str = ""
    before: str = ""
    after: str = ""


class ClickRow(msgspec.Struct, frozen=True, kw_only=True):
    """One click as the platform counts it, in a day of the account; the hour is not told."""

    gclid: str
    bucket_ms: int
    bucket_s: int
    campaign: str
    ad_group: str
    creative: str
    keyword: str


def conversions(
    account: GoogleAdsAccount, *, since_ms: int, until_ms: int, deadline_s: float
) -> Report[ConversionCount]:
    """Conversions by campaign, day and action for the days that touch [since, until); only actions that count as conversions."""
    days = {"since": account.day(since_ms), "until": account.day(max(since_ms, until_ms - 1))}
    rows = account.wire.search(CONVERSION_QUERY.format(**days), deadline_s=deadline_s)
    return understood(rows, lambda row: _conversion(account, row))


def clicks(account: GoogleAdsAccount, *, day: date, deadline_s: float) -> Report[ClickRow]:
    """The clicks of one day of the account."""
    rows = account.wire.search(CLICK_QUERY.format(day=day.isoformat()), deadline_s=deadline_s)
    bucket = day_bucket(day, zone=account.zone)
    return understood(rows, lambda row: _click(account, row, bucket))


def changes(
    account: GoogleAdsAccount,
    *,
    since_ms: int,
    until_ms: int,
    left_s: Callable[[], float],
    limit: int = CHANGE_LIMIT,
) -> Report[Change]:
    """The change history of [since, until], oldest first.

    Every answer is at most `limit` rows long, and the next begins at the time of the last: what shares that time comes again and is
    told by its name. When one instant alone fills an answer, what it holds beyond counts as invalid.
    """
    found: dict[str, Any] = {}
    cut = 0
    since, until = _wall(account, since_ms), _wall(account, until_ms)
    while True:
        query = CHANGE_QUERY.format(since=since, until=until, limit=limit)
        rows = account.wire.search(query, deadline_s=left_s())
        found |= {row.change_event.resource_name: row for row in rows}
        if len(rows) < limit:
            break
        last = str(rows[-1].change_event.change_date_time)
        if last == since:
            cut += 1
            break
        since = last
    report = understood(list(found.values()), lambda row: _change(account, row))
    if cut:
        detail = report.detail or f"more than {limit} changes at {since}"
        return Report(rows=report.rows, invalid=report.invalid + cut, detail=detail)
    return report


def _conversion(account: GoogleAdsAccount, row: Any) -> ConversionCount | None:
    metrics = row.metrics
    bucket = day_bucket(date.fromisoformat(row.segments.date), zone=account.zone)
    return ConversionCount(
        campaign=account.qualified(_id(row.campaign.id, "campaign.id")),
        bucket_ms=bucket.start,
        bucket_s=bucket.length_s,
        # The name may be changed by people; the action without a name is told by its ID.
        action=row.segments.conversion_action_name or row.segments.conversion_action.rpartition("/")[2],
        count=metrics.conversions_by_conversion_date,
        value=metrics.conversions_value_by_conversion_date,
        currency=row.customer.currency_code,
    )


def _click(account: GoogleAdsAccount, row: Any, bucket: Bucket) -> ClickRow | None:
    if not row.click_view.gclid:
        return None  # app install campaigns have none
    ad = row.click_view.ad_group_ad.rpartition("~")[2]
    return ClickRow(
        gclid=row.click_view.gclid,
        bucket_ms=bucket.start,
        bucket_s=bucket.length_s,
        campaign=account.qualified(_id(row.campaign.id, "campaign.id")),
        ad_group=account.qualified(row.ad_group.id) if row.ad_group.id else "",
        creative=account.qualified(ad) if ad else "",
        keyword=row.click_view.keyword_info.text,
    )


def _change(account: GoogleAdsAccount, row: Any) -> Change:
    event = row.change_event
    before, after = _values(event.old_resource), _values(event.new_resource)
    campaign = event.campaign.rpartition("/")[2]
    return Change(
        ts=instant(datetime.fromisoformat(event.change_date_time), zone=account.zone),
        campaign=account.qualified(campaign) if campaign else "",
        resource=enum_name(event, "change_resource_type"),
        operation=enum_name(event, "resource_change_operation"),
        fields=tuple(event.changed_fields.paths),
        client=enum_name(event, "client_type"),
        # Addresses of people are not recorded; their own name for themselves is enough to ask them.
        author=event.user_email.partition("@")[0],
        before=before if before != after else "",
        after=after if before != after else "",
    )


def _values(resource: Any) -> str:
    """The status or daily budget that a changed resource holds; "" when it holds neither. Only changed fields are filled."""
    kind = next((field.name for field, _ in resource.ListFields()), "")
    if kind == "campaign_budget":
        return str(resource.campaign_budget.amount_micros or "")
    if kind in ("campaign", "ad_group") and getattr(resource, kind).status:
        return enum_name(resource, kind, "status")
    return ""


def _id(number: int, field: str) -> int:
    if not number:
        raise ValueError(f"{field} is missing")
    return number


def _wall(account: GoogleAdsAccount, ms: int) -> str:
    """A moment as the account's clock shows it, the form in which changes are filtered."""
    return to_datetime(ms).astimezone(account.zone).strftime("%Y-%m-%d %H:%M:%S.%f")
