"""What the Meta sandbox counts as actions, the way insights tell it: one event under several names at once.

By "Insights API" (discrepancy with Ads Manager, attribution windows), "Insights API Breakdowns" (restrictions for off-Meta action metrics)
and "Ads Action Stats" (action types):

- the hourly breakdown has no actions that happened off Meta;
- a sum over ad sets of different attribution settings has none either;
- an action that happened off Meta counts on the day it happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from core.zones import local_day

#: An event on a website -> the names under which its one count comes. Any other is told by its own name alone.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "purchase": (
        "onsite_web_purchase",
        "purchase",
        "offsite_conversion.fb_pixel_purchase",
        "omni_purchase",
        "onsite_web_app_purchase",
    ),
    "lead": ("offsite_conversion.fb_pixel_lead", "lead"),
}


class CountedAction(msgspec.Struct, kw_only=True):
    """Actions that the platform credits to an ad set of a campaign. `ts` in ms is when they happened."""

    campaign: str
    ts: int
    event: str = "purchase"
    count: float = 1.0
    value: float = 0.0
    ad_set: str = "1"


class MetaReports:
    """The account's actions; the world appends to them. `attribution` says which ad sets have another setting than the usual."""

    def __init__(self, *, currency: str) -> None:
        self.currency = currency
        self.actions: list[CountedAction] = []
        self.attribution: dict[str, str] = {}

    def rows(self, params: dict[str, str], *, now: int, lag_s: float, zone: ZoneInfo) -> list[dict[str, Any]] | None:
        """The rows of a question about actions; None for any other."""
        if "actions" not in params.get("fields", "").split(","):
            return None
        span = json.loads(params["time_range"])
        groups: dict[tuple[str, str, str], list[CountedAction]] = {}
        for each in self.actions:
            day = local_day(each.ts, zone=zone).isoformat()
            if span["since"] <= day <= span["until"] and each.ts <= now - lag_s * 1000 and each.count:
                ad_set = each.ad_set if params.get("level") == "adset" else ""
                groups.setdefault((day, each.campaign, ad_set), []).append(each)
        return [self._row(*key, found, told="breakdowns" not in params) for key, found in sorted(groups.items())]

    def _row(self, day: str, campaign: str, ad_set: str, found: list[CountedAction], *, told: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"campaign_id": campaign, "account_currency": self.currency}
        row |= {"adset_id": ad_set} if ad_set else {}
        row |= {"date_start": day, "date_stop": day}
        if told and len({self.attribution.get(each.ad_set, "") for each in found}) == 1:
            row["actions"] = [{"action_type": "link_click", "value": "40"}, *_stats(found, "count")]
            row |= {"action_values": values} if (values := _stats(found, "value")) else {}
        return row


def _stats(found: Iterable[CountedAction], figure: str) -> list[dict[str, str]]:
    """A list of action stats: figures are numeric strings, and what is nothing is not in it."""
    sums: dict[str, float] = {}
    for each in found:
        for name in NAMES.get(each.event, (each.event,)):
            sums[name] = sums.get(name, 0.0) + getattr(each, figure)
    return [{"action_type": name, "value": f"{total:g}"} for name, total in sums.items() if total]
