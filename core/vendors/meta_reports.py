"""What a Meta ad account counts as conversions: its actions by campaign and day.

Shapes by "Insights API", "Insights API Breakdowns", "Ads Action Stats" and "Ad Account, Insights" (developers.facebook.com, read Nov 2026):

- With the hourly breakdown of spend, actions off Meta (a purchase on the website) are not answered, so actions are a question of their own.
- Where ad sets of different attribution settings would be added up, action metrics are not available. So ad sets are asked for, each of
  which has one setting, and added up here.
- Since June 2025 a `value` follows the ad set's own attribution setting and the `mixed` report time whatever is asked for: off-Meta
  actions count on the day they happened, on-Meta ones (an instant form) on the day of the impression. Both are asked for all the same.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import date
from typing import Any, Final

import msgspec

from core.vendors.base import ConversionCount, Report, understood
from core.vendors.meta import MetaAccount
from core.zones import day_bucket

CONVERSION_PARAMS: Final = {
    "level": "adset",
    "fields": "campaign_id,adset_id,account_currency,actions,action_values",
    "time_increment": "1",
    "use_unified_attribution_setting": "true",
    "action_report_time": "mixed",
}


class _Stat(msgspec.Struct):
    """One of the "Ads Action Stats"; `value`, by the ad set's attribution setting, comes as a numeric string."""

    action_type: str
    value: str


class _Row(msgspec.Struct):
    """An ad set's day. Without any action neither list is there."""

    campaign_id: str
    date_start: str
    account_currency: str
    actions: list[_Stat] = []
    action_values: list[_Stat] = []


def conversions(
    account: MetaAccount, *, actions: Collection[str], since_ms: int, until_ms: int, deadline_s: float
) -> Report[ConversionCount]:
    """The named actions by campaign and day, for the days that touch [since, until).

    A campaign's day comes with all of its ad sets or not at all: the sum of those that were understood would be a wrong figure.
    """
    rows = account.insights(CONVERSION_PARAMS, since_ms=since_ms, until_ms=until_ms, deadline_s=deadline_s)
    days: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        days.setdefault((str(row.get("campaign_id")), str(row.get("date_start"))), []).append(row)
    report = understood(days.values(), lambda ad_sets: _counts(account, ad_sets, actions))
    return Report(
        rows=[count for counts in report.rows for count in counts], invalid=report.invalid, detail=report.detail
    )


def _counts(account: MetaAccount, ad_sets: list[dict[str, Any]], actions: Collection[str]) -> list[ConversionCount]:
    rows = msgspec.convert(ad_sets, list[_Row])
    counts = _sums((stat for row in rows for stat in row.actions), actions)
    values = _sums((stat for row in rows for stat in row.action_values), actions)
    first = rows[0]
    bucket = day_bucket(date.fromisoformat(first.date_start), zone=account.zone)
    return [
        ConversionCount(
            campaign=account.qualified(first.campaign_id),
            bucket_ms=bucket.start,
            bucket_s=bucket.length_s,
            action=action,
            count=count,
            value=values.get(action, 0.0),
            currency=first.account_currency,
        )
        for action, count in counts.items()
    ]


def _sums(stats: Iterable[_Stat], actions: Collection[str]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for stat in stats:
        if stat.action_type in actions:
            sums[stat.action_type] = sums.get(stat.action_type, 0.0) + _number(stat.value)
    return sums


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a number of conversions")
    return number
