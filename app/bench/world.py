"""A shop's history of any length, made inside the engine and loaded through the production schema's own inboxes.

Everything follows from a seed and a number: click n has the same campaign, visitor and click ID however much history stands before it, and
a conversion names a click by its number. So a day is the same traffic whether it is the only one or the ninetieth, and what is measured with
both differs in history alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from core.clock import DAY_MS, HOUR_MS
from core.store.client import Store

#: One part of the engine a block: small enough that a block's memory is bounded, large enough that parts are few.
BLOCK_CLICKS: Final = 500_000
#: Real user agents differ by version, device and operating system.
AGENTS: Final = 400
#: A 64-bit number out of (what, n).
_NUMBER: Final = "sipHash64({seed:UInt64}, '%s', %s)"


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what. Rates are of a day; `ends` is the moment (ms) up to which history reaches, `days` how long it is."""

    ends: int
    days: int
    clicks_a_day: int = 1_100_000
    conversions_a_day: int = 28_000
    campaigns: int = 2_000
    seed: int = 1

    @property
    def clicks(self) -> int:
        return self.clicks_a_day * self.days

    @property
    def begins(self) -> int:
        return self.ends - self.days * DAY_MS

    def params(self) -> dict[str, object]:
        """What the queries bind. Click number 0 lies at the end of history, and the past has negative numbers: see the module."""
        return {
            "ends": self.ends,
            "seed": self.seed,
            "campaigns": self.campaigns,
            "clicks_a_day": self.clicks_a_day,
            "conversions_a_day": self.conversions_a_day,
            "agents": AGENTS,
        }


def _u(what: str, number: str = "n") -> str:
    """Even in [0, 1)."""
    return f"({_NUMBER % (what, number)} / 18446744073709551616.)"


def _pick(what: str, count: str, number: str = "n") -> str:
    """One of 0 to count - 1."""
    return f"({_NUMBER % (what, number)} % {count})"


#: Whose click n is. A quarter are of visitors who click again within the hour, a tenth of regulars who click every third day for as long as history
#: is, so that a path reaches into every day of its look-back.
_VISITOR: Final = f"""multiIf(
    {_u("returns")} < 0.25, sipHash128('visitor', {{seed:UInt64}}, intDiv(n, 50) * 50),
    {_u("returns")} < 0.35, sipHash128('regular', {{seed:UInt64}}, {_pick("regular", "(1 + intDiv({clicks_a_day:Int64} * 3, 10))")}),
    sipHash128('visitor', {{seed:UInt64}}, n))"""

#: Columns of click n that others refer to, by number. Half of the clicks fall on a twentieth of the campaigns.
_CLICK: Final = f"""
    {{ends:Int64}} + toInt64(n * 86400000 / {{clicks_a_day:Int64}}) AS at,
    toUInt32(pow({_u("campaign")}, 4) * {{campaigns:UInt32}}) AS c,
    {_u("platform_id")} AS paid,
    concat('Cj0KCQjw', base64URLEncode(concat(sipHash128('g1', {{seed:UInt64}}, n), sipHash128('g2', {{seed:UInt64}}, n), sipHash128('g3', {{seed:UInt64}}, n))), 'EALw_wcB') AS gclid,
    lower(hex(substring(SHA256(concat('gclid:', gclid)), 1, 16))) AS click_hex,
    concat('google:1:', toString(1000000 + c)) AS campaign,
    concat('shop.example/p/', toString(c % 150)) AS page,
    lower(hex({_VISITOR})) AS visitor_hex,
    agents[1 + toUInt32(pow({_u("agent")}, 2) * {{agents:UInt32}})] AS user_agent
"""

_AGENTS: Final = """
    arrayMap(i -> multiIf(
        i % 10 < 5, concat('Mozilla/5.0 (iPhone; CPU iPhone OS ', toString(14 + i % 5), '_', toString(intDiv(i, 10)),
            ' like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/', toString(14 + i % 5), '.', toString(intDiv(i, 10)), ' Mobile/15E148 Safari/604.1'),
        i % 10 < 8, concat('Mozilla/5.0 (Linux; Android ', toString(10 + i % 5), '; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
            toString(80 + intDiv(i, 10)), '.0.0.0 Mobile Safari/537.36'),
        concat('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/', toString(80 + intDiv(i, 10)), '.0.0.0 Safari/537.36')
    ), range({agents:UInt32})) AS agents
"""

#: Grain: hit. Rows [first, last) of the click numbers.
CLICKS: Final = f"""
INSERT INTO inbox_click (o, known_at, ts, source, click_id, hit_id, link_id, link_version, slug, domain, http_status, reason, duration_us, page,
    client, platform, campaign, ad_group, creative, keyword, platform_ids, utm, visitor_id, user_agent, network, network_hash, referrer_host, consent)
WITH {_AGENTS}
SELECT
    toUInt64(n + 1000000000) AS o, at + 3 AS known_at, at AS ts, 'redirect', click_hex, lower(hex({_NUMBER % ("hit", "n")})),
    lower(hex(sipHash128('link', c))), 1 + c % 3, concat('slug-', toString(c)), 'go.example', if({_u("lost")} < 0.001, 503, 302), 'redirected',
    60 + {_pick("duration", "400")}, page, concat('client-', toString(c % 20)), 'google', campaign,
    concat(campaign, '-', toString({_pick("ad_group", "5")})), concat(campaign, '-c', toString({_pick("creative", "10")})),
    concat('keyword ', toString(c % 500), ' ', toString({_pick("keyword", "8")})),
    if(paid < 0.95, map('gclid', gclid), map()), map('utm_source', 'google', 'utm_medium', 'cpc', 'utm_campaign', concat('spring-', toString(c))),
    visitor_hex, user_agent,
    concat(toString(11 + {_pick("net1", "180")}), '.', toString({_pick("net2", "60")}), '.', toString({_pick("net3", "8")}), '.0/24'),
    lower(hex({_NUMBER % ("address", "n")})), if({_u("referrer")} < 0.7, 'www.google.com', ''), if({_u("consent")} < 0.8, 'granted', '')
FROM (SELECT toInt64({{first:Int64}} + number) AS n, {_CLICK} FROM numbers(toUInt64({{last:Int64}} - {{first:Int64}})))
"""

#: Grain: browser event. Four of five clicks show the page one to four seconds after the hit.
TOUCHES: Final = f"""
INSERT INTO inbox_touch (o, known_at, ts, source, name, click_id, visitor_id, session_id, page, user_agent)
WITH {_AGENTS}
SELECT toUInt64(n + 1000000000), shown + 900, at + 1000 + {_pick("landing", "3000")} AS shown, 'snippet', 'page_view', click_hex, visitor_hex,
    lower(hex({_NUMBER % ("session", "n")})), page, user_agent
FROM (SELECT toInt64({{first:Int64}} + number) AS n, {_CLICK} FROM numbers(toUInt64({{last:Int64}} - {{first:Int64}})))
WHERE {_u("lands")} < 0.8
"""

#: Grain: conversion. Conversion m lies at its time and names a click of the hours before: most by click ID, some by the visitor or an order that
#: the same person made before, a twentieth by nothing that is known.
CONVERSIONS: Final = f"""
INSERT INTO inbox_conversion (o, known_at, ts, source, fact_id, conversion_id, type, status, origin, value_micros, currency, click_id,
    platform_ids, visitor_id, order_id, email_sha256, user_agent)
WITH {_AGENTS}
SELECT
    toUInt64(m + 1000000000), sold + 1500, at + delay_ms AS sold, 'push', concat('backend:order:', toString(m)), concat('o', toString(m)),
    if({_u("type", "m")} < 0.7, 'order', 'lead') AS type, if(type = 'order', 'confirmed', 'captured'), 'backend',
    if(type = 'order', 10000000 + {_pick("value", "90000000", "m")}, 0), 'USD',
    if(key < 0.6, click_hex, ''), if(key >= 0.6 AND key < 0.7, map('gclid', gclid), map()), if(key >= 0.7 AND key < 0.9, visitor_hex, ''),
    concat('o', toString(m)), lower(hex(SHA256(concat('mail', toString({_pick("person", "5000000", "m")}))))), user_agent
FROM
(
    SELECT m, delay_ms, key, n, {_CLICK}
    FROM
    (
        SELECT
            toInt64({{first:Int64}} + number) AS m,
            -- The click's number follows from when it was clicked: delays are log-normal around ten minutes.
            toInt64(600000 * exp(1.1 * sqrt(-2 * log(1 - {_u("delay1", "m")})) * cos(6.2831853 * {_u("delay2", "m")}))) AS delay_ms,
            {_u("key", "m")} AS key,
            toInt64(floor((m * 86400000 / {{conversions_a_day:Int64}} - delay_ms) * {{clicks_a_day:Int64}} / 86400000)) AS n
        FROM numbers(toUInt64({{last:Int64}} - {{first:Int64}}))
    )
)
"""

#: Grain: spend fact: (campaign, hour). Reported two hours after the bucket's end.
SPEND: Final = f"""
INSERT INTO inbox_spend (o, known_at, ts, source, fact_id, platform, account, campaign, bucket_s, cost_micros, currency, clicks, impressions)
SELECT
    toUInt64(number), at + 3 * 3600000, {{begins:Int64}} + toInt64(intDiv(number, {{campaigns:UInt32}})) * 3600000 AS at, 'google_ads',
    concat('spend:', campaign, ':', toString(at)), 'google', '1', concat('google:1:', toString(1000000 + number % {{campaigns:UInt32}})) AS campaign,
    3600, 100000 + {_pick("cost", "3000000", "number")}, 'USD', 1 + {_pick("billed", "30", "number")}, 1000
FROM numbers(toUInt64({{hours:Int64}}) * {{campaigns:UInt32}})
"""

#: Grain: campaign.
CAMPAIGNS: Final = """
INSERT INTO inbox_campaign (o, known_at, ts, source, fact_id, campaign, platform, account, name, status, client, currency, margin_micros)
SELECT number, {begins:Int64}, {begins:Int64}, 'google_ads', concat('campaign:', campaign), concat('google:1:', toString(1000000 + number)) AS campaign,
    'google', '1', concat('Campaign ', toString(number)), 'enabled', concat('client-', toString(number % 20)), 'USD', 20000000
FROM numbers({campaigns:UInt32})
"""

#: Grain: (service, route, minute).
SERVICE: Final = f"""
INSERT INTO inbox_service (o, known_at, ts, source, service, route, version, requests, errors, buckets, duration_sum_s, device)
SELECT number, at + 5000, {{begins:Int64}} + toInt64(intDiv(number, 20)) * 60000 AS at, 'otlp', 'shop', concat('/p/', toString(number % 20)), 'v1',
    40 + {_pick("requests", "20", "number")}, {_u("errors", "number")} < 0.1, arrayResize([10, 20, 10], 15), 4.5, 'mobile'
FROM numbers(toUInt64({{minutes:Int64}}) * 20)
"""


def fill(store: Store, world: World) -> None:
    """All of the world's history, oldest first, as the shipper would have loaded it."""
    params = {**world.params(), "begins": world.begins}
    _insert(store, CAMPAIGNS, params)
    _insert(store, SPEND, {**params, "hours": world.days * DAY_MS // HOUR_MS - 2})
    _insert(store, SERVICE, {**params, "minutes": world.days * DAY_MS // 60_000})
    for first, last in _blocks(-world.clicks, 0, BLOCK_CLICKS):
        _insert(store, CLICKS, {**params, "first": first, "last": last})
        _insert(store, TOUCHES, {**params, "first": first, "last": last})
    for first, last in _blocks(-world.conversions_a_day * world.days, 0, BLOCK_CLICKS):
        _insert(store, CONVERSIONS, {**params, "first": first, "last": last})


def go_on(store: Store, world: World, *, since: int, until: int) -> int:
    """The traffic of [since, until) (ms) after the world's end; how many clicks it was."""
    for sql, a_day in (
        (CLICKS, world.clicks_a_day),
        (TOUCHES, world.clicks_a_day),
        (CONVERSIONS, world.conversions_a_day),
    ):
        first, last = ((at - world.ends) * a_day // DAY_MS for at in (since, until))
        if last > first:
            _insert(store, sql, {**world.params(), "first": first, "last": last})
    return (until - world.ends) * world.clicks_a_day // DAY_MS - (since - world.ends) * world.clicks_a_day // DAY_MS


def click_id(store: Store, world: World, number: int) -> str:
    """The click ID of click `number` (negative: history)."""
    sql = f"WITH {_AGENTS} SELECT click_hex FROM (SELECT toInt64({{number:Int64}}) AS n, {_CLICK})"
    return str(store.rows(sql, _bound(sql, {**world.params(), "number": number}))[0]["click_hex"])


def campaign_id(rank: int) -> str:
    """The qualified ID of a campaign; rank 0 has the most clicks."""
    return f"google:1:{1_000_000 + rank}"


def _blocks(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last, size):
        yield start, min(start + size, last)


def settle(store: Store) -> None:
    """Take all traffic as judged: catching up with history is not what a tick costs."""
    store.command(
        "INSERT INTO traffic_window (kind, window, judged_at)"
        " SELECT kind, window, now64(3, 'UTC') + INTERVAL 1 MINUTE FROM traffic_window GROUP BY kind, window"
    )


def _insert(store: Store, sql: str, params: dict[str, object]) -> None:
    # Through the inbox, so that every production view sees the rows; one segment and one part a block, as ranges of the journal come.
    segment = f"bench{params.get('first', '')}"
    settings = f"SETTINGS log_comment = '{segment}', max_insert_block_size = 1048576, max_block_size = 1048576, max_insert_threads = 1, max_execution_time = 0"
    store.command(f"{sql} {settings}", _bound(sql, params))


def _bound(sql: str, params: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in params.items() if f"{{{name}:" in sql}
