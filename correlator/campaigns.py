"""Campaigns as platform and people describe them, merged (`campaign_as_of` in the store's schema says who wins where)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from core.metric_catalogue import value
from core.store.client import Store
from correlator.campaign_rows import campaign_rows
from correlator.config import CorrelatorConfig
from correlator.exchange import Exchange, exchange_for, in_one_currency
from correlator.period import Question


class CampaignFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Current description of a campaign. Amounts in `currency`; 0 and "" = nobody said.

    Margin, target and a stated cost per click are in `stated_currency`, which is `currency` unless no rate leads there.
    """

    campaign: str
    platform: str
    account: str
    name: str
    status: str
    client: str
    owner: str
    currency: str
    stated_currency: str
    daily_budget_micros: int
    target_cpl_micros: int
    target_roas: float
    break_even_rate: float
    margin_micros: int
    cost_per_click_micros: int
    #: trailing = from the newest seven reported days; stated = a person said so; "" = unknown.
    cost_per_click_basis: str
    parallel_tracking: bool
    sandbox: bool
    launched_ms: int
    known_ms: int


def campaigns(store: Store, question: Question, *, config: CorrelatorConfig | None = None) -> list[CampaignFacts]:
    """The campaigns the question may see, by ID; what people said of them at the rates of the question's day."""
    rows = campaign_rows(store, question)
    exchange = exchange_for(rows, store, config or CorrelatorConfig(), at=question.at, as_of=question.known_by)
    return sorted((_facts(row, exchange) for row in rows), key=lambda facts: facts.campaign)


def break_even_rate(facts: CampaignFacts) -> float | None:
    """Conversions per click at which a click pays for itself: as stated, else by the metric catalogue."""
    if facts.break_even_rate > 0:
        return facts.break_even_rate
    if facts.stated_currency != facts.currency and facts.cost_per_click_basis != "stated":
        return None
    price = facts.cost_per_click_micros if facts.cost_per_click_micros > 0 else None
    return value("break_even_rate", click_price=price, margin_per_conversion=max(facts.margin_micros, 0))


def _facts(row: dict[str, Any], exchange: Exchange) -> CampaignFacts:
    told = in_one_currency(row, exchange, reporting=str(row["currency"]))
    stated_in = str(row["stated_in"] or row["currency"])
    converted = None not in (told.margin_micros, told.target_cpl_micros) and told.currency == row["currency"]
    same = {
        name: row[name]
        for name in (
            "campaign", "platform", "account", "name", "status", "client", "owner", "currency", "daily_budget_micros",
            "target_roas", "break_even_rate", "parallel_tracking", "sandbox",
        )
    }  # fmt: skip
    return CampaignFacts(
        **same,
        stated_currency=str(row["currency"]) if converted else stated_in,
        margin_micros=int((told.margin_micros if converted else row["margin_micros"]) or 0),
        target_cpl_micros=int((told.target_cpl_micros if converted else row["target_cpl_micros"]) or 0),
        cost_per_click_micros=int((told.cost_per_click_micros if converted else row["cpc_micros"]) or 0),
        cost_per_click_basis=str(row["cpc_basis"]),
        launched_ms=_ms(row["launched"]),
        known_ms=_ms(row["known_at"]),
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
