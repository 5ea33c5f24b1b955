"""Which click a conversion belongs to, by which method, how sure.

The rules stand in `sql/match_from_conversion.sql`, one set-based query that serves three callers: the tick (conversions touched by
what was loaded since the last one), a rebuilt store (all of them) and as-of questions (those of a period, as known at T). Its answer
depends only on the journal's facts, never on the order or the ticks in which they arrived; `sql/target_from_arrival.sql` therefore
names every conversion whose answer a newly loaded row can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from core.control.checkpoints import Checkpoints
from core.identity import IDENTITY_PARAMETERS
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
)
CONFIDENCE: Final[dict[str, float]] = dict(METHODS)

#: A block's loading time is stamped before its rows can be read: what was stamped up to this long before the last look is looked at again.
OVERLAP_MS = 60_000

#: Columns of conversion_match that the query gives; matched_at is added by the insert.
COLUMNS: Final[tuple[str, ...]] = (
    "fact_id", "conversion_id", "known_at", "claimed", "ts", "type", "status", "origin", "value_micros", "currency", "method",
    "confidence", "click_id", "click_ts", "campaign", "ad_group", "creative", "keyword", "platform", "device", "browser", "page",
    "variant", "client", "link_id", "duplicate_of", "restated_at", "content",
)  # fmt: skip


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """How far the matching has looked: loading time of the newest block, in one particular store."""

    store_id: str = ""
    loaded_at: int = 0


def catalogue_params(config: CorrelatorConfig) -> dict[str, object]:
    """The catalogue as parallel arrays, the form in which SQL reads it with `transform`."""
    entries = sorted(config.catalogue.items())
    rules = [entry.duplicates for _, entry in entries]
    return {
        "types": [name for name, _ in entries],
        "origins": [str(entry.authoritative_origin) for _, entry in entries],
        "default_origin": str(config.unlisted.authoritative_origin),
        "lookbacks_ms": [days_ms(entry.lookback_days) for _, entry in entries],
        "lookback_ms": days_ms(config.unlisted.lookback_days),
        "duplicate_windows_ms": [days_ms(rule.window_hours / 24) for rule in rules],
        "duplicate_keys": [",".join(rule.keys) for rule in rules],
    }


def match_params(config: CorrelatorConfig, *, as_of: int) -> dict[str, object]:
    """Everything `match_from_conversion` binds."""
    return {
        **catalogue_params(config),
        "as_of": as_of,
        "skew_ms": config.clock_skew_ms,
        "identity_parameters": list(IDENTITY_PARAMETERS),
        "methods": [method for method, _ in METHODS],
        "confidences": [confidence for _, confidence in METHODS],
    }


class Matching:
    """The matching step: re-matches what newly loaded rows can change and writes only what did change."""

    def __init__(self, store: Store, checkpoints: Checkpoints, *, config: CorrelatorConfig) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._config = config

    def run(self, now: int) -> int:
        """One tick; the number of conversions looked at again.

        1. What was loaded since the last look? Nothing: done.
        2. Collect the conversions whose match it can change.
        3. Match them and write the rows that differ from what stands there.
        4. Only then remember how far we looked: a tick that dies repeats its work, which is harmless.
        """
        seen = self._seen()
        newest = self._newest_arrival()
        if newest <= seen.loaded_at - OVERLAP_MS or newest == 0:
            return 0
        targets = self._collect_targets(max(0, seen.loaded_at - OVERLAP_MS))
        if targets:
            self._write_matches(now)
        self._checkpoints.put("matching", msgspec.json.encode(Loaded(store_id=self._store.store_id, loaded_at=newest)))
        return targets

    def _seen(self) -> Loaded:
        kept = self._checkpoints.get("matching")
        seen = msgspec.json.decode(kept, type=Loaded) if kept else Loaded()
        # A wiped store is another store: everything in it is new.
        return seen if seen.store_id == self._store.store_id else Loaded()

    def _newest_arrival(self) -> int:
        rows = self._store.rows("SELECT toUnixTimestamp64Milli(max(loaded_at)) AS newest FROM arrival")
        return int(str(rows[0]["newest"]))

    def _collect_targets(self, since: int) -> int:
        params = {"since": since, "skew_ms": self._config.clock_skew_ms}
        self._store.command("TRUNCATE TABLE matching_target")
        _insert(self._store, "matching_target", ("fact_id",), queries.text("target_from_arrival"), params)
        rows = self._store.rows("SELECT uniqExact(fact_id) AS targets FROM matching_target")
        return int(str(rows[0]["targets"]))

    def _write_matches(self, now: int) -> None:
        matches = queries.compose("match_from_conversion", {"targets": "SELECT DISTINCT fact_id FROM matching_target"})
        sql = queries.compose("changed_from_match", {"matches": matches})
        # As-of "everything known": a row may carry a known_at ahead of this machine's clock.
        params = {**match_params(self._config, as_of=EVERYTHING), "now": now}
        _insert(self._store, "conversion_match", (*COLUMNS, "matched_at"), sql, params)


#: An as-of far in the future: no version is left out. 2255 in milliseconds, inside DateTime64(3).
EVERYTHING: Final = 9_000_000_000_000


def matches_as_of(where: str) -> str:
    """Text of a query that matches anew, as known at {as_of}, the conversions that `where` (one of our own files) selects."""
    return queries.compose("match_from_conversion", {"targets": queries.text(where)})


def _insert(store: Store, table: str, columns: tuple[str, ...], select: str, params: Mapping[str, object]) -> None:
    store.command(f"INSERT INTO {table} ({', '.join(columns)})\n{select}", queries.bind(select, params))
