"""What was loaded since the last tick, as the detectors take it: clicks, conversions and shares."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec
import numpy as np

from core.clock import HOUR_MS
from core.store.client import Store
from correlator.detection.baseline import BaselineModel
from correlator.detection.exposure import Arrival, ClickCount, Leaf
from correlator.detection.history import run, slow_bound, slower_than
from correlator.detection.shares import ShareKey, share_name
from correlator.detection.visits import GRACE_MS, Counted, bounced, unlanded, unsubmitted
from correlator.side_by_side import side_by_side

Row = dict[str, Any]
#: What is read every tick, by what asks for it. What browsers tell is asked by the same bounds, moved back by its kind's grace: every
#: row is read once, and nothing waits in memory.
NEW = {
    "hits": "detection_new_hits",
    "service": "detection_new_service",
    "conversions": "detection_new_conversions",
    "unlanded": "detection_new_landings",
    "bounced": "detection_new_landings",
    "unsubmitted": "detection_new_forms",
}
#: A conversion that becomes known later than this after it happened steers nothing any more.
LATEST_MS = 2 * HOUR_MS
#: How many of the newest conversions the feed's lag is judged by.
LAG_SAMPLE = 400
LONGEST_WAIT_MS = 300_000


class Batch(NamedTuple):
    clicks: list[ClickCount]
    arrivals: list[Arrival]
    shares: list[Counted]


class FeedState(msgspec.Struct):
    """What a checkpoint keeps: how far we have read, and which conversions were counted."""

    hits_through: int
    matched_through: int
    counted: dict[int, int] = {}  # hash of fact_id -> ts
    lags: list[int] = []


class Feed:
    """Reads each row once; a restored state continues where the checkpoint was taken."""

    def __init__(self, store: Store, state: FeedState, *, types: list[str], origin: str) -> None:
        self._store = store
        self._types, self._origin = types, origin
        self.state = state
        self._lags: deque[int] = deque(state.lags, maxlen=LAG_SAMPLE)

    def read(self, model: BaselineModel, *, now: int, through: int) -> Batch:
        """Rows that became known by `through`, and conversions matched by `now`."""
        params: dict[str, object] = {
            "after": self.state.hits_through,
            "through": through,
            "matched_after": self.state.matched_through,
            "types": self._types,
            "origin": self._origin,
        }
        rows = side_by_side(NEW, lambda name: self._rows(name, params))
        clicks, shares = _hits(rows["hits"])
        shares += _service(rows["service"], model)
        shares += unlanded(rows["unlanded"]) + bounced(rows["bounced"]) + unsubmitted(rows["unsubmitted"])
        arrivals = self._conversions(rows["conversions"], now)
        self.state.hits_through = through
        return Batch(clicks, arrivals, shares)

    def _rows(self, name: str, params: dict[str, object]) -> list[Row]:
        rows: list[Row] = run(self._store, NEW[name], {**params, "grace_ms": GRACE_MS.get(name, 0)}).to_pylist()
        return rows

    def take_as_read(self, *, start: int, through: int) -> None:
        """Count no conversion again that a scan from `start` (click time) has counted, when its match changes later."""
        params: dict[str, object] = {
            "start": start,
            "end": through + 1,
            "through": through,
            "types": self._types,
            "origin": self._origin,
        }
        rows = run(self._store, "detection_scan_conversions", params).to_pylist()
        self.state.counted.update({row["fact"]: row["ts"] for row in rows if row["ts"] >= through - LATEST_MS})

    def lag_ms(self) -> int:
        """How long after the event nearly every conversion is known: a minute may not be judged before."""
        if len(self._lags) < 20:
            return 0
        return min(int(np.quantile(np.asarray(self._lags), 0.98)), LONGEST_WAIT_MS)

    def saved(self) -> FeedState:
        self.state.lags = list(self._lags)
        return self.state

    def _conversions(self, rows: list[Row], now: int) -> list[Arrival]:
        arrivals: list[Arrival] = []
        for row in rows:
            self.state.matched_through = max(self.state.matched_through, row["matched_at"])
            fact, ts = row["fact"], row["ts"]
            if fact in self.state.counted or ts < now - LATEST_MS:
                continue
            self._lags.append(max(0, row["known_at"] - ts))
            if row["matched"]:
                self.state.counted[fact] = ts
                arrivals.append(Arrival(Leaf(row["campaign"], row["device"], row["page"]), ts, row["click_ts"]))
        if len(self.state.counted) > 1000:
            self.state.counted = {
                fact: ts for fact, ts in self.state.counted.items() if ts >= now - LATEST_MS - HOUR_MS
            }
        return arrivals


def _hits(rows: list[Row]) -> tuple[list[ClickCount], list[Counted]]:
    clicks: list[ClickCount] = []
    shares: list[Counted] = []
    for row in rows:
        if row["clicks"]:
            clicks.append(ClickCount(Leaf(row["campaign"], row["device"], row["page"]), row["bucket"], row["clicks"]))
        shares.append((ShareKey("lost", row["campaign"]), row["lost"], row["hits"]))
        shares.append((ShareKey("invalid", row["campaign"]), row["invalid"], row["hits"]))
    return clicks, shares


def _service(rows: list[Row], model: BaselineModel) -> list[Counted]:
    shares: list[Counted] = []
    for row in rows:
        key = ShareKey("errors", row["service"], row["route"], row["device"])
        shares.append((key, row["errors"], row["requests"]))
        slow = key._replace(kind="slow")
        bound = model.bounds_s.get(share_name(slow))
        if bound is None and model.conversions == 0:
            bound = slow_bound(row["buckets"])
        if bound is not None and row["buckets"]:
            shares.append((slow, slower_than(row["buckets"], bound), sum(row["buckets"])))
    return shares
