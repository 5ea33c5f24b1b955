"""Expected against observed conversions of an incident's scope, minute by minute.

Expected conversions of a minute = baseline rate x the clicks before it, each weighted with the share of conversions that come that
many minutes after their click (theory.md: exposure, not ratios). The delay law is read from conversions before the onset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from core.clock import HOUR_MS, MINUTE_MS, floor_minute
from core.incidents import IncidentPayload
from core.store.client import Store

BEFORE_MS = 30 * MINUTE_MS
#: A chart of more minutes than this shows the first ones: what happened around the onset.
LONGEST_MINUTES = 24 * 60
#: Delay between click and conversion that the expectation reaches back to.
DELAY_MINUTES = 60
DELAY_HISTORY_MS = 24 * HOUR_MS
#: Dimensions of a scope that both clicks and conversions have.
DIMENSIONS = (
    "campaign",
    "device",
    "page",
    "browser",
    "platform",
    "client",
    "variant",
    "link_id",
    "ad_group",
    "creative",
)


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A change on the time axis."""

    ts: int
    label: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values per minute from `start`; `rate` is the baseline the expectation rests on."""

    start: int
    clicks: list[int]
    observed: list[int]
    expected: list[float]
    deploys: list[Marker]


def expected_per_minute(clicks: Sequence[int], *, rate: float, delay: Sequence[float]) -> list[float]:
    """Expected conversions of each minute; `delay[d]` is the share of conversions that come d minutes after their click."""
    reach = len(delay)
    return [
        rate * sum(clicks[at - d] * delay[d] for d in range(min(reach, at + 1)) if delay[d])
        for at in range(len(clicks))
    ]


def normalised(counts: Sequence[int]) -> list[float]:
    """Counts as shares; without any conversion to learn from, all in the first minute."""
    total = sum(counts)
    return [value / total for value in counts] if total else [1.0]


def read_series(store: Store, payload: IncidentPayload, *, steering: Sequence[str], origin: str, now: int) -> Series:
    """The series around an incident, from half an hour before its onset to the last complete minute."""
    start = floor_minute(payload.onset - BEFORE_MS)
    end = min(floor_minute(max(payload.complete_through, payload.onset)), start + LONGEST_MINUTES * MINUTE_MS, now)
    lead = start - DELAY_MINUTES * MINUTE_MS
    where, params = _scope(payload.scope)
    params |= {"steering": list(steering), "origin": origin}
    clicks = _by_minute(store, _CLICKS + where, params, since=lead, until=end)
    observed = _by_minute(store, _CONVERSIONS + where, params, since=start, until=end)
    delay = normalised(_delays(store, params, onset=payload.onset))
    minutes = max(0, (end - start) // MINUTE_MS)
    expected = expected_per_minute(clicks, rate=payload.baseline_rate, delay=delay)
    return Series(
        start=start,
        clicks=clicks[DELAY_MINUTES : DELAY_MINUTES + minutes],
        observed=observed[:minutes],
        expected=expected[DELAY_MINUTES : DELAY_MINUTES + minutes],
        deploys=_deploys(store, since=start, until=end),
    )


_RANGE = "ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
_CLICKS = f"SELECT toUnixTimestamp(ts) DIV 60 AS minute, uniqExact(click_id) AS n FROM hit WHERE {_RANGE} AND NOT bot"
_CONVERSIONS = (
    f"SELECT toUnixTimestamp(ts) DIV 60 AS minute, count() AS n FROM conversion_match FINAL WHERE {_RANGE} "
    "AND has({steering:Array(String)}, type) AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')"
)
_DELAYS = (
    "SELECT toUnixTimestamp(ts) DIV 60 - toUnixTimestamp(click_ts) DIV 60 AS minute, count() AS n "
    f"FROM conversion_match FINAL WHERE {_RANGE} AND method != 'none' AND has({{steering:Array(String)}}, type) "
    "AND minute >= 0 AND minute < {reach:Int64} GROUP BY minute"
)


def _scope(scope: dict[str, str]) -> tuple[str, dict[str, object]]:
    """The scope as SQL on bound values; a dimension that rows do not have is left out."""
    known = {name: value for name, value in scope.items() if name in DIMENSIONS}
    return "".join(f" AND {name} = {{{name}:String}}" for name in known), dict(known)


def _by_minute(store: Store, sql: str, params: dict[str, object], *, since: int, until: int) -> list[int]:
    bound = _bind(sql, {**params, "since": since, "until": until})
    rows = store.rows(sql + " GROUP BY minute", bound)
    values = [0] * max(0, (until - since) // MINUTE_MS + 1)
    for row in rows:
        at = cast(int, row["minute"]) - since // MINUTE_MS
        if 0 <= at < len(values):
            values[at] = cast(int, row["n"])
    return values


def _delays(store: Store, params: dict[str, object], *, onset: int) -> list[int]:
    sql = _DELAYS
    bound = _bind(sql, {**params, "since": onset - DELAY_HISTORY_MS, "until": onset, "reach": DELAY_MINUTES})
    counts = [0] * DELAY_MINUTES
    for row in store.rows(sql, bound):
        counts[cast(int, row["minute"])] = cast(int, row["n"])
    return counts


def _deploys(store: Store, *, since: int, until: int) -> list[Marker]:
    sql = f"SELECT toUnixTimestamp64Milli(ts) AS at, service, version, change FROM deploy_current WHERE {_RANGE} ORDER BY at"
    rows = store.rows(sql, {"since": since, "until": until + MINUTE_MS})
    return [
        Marker(ts=cast(int, row["at"]), label=f"{row['service']} {row['version'] or row['change']}") for row in rows
    ]


def _bind(sql: str, params: dict[str, object]) -> dict[str, object]:
    """Those of `params` that the text uses: the engine refuses to bind others."""
    return {name: value for name, value in params.items() if f"{{{name}:" in sql}
