"""Campaigns as platform and people describe them, merged (`campaign_as_of` in the store's schema says who wins where)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from core.store.client import Store
from correlator import queries
from correlator.period import Question


class CampaignFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Current description of a campaign. Amounts in `currency`; 0 and "" = nobody said."""

    campaign: str
    platform: str
    account: str
    name: str
    status: str
    client: str
    owner: str
    currency: str
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


def campaigns(store: Store, question: Question) -> list[CampaignFacts]:
    """The campaigns the question may see, by ID."""
    sql = queries.compose("campaign_facts", {"visible_campaign": queries.text("visible_campaign")})
    rows = queries.read(store, sql, question.params())
    return sorted((_facts(row) for row in rows), key=lambda facts: facts.campaign)


def break_even_rate(facts: CampaignFacts) -> float | None:
    """Conversions per click at which a click pays for itself: as stated, else cost per click / margin per conversion."""
    if facts.break_even_rate > 0:
        return facts.break_even_rate
    if facts.margin_micros > 0 and facts.cost_per_click_micros > 0:
        return facts.cost_per_click_micros / facts.margin_micros
    return None


def _facts(row: dict[str, Any]) -> CampaignFacts:
    same = {
        name: row[name]
        for name in (
            "campaign", "platform", "account", "name", "status", "client", "owner", "currency", "daily_budget_micros",
            "target_cpl_micros", "target_roas", "break_even_rate", "margin_micros", "parallel_tracking", "sandbox",
        )
    }  # fmt: skip
    return CampaignFacts(
        **same,
        cost_per_click_micros=int(row["cpc_micros"]),
        cost_per_click_basis=str(row["cpc_basis"]),
        launched_ms=_ms(row["launched"]),
        known_ms=_ms(row["known_at"]),
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
