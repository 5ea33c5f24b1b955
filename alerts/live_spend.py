"""What campaigns spend an hour right now: their clicks at their cost per click."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple, TypeAlias

from core.store.lasting import Lasting

#: Clicks in [since, until) by campaign.
CLICKS = """
SELECT toString(campaign) AS campaign, uniqExact(click_id) AS clicks
FROM click
WHERE campaign != '' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY campaign
"""

#: Cost per click by campaign, in {reporting} at the rate of {now}; without such a rate, in the currency it is known in.
PRICES = """
SELECT
    toString(campaign) AS campaign,
    if(cpc_basis = 'stated' AND stated_in != '', stated_in, toString(currency)) AS told_in,
    if(factor > 0, {reporting:String}, told_in) AS paid_in,
    if(factor > 0, cpc_micros * factor, toFloat64(cpc_micros)) AS cpc
FROM campaign_current
LEFT JOIN campaign_stated_as_of(as_of=9000000000000) AS stated USING (campaign)
LEFT JOIN
(
    SELECT currency AS sold, factor
    FROM factor_of_day(reporting={reporting:String}, as_of=9000000000000, since={now:Int64}, until={tomorrow:Int64},
        rate_age_days={rate_age_days:Int64})
    ORDER BY day LIMIT 1 BY sold
) AS rate ON rate.sold = told_in
"""


class Price(NamedTuple):
    """Cost per click in micros of `currency`; 0 = nobody knows."""

    micros: float
    currency: str


#: Campaign -> price, for as long as no new spend, campaign or rate is told: trailing costs move once an hour, ticks come every few seconds.
Prices: TypeAlias = Lasting[dict[str, Price]]


def new_prices() -> Prices:
    """Nothing asked yet."""
    return Lasting("spend", "campaign", "rate")


def spend_of(clicks: Mapping[str, float], prices: Mapping[str, Price]) -> dict[str, Price]:
    """What each campaign's clicks cost.

    One without a cost per click of its own gets the mean of the others in its currency, so that it is not free; one without a
    currency gets the one that most have.
    """
    known = defaultdict(list)
    for price in prices.values():
        if price.micros > 0:
            known[price.currency].append(price.micros)
    usual = max(known, key=lambda currency: (len(known[currency]), currency), default="")
    found = {}
    for campaign, count in clicks.items():
        price = prices.get(campaign, Price(0.0, ""))
        currency = price.currency or usual
        each = price.micros if price.micros > 0 else fmean(known.get(currency) or [0.0])
        found[campaign] = Price(count * each, currency)
    return found
