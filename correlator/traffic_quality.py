"""Judges traffic by its behaviour, off the hot path: ten-minute windows of event time, each when it is over.

A window is judged once it has ended and its touches had five minutes to come, and again when something late is loaded into it, so the
flags depend only on the journal's facts and the settings: a rebuilt store holds the same ones. The rules stand in `sql/traffic_*.sql`, one
word or two a file; hits and conversions are only marked, never left out of any count.
"""

from __future__ import annotations

from typing import Final

from core.store.client import Store
from correlator import queries
from correlator.arrivals import OVERLAP_MS
from correlator.config import TrafficConfig

WINDOW_S: Final = 600
#: How long after a hit its page view may come.
GRACE_S: Final = 300
#: A window that is loaded this long after it ended belongs to an import.
IMPORT_S: Final = 3 * 3600
#: What one tick judges at most, so that the next tick is not kept waiting; an import of history takes many.
MOST_HITS: Final = 250_000

HIT_RULES: Final = ("traffic_no_landing", "traffic_fast_landing", "traffic_no_cookies")
#: Rules that look at a source's past, only when a source stands out at all: the day before is a lot to read.
PAST_RULES: Final = ("traffic_burst", "traffic_same_agent")
CONVERSION_RULES: Final = ("traffic_speed", "traffic_spike", "traffic_repeats")

_HIT: Final = (
    "window", "segment", "o", "ts", "click_id", "campaign", "page", "network", "network_hash", "user_agent", "visitor_id", "lost",
    "parallel", "landed", "landed_ms",
)  # fmt: skip
_LOUD: Final = ("window", "campaign", "flag", "source", "hits", "total", "others")
_CONVERSION: Final = (
    "window", "fact_id", "ts", "type", "origin", "value_micros", "currency", "campaign", "client", "network", "keys", "delay_ms", "form_ms",
)  # fmt: skip
_VERDICT: Final = ("ts", "flags", "observed", "usual", "content", "judged_at")


def judge_new(store: Store, *, config: TrafficConfig, now: int) -> int:
    """Judge the windows that are due at `now` (ms); how many there were."""
    params = {**rule_params(config), "now": now}
    _mark_flagged(store, params)
    due = queries.text("traffic_due_window")
    if not queries.read(store, f"{due} LIMIT 1", params):
        return 0
    windows = queries.refill(store, "traffic_due", ("kind", "window"), due, params)
    read_at = store.rows("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")[0]["ms"]
    _judge_hits(store, params)
    _judge_conversions(store, params)
    store.command(
        "INSERT INTO traffic_window (kind, window, judged_at)"
        " SELECT kind, window, fromUnixTimestamp64Milli({read_at:Int64}, 'UTC') FROM traffic_due",
        {"read_at": read_at},
    )
    return windows


def _mark_flagged(store: Store, params: dict[str, object]) -> None:
    """A flagged conversion whose match this tick changed may have left its window, whose other conversions are then fewer."""
    sql = queries.text("traffic_flagged_window")
    queries.insert(store, "traffic_window", ("kind", "window", "counted_at"), sql, params)


def rule_params(config: TrafficConfig) -> dict[str, object]:
    """Everything that the traffic queries bind, besides `now`."""
    return {
        "window_s": WINDOW_S,
        "grace_s": GRACE_S,
        "import_s": IMPORT_S,
        "most_hits": MOST_HITS,
        "overlap_ms": OVERLAP_MS,
        "burst_clicks": config.burst_clicks,
        "burst_factor": config.burst_factor,
        "silent_clicks": config.silent_clicks,
        "fastest_landing_ms": config.fastest_landing_ms,
        "fastest_form_ms": round(config.fastest_form_s * 1000),
        "fastest_conversion_ms": round(config.fastest_conversion_s * 1000),
        "spike_conversions": config.spike_conversions,
        "repeated_conversions": config.repeated_conversions,
    }


def judged_through(store: Store, *, now: int) -> int:
    """Up to which event time (ms) everything loaded so far is judged."""
    over = (now // 1000 - GRACE_S) // WINDOW_S * WINDOW_S
    sql = f"SELECT toUnixTimestamp(min(window)) AS first FROM ({queries.text('traffic_due_window')})"
    params = {**rule_params(TrafficConfig()), "now": now}
    first = int(queries.read(store, sql, params)[0]["first"])
    return 1000 * (min(over, first) if first else over)


def _judge_hits(store: Store, params: dict[str, object]) -> None:
    if queries.refill(store, "traffic_hit", _HIT, queries.text("traffic_hit_from_click"), params):
        loud = queries.refill(store, "traffic_loud", _LOUD, queries.text("traffic_loud_source"), params)
        rules = (*HIT_RULES, *PAST_RULES) if loud else HIT_RULES
        changed = queries.compose("hit_flag_changed", {"flags": _union(rules)})
        queries.insert(store, "hit_flag", ("window", "segment", "o", *_VERDICT), changed, params)


def _judge_conversions(store: Store, params: dict[str, object]) -> None:
    queries.refill(store, "traffic_conversion", _CONVERSION, queries.text("traffic_conversion_from_match"), params)
    changed = queries.compose("conversion_flag_changed", {"flags": _union(CONVERSION_RULES)})
    queries.insert(store, "conversion_flag", ("fact_id", "window", *_VERDICT), changed, params)


def _union(rules: tuple[str, ...]) -> str:
    return "\nUNION ALL\n".join(f"SELECT * FROM ({queries.text(rule)})" for rule in rules)
