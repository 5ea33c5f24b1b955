"""Amounts of different currencies, told in one: at the day's rate where there is one, apart where there is none.

The queries convert facts, each at the rate of its own day (`sql/factor_of_period.sql`). What has no day of its own (cost per click,
margins, targets) is converted here, at the rates of the day of the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig
from correlator.matching import EVERYTHING
from correlator.period import Question

#: Platforms report in buckets of up to a month, so a period's money may have happened this long before it.
REACH_MS: Final = 31 * DAY_MS
#: What amounts are compared through when no reporting currency is set.
_PIVOT: Final = "EUR"


class Exchange(msgspec.Struct, frozen=True):
    """What one unit of each currency is worth in some common one."""

    factors: dict[str, float] = {}

    def convert(self, micros: int, *, sold: str, bought: str) -> int | None:
        """Micros of `sold` as micros of `bought`; None without a rate for both."""
        if sold == bought or not micros:
            return micros
        of, into = self.factors.get(sold, 0.0), self.factors.get(bought, 0.0)
        return round(micros * of / into) if of > 0 and into > 0 else None


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's amounts in one currency; None = there is one, but no rate leads from its currency."""

    currency: str
    cost_per_click_micros: int | None
    margin_micros: int | None
    target_cpl_micros: int | None


def in_one_currency(row: Mapping[str, Any], exchange: Exchange, *, reporting: str) -> Stated:
    """The amounts of a row of `sql/campaign_facts.sql` in the reporting currency; without one, in the account's.

    The platform charges in the account's currency, and a person says margins and targets in their own: dividing one by the other needs a rate.
    Without a rate to the reporting currency the account's is kept, so that an incident's spend has at least that.
    """
    charged_in, stated_in = str(row["currency"]), str(row["stated_in"] or row["currency"])
    cpc_in = charged_in if row["cpc_basis"] == "trailing" else stated_in
    into = reporting or charged_in
    if exchange.convert(1, sold=cpc_in, bought=into) is None:
        into = cpc_in
    return Stated(
        currency=into,
        cost_per_click_micros=exchange.convert(int(row["cpc_micros"]), sold=cpc_in, bought=into),
        margin_micros=exchange.convert(int(row["margin_micros"]), sold=stated_in, bought=into),
        target_cpl_micros=exchange.convert(int(row["target_cpl_micros"]), sold=stated_in, bought=into),
    )


def rate_params(config: CorrelatorConfig, question: Question) -> dict[str, object]:
    """What `sql/factor_of_period.sql` binds besides the as-of time, for the facts of a period."""
    return {
        "reporting": config.reporting_currency,
        "rate_age_days": config.rate_age_days,
        "rates_since": question.since - REACH_MS,
        "rates_until": question.until + REACH_MS,
    }


def exchange_for(
    campaigns: Iterable[Mapping[str, Any]], store: Store, config: CorrelatorConfig, *, at: int, as_of: int
) -> Exchange:
    """The rates that these rows of `sql/campaign_facts.sql` need at `at` (ms): none where everything is in one currency anyway."""
    mixed = any(row["stated_in"] not in ("", row["currency"]) for row in campaigns)
    return read_exchange(store, config, at=at, as_of=as_of) if config.reporting_currency or mixed else Exchange()


def read_exchange(store: Store, config: CorrelatorConfig, *, at: int, as_of: int) -> Exchange:
    """The rates of the day of `at` (ms), as known at `as_of` (ms)."""
    params = {
        "reporting": config.reporting_currency or _PIVOT,
        "rate_age_days": config.rate_age_days,
        "as_of": as_of,
        "rates_since": at,
        "rates_until": at + 1,
    }
    rows = queries.read(store, queries.text("factor_of_period"), params)
    return Exchange({str(row["sold"]): float(row["factor"]) for row in rows})


def without_rate(store: Store, config: CorrelatorConfig, *, now: int) -> list[str]:
    """Currencies that money came in lately and that cannot be told in the reporting currency now."""
    sql = queries.compose("currency_without_rate", {"factor": queries.text("factor_of_period")})
    params = {
        "reporting": config.reporting_currency,
        "rate_age_days": config.rate_age_days,
        "as_of": EVERYTHING,
        "rates_since": now,
        "rates_until": now + 1,
    }
    return [str(row["currency"]) for row in queries.read(store, sql, params)]
