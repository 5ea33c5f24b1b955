"""Which click a conversion belongs to, by which method, how sure.

The rules stand in `sql/fact_from_conversion.sql`, `direct_from_fact.sql` and `match_from_fact.sql`, set-based queries that serve three
callers: the tick (conversions touched by what was loaded since the last one), a rebuilt store (all of them) and as-of questions (those
of a period, as known at T). Their answer depends only on the journal's facts, never on the order or the ticks in which they arrived; `sql/target_from_arrival.sql` therefore
names every conversion whose answer a newly loaded row can change.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS
from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig, days_ms

NONE: Final = "none"
#: Methods in order of precedence after `none`, with the confidence that the click is the right one.
METHODS: Final[tuple[tuple[str, float], ...]] = (
    (NONE, 0.0),
    ("click_id", 1.0),
    ("platform_click_id", 0.99),
    ("visitor_id", 0.9),
    ("order_id", 0.9),
    ("crm_id", 0.85),
    ("email_sha256", 0.7),
    ("phone_sha256", 0.65),
    ("shared_platform_id", 0.5),
)
#: Place of `shared_platform_id` among them: keys that can stand for many people, asked when nothing else leads to a click.
SHARED_RANK: Final = len(METHODS) - 1

#: An as-of so far ahead that no version is left out: 2255, inside DateTime64(3).
EVERYTHING: Final = 9_000_000_000_000

#: Columns of conversion_match that the query gives; matched_at is added by the insert.
COLUMNS: Final[tuple[str, ...]] = (
    "fact_id", "conversion_id", "known_at", "claimed", "ts", "type", "status", "origin", "value_micros", "currency", "method",
    "confidence", "click_id", "click_ts", "campaign", "ad_group", "creative", "keyword", "platform", "device", "browser", "page",
    "variant", "client", "link_id", "duplicate_of", "restated_at", "source", "qualified", "content",
)  # fmt: skip

#: Columns of matching_fact.
FACT_COLUMNS: Final[tuple[str, ...]] = (
    "fact_id", "is_target", "conversion_id", "changed_at", "claimed", "ts", "type", "status", "origin", "value_micros", "currency",
    "click_id", "platform_ids", "visitor_id", "order_id", "crm_id", "email_sha256", "phone_sha256", "client", "page", "user_agent",
    "restated_at", "source", "qualified",
)  # fmt: skip

#: Columns of matching_key.
KEY_COLUMNS: Final[tuple[str, ...]] = (
    "fact_id", "ts", "lookback_ms", "method_rank", "precedence", "space", "key",
)  # fmt: skip


def catalogue_params(config: CorrelatorConfig) -> dict[str, object]:
    """What matching needs of the catalogue, as parallel arrays, the form in which SQL reads it with `transform`."""
    entries = sorted(config.catalogue.items())
    rules = [entry.duplicates for _, entry in entries]
    qualified = [entry.qualified for _, entry in entries]
    unlisted = config.unlisted.qualified
    return {
        "types": [name for name, _ in entries],
        "lookbacks_ms": [days_ms(entry.lookback_days) for _, entry in entries],
        "lookback_ms": days_ms(config.unlisted.lookback_days),
        "duplicate_windows_ms": [days_ms(rule.window_hours / 24) for rule in rules],
        "duplicate_keys": [",".join(rule.keys) for rule in rules],
        "qualified_statuses": ["\n".join(rule.statuses) for rule in qualified],
        "qualified_status": "\n".join(unlisted.statuses),
        "qualified_attributes": [rule.attribute for rule in qualified],
        "qualified_attribute": unlisted.attribute,
        "qualified_values": ["\n".join(rule.values) for rule in qualified],
        "qualified_value": "\n".join(unlisted.values),
    }


def match_params(config: CorrelatorConfig, *, as_of: int) -> dict[str, object]:
    """Everything that the matching queries bind."""
    return {
        **catalogue_params(config),
        "as_of": as_of,
        "skew_ms": config.clock_skew_ms,
        "identity_parameters": list(IDENTITY_PARAMETERS),
        "shared_parameters": list(MATCH_PARAMETERS),
        "shared_rank": SHARED_RANK,
        "methods": [method for method, _ in METHODS],
        "confidences": [confidence for _, confidence in METHODS],
    }


def match_new(store: Store, *, config: CorrelatorConfig, since: int, now: int) -> int:
    """Match again what rows loaded since `since` can change; the number of conversions looked at.

    1. Collect the conversions whose match may change.
    2. Read them and what shares a key with them, their own keys, and the clicks that those lead to. Each is kept in a table, because the
       engine repeats a named subquery at every mention.
    3. Match and write the rows that differ from what stands there.
    """
    # As-of "everything": a line may carry a known_at ahead of this machine's clock.
    params = {**match_params(config, as_of=EVERYTHING), "since": since, "now": now}
    queries.empty(store, "matching_target", "matching_fact", "matching_key", "matching_direct")
    queries.insert(store, "matching_target", ("fact_id",), queries.text("target_from_arrival"), params)
    targets = queries.count(store, "matching_target")
    if targets:
        kept = "SELECT DISTINCT fact_id FROM matching_target"
        facts = queries.compose("fact_from_conversion", {"targets": kept})
        queries.insert(store, "matching_fact", FACT_COLUMNS, facts, params)
        queries.insert(store, "matching_key", KEY_COLUMNS, _own_keys("SELECT * FROM matching_fact"), params)
        direct = _best(_reached_by("SELECT * FROM matching_key"))
        queries.insert(store, "matching_direct", ("fact_id", "best"), direct, params)
        slots = {"facts": "SELECT * FROM matching_fact", "directs": "SELECT * FROM matching_direct"}
        changed = queries.compose("changed_from_match", {"matches": queries.compose("match_from_fact", slots)})
        queries.insert(store, "conversion_match", (*COLUMNS, "matched_at"), changed, params)
    return targets


def rules(config: CorrelatorConfig) -> str:
    """A fingerprint of the settings that decide matches: when it changes, all of them are computed again."""
    decided = {**match_params(config, as_of=EVERYTHING), "methods": METHODS}
    return sha256(msgspec.json.encode(decided, order="deterministic")).hexdigest()[:16]


def matches_of(targets: str) -> str:
    """One query that matches the conversions of the query `targets` anew, as known at {as_of}, and writes nothing."""
    facts = queries.compose("fact_from_conversion", {"targets": targets})
    return queries.compose("match_from_fact", {"facts": facts, "directs": directs(facts)})


def reached(facts: str) -> str:
    """The query for every click that the own keys of the facts in the query `facts` lead to."""
    return _reached_by(_own_keys(facts))


def directs(facts: str) -> str:
    """The query for the best click that each fact's own keys lead to."""
    return _best(reached(facts))


def _own_keys(facts: str) -> str:
    return queries.compose("direct_key_from_fact", {"facts": facts})


def _reached_by(keys: str) -> str:
    return queries.compose("reached_from_fact", {"keys": keys})


def _best(clicks: str) -> str:
    return queries.compose("direct_from_fact", {"reached": clicks})
