"""What the tick looks at, read from the store once per tick: incidents, how far sources are complete, live spend, the redirect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import msgspec

from alerts.live_spend import CLICKS, PRICES, Price, Prices, new_prices, spend_of
from alerts.rules.facts import Facts
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.incidents import IncidentPayload
from core.metric_queries import aggregated

#: An incident that nobody told us about for this long is not looked at again unless we hold something for it.
INCIDENT_HORIZON_MS = 30 * DAY_MS
#: Live spend is clicks in this span times trailing cost per click.
SPEND_SPAN_MS = 15 * MINUTE_MS
SOURCE_HORIZON_MS = 30 * DAY_MS
ORIGIN_HORIZON_MS = DAY_MS


class Reader(Protocol):
    """The store's reading side (`core.store.client.Store`)."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident's newest version."""

    incident_id: str
    state: str
    opened: int
    closed: int
    payload: IncidentPayload


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    complete_through: int
    documented_lag_s: int = 0

    def behind_ms(self, now: int) -> int:
        """How much further behind than its documented lag."""
        return max(now - self.complete_through - self.documented_lag_s * 1000, 0)


class RedirectWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One window of the redirect, [start, end). `complete` = it is over and shipped."""

    start: int
    end: int
    complete: bool
    facts: Facts


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one tick decides on."""

    now: int
    incidents: dict[str, IncidentView]
    sources: dict[str, SourceState]
    origins: dict[str, int]  # origin -> when its newest conversion arrived
    live_spend_micros: dict[str, float]  # campaign -> per hour, in the currency that `spend_currency` says
    spend_currency: dict[str, str] = {}  # campaign -> currency; none = all are in the same

    @property
    def last_conversion(self) -> int:
        return max(self.origins.values(), default=0)

    def spend_by_currency(self, campaigns: Iterable[str]) -> dict[str, float]:
        """Currency -> micros per hour of these campaigns: money of different currencies is not added."""
        sums: dict[str, float] = {}
        for campaign in campaigns:
            if spend := self.live_spend_micros.get(campaign, 0.0):
                currency = self.spend_currency.get(campaign, "")
                sums[currency] = sums.get(currency, 0.0) + spend
        return sums


_INCIDENTS = """
SELECT incident_id, state, opened, closed, payload
FROM incident_current
WHERE NOT claimed AND (has({needed:Array(String)}, incident_id)
    OR (state != 'closed' AND known_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')))
"""

_SOURCES = """
SELECT source, argMax((complete_through, documented_lag_s), (known_at, o)) AS newest
FROM watermark
WHERE known_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND known_at <= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
GROUP BY source
"""

_ORIGINS = """
SELECT origin, max(known_at) AS newest
FROM conversion
WHERE NOT claimed AND known_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
GROUP BY origin
"""

#: Fact -> the metric of the catalogue that it is.
REDIRECT_METRICS = {
    "p50_s": "redirect_latency_median",
    "p95_s": "redirect_latency_p95",
    "p99_s": "redirect_latency",
    "lost_share": "lost_share",
}
_REDIRECT = """
SELECT
    intDiv(toUnixTimestamp64Milli(ts), {window:Int64}) * {window:Int64} AS start,
    count() AS hits,
    {{metrics}}
FROM click
WHERE NOT claimed AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY start
ORDER BY start
"""


def observe(
    store: Reader,
    *,
    needed: Iterable[str],
    now: int,
    prices: Prices | None = None,
    reporting: str = "",
    rate_age_days: int = 7,
) -> Observations:
    """Read what a tick needs.

    Args:
        needed: incidents that we hold something for: they are read even when closed.
        prices: what clicks cost, kept from tick to tick; None = asked anew.
        reporting: currency that spend is told in at today's rate; "" = each campaign in its own.
        rate_age_days: how long a rate holds.

    Raises:
        StoreError: the store does not answer; the tick then decides nothing.
    """
    spend = _read_live_spend(
        store, now=now, prices=prices or new_prices(), reporting=reporting, rate_age_days=rate_age_days
    )
    return Observations(
        now=now,
        incidents=read_incidents(store, needed=needed, now=now),
        sources=_read_sources(store, now=now),
        origins={
            str(row["origin"]): _ms(row["newest"]) for row in store.rows(_ORIGINS, {"since": now - ORIGIN_HORIZON_MS})
        },
        live_spend_micros={campaign: micros for campaign, (micros, _) in spend.items()},
        spend_currency={campaign: currency for campaign, (_, currency) in spend.items()},
    )


def read_incidents(store: Reader, *, needed: Iterable[str], now: int) -> dict[str, IncidentView]:
    """Open incidents, and those in `needed` whatever their state. Versions claimed by an import are history, not news."""
    rows = store.rows(_INCIDENTS, {"needed": sorted(set(needed)), "since": now - INCIDENT_HORIZON_MS})
    return {str(row["incident_id"]): _incident(row) for row in rows}


def read_redirect(
    store: Reader, *, window_ms: int, since: int, now: int, complete_through: int
) -> list[RedirectWindow]:
    """The redirect's windows from `since` on; empty ones are left out, as nothing was measured in them."""
    params = {"window": window_ms, "since": since - since % window_ms, "until": now}
    return [
        RedirectWindow(
            start=start,
            end=start + window_ms,
            complete=start + window_ms <= complete_through,
            facts={
                "redirect.hits": float(_number(row["hits"])),
                **{f"redirect.{name}": _number(row[name]) for name in REDIRECT_METRICS},
            },
        )
        for row in store.rows(_redirect_query(), params)
        for start in [int(_number(row["start"]))]
    ]


@cache
def _redirect_query() -> str:
    """The catalogue is read on first use, not when this module is."""
    metrics = [f"{aggregated(metric)} AS {name}" for name, metric in REDIRECT_METRICS.items()]
    return _REDIRECT.replace("{{metrics}}", ",\n    ".join(metrics))


def _read_sources(store: Reader, *, now: int) -> dict[str, SourceState]:
    found = {}
    for row in store.rows(_SOURCES, {"since": now - SOURCE_HORIZON_MS, "now": now}):
        complete_through, lag_s = _pair(row["newest"])
        found[str(row["source"])] = SourceState(complete_through=_ms(complete_through), documented_lag_s=int(lag_s))
    return found


def _read_live_spend(
    store: Reader, *, now: int, prices: Prices, reporting: str, rate_age_days: int
) -> dict[str, Price]:
    """Campaign -> spend per hour. What a click costs is asked only when there are clicks: it is the dearest question of a tick."""
    span = {"since": now - SPEND_SPAN_MS, "until": now}
    per_hour = HOUR_MS / SPEND_SPAN_MS
    clicks = {str(row["campaign"]): _number(row["clicks"]) * per_hour for row in store.rows(CLICKS, span)}
    if not clicks:
        return {}
    today = {"now": now, "tomorrow": now + 1, "reporting": reporting, "rate_age_days": rate_age_days}

    def ask() -> dict[str, Price]:
        rows = store.rows(PRICES, today)
        return {str(row["campaign"]): Price(_number(row["cpc"]), str(row["paid_in"])) for row in rows}

    return spend_of(clicks, prices.answer(store, ask, asked=(now // DAY_MS, reporting, rate_age_days)))


def _incident(row: dict[str, object]) -> IncidentView:
    payload = msgspec.json.decode(str(row["payload"]), type=IncidentPayload)
    return IncidentView(
        incident_id=str(row["incident_id"]),
        state=str(row["state"]),
        opened=_ms(row["opened"]),
        closed=_ms(row["closed"]),
        payload=payload,
    )


def _pair(value: Any) -> tuple[Any, Any]:
    """A tuple of the engine arrives as a dict of its positions."""
    first, second = value.values() if isinstance(value, dict) else value
    return first, second


def _ms(value: object) -> int:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
