"""Learns the baseline from the store: aggregated in the engine, fitted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow
import pyarrow.compute as compute

from core.clock import DAY_MS
from core.records import DURATION_BOUNDS_S
from core.store.client import Store
from correlator import queries
from correlator.detection.baseline import BaselineModel, History, empty_model, fit, leaf_key
from correlator.detection.config import DetectionConfig
from correlator.detection.delay import KNOTS_MS, DelayLaw, learn_law, learn_segment_laws, mix_laws
from correlator.detection.exposure import Leaf
from correlator.detection.shares import ShareKey, hourly_spread, share_name
from correlator.detection.visits import GRACE_MS, Usual, usual_share, usual_visits

Interval = tuple[int, int]

#: A request counts as slow above a bound that no more than this share usually exceeds, and never below a second: shorter waits are
#: not what makes visitors leave in minutes.
SLOW_USUAL_SHARE = 0.02
SLOW_LEAST_S = 1.0
#: Landings, bounces and forms are learned from so many days, of at most about so many clicks a month.
VISIT_DAYS = 7
MOST_VISITS = 4_000_000
#: Conversions that pull a browser's factor towards one.
BROWSER_PRIOR = 50.0


def run(store: Store, name: str, params: dict[str, object]) -> pyarrow.Table:
    """One of our queries with the parameters it uses."""
    sql = queries.text(name)
    # A column and its rendering for Python share a name; conditions mean the column.
    return store.query(sql, queries.bind(sql, params), settings={"prefer_column_name_to_alias": 1})


def claimed_counts(store: Store) -> tuple[int, int]:
    """(imported clicks, imported conversions): while they grow, an import is under way."""
    row = run(store, "detection_claimed", {}).to_pylist()[0]
    return int(row["clicks"]), int(row["conversions"])


def learn(
    store: Store,
    *,
    now: int,
    config: DetectionConfig,
    types: Sequence[str],
    origin: str,
    excluded: Sequence[Interval] = (),
) -> BaselineModel:
    """Learn everything from the history up to `settle_s` before `now`, incidents left out.

    Seconds at a million clicks: the engine aggregates by leaf and hour, the fit sees some ten thousand cells.
    """
    params: dict[str, object] = {
        "start": now - config.history_days * DAY_MS,
        "end": now - config.settle_s * 1000,
        "now": now,
        "types": list(types),
        "origin": origin,
        "excluded": [tuple(i) for i in excluded],
    }
    clicks = run(store, "detection_history_clicks", params)
    conversions = run(store, "detection_history_conversions", params)
    if clicks.num_rows == 0:
        return empty_model(now=now)
    laws = _laws(conversions)
    law = mix_laws(laws)
    segments = _segment_laws(conversions, parent=law)
    model = fit(
        _history(clicks, conversions),
        laws=laws,
        law=law,
        segments=segments,
        now=now,
        special_days=config.special_day_numbers(),
    )
    shares, spreads, bounds = _shares(store, params, clicks=float(compute.sum(clicks["clicks"]).as_py()))
    return msgspec.structs.replace(
        model, shares=shares, share_spreads=spreads, bounds_s=bounds, browsers=_browsers(store, params, model)
    )


def _columns(table: pyarrow.Table, names: Sequence[str]) -> list[list[Any]]:
    return [table.column(name).to_pylist() for name in names]


def _history(clicks: pyarrow.Table, conversions: pyarrow.Table) -> History:
    """One cell per leaf and hour that had clicks; conversions of clicks that were filtered out have no cell and fall away."""
    campaign, device, page, hour = _columns(clicks, ("campaign", "device", "page", "hour"))
    cells = {
        (Leaf(c, d, p), int(h)): position
        for position, (c, d, p, h) in enumerate(zip(campaign, device, page, hour, strict=True))
    }
    converted = np.zeros(len(cells))
    for c, d, p, h, n in zip(
        *_columns(conversions, ("campaign", "device", "page", "hour", "conversions")), strict=True
    ):
        position = cells.get((Leaf(c, d, p), int(h)))
        if position is not None:
            converted[position] += n
    leaves = sorted({leaf for leaf, _ in cells})
    index = {leaf: row for row, leaf in enumerate(leaves)}
    return History(
        leaves=leaves,
        row=np.asarray([index[leaf] for leaf, _ in cells], dtype=np.int64),
        hour=np.asarray([h for _, h in cells], dtype=np.int64),
        clicks=np.asarray(clicks.column("clicks").to_pylist(), dtype=np.float64),
        conversions=converted,
    )


def _laws(conversions: pyarrow.Table) -> dict[str, DelayLaw]:
    """The delay law of every conversion type, from binned delays and ages."""
    knots = np.asarray(KNOTS_MS)
    types, delay, age, count = _columns(conversions, ("type", "delay_bin", "age_bin", "conversions"))
    laws = {}
    for name in sorted(set(types)):
        chosen = [i for i, t in enumerate(types) if t == name]
        laws[name] = learn_law(
            knots[np.clip([delay[i] for i in chosen], 0, len(knots) - 1)],
            knots[np.clip([age[i] for i in chosen], 0, len(knots) - 1)],
            weights=[count[i] for i in chosen],
        )
    return laws


def _segment_laws(conversions: pyarrow.Table, *, parent: DelayLaw) -> dict[str, DelayLaw]:
    """The laws of pages and campaigns; a segment's conversions of all types together, in the mix that it has."""
    grain = ["campaign", "page", "delay_bin", "age_bin"]
    # Arrow sums before Python sees a row: hours and devices say nothing about delays, and are most of the rows.
    counted = conversions.group_by(grain).aggregate([("conversions", "sum")])
    knots = np.asarray(KNOTS_MS)
    delay, age = (np.clip(counted.column(name).to_numpy(), 0, len(knots) - 1) for name in ("delay_bin", "age_bin"))
    return learn_segment_laws(
        counted.column("campaign").to_pylist(),
        counted.column("page").to_pylist(),
        knots[delay],
        knots[age],
        parent=parent,
        weights=counted.column("conversions_sum").to_numpy(),
    )


def _browsers(store: Store, params: dict[str, object], model: BaselineModel) -> dict[str, float]:
    """How much better or worse a browser converts than its leaves: observed / expected, shrunk."""
    table = run(store, "detection_history_browsers", params)
    expected: dict[str, float] = {}
    observed: dict[str, float] = {}
    for c, d, p, browser, clicks, conversions in zip(
        *_columns(table, ("campaign", "device", "page", "browser", "clicks", "conversions")), strict=True
    ):
        rate, _ = model.leaves.get(leaf_key(Leaf(c, d, p)), (0.0, 0.0))
        expected[browser] = expected.get(browser, 0.0) + clicks * rate
        observed[browser] = observed.get(browser, 0.0) + conversions
    return {name: (observed[name] + BROWSER_PRIOR) / (expected[name] + BROWSER_PRIOR) for name in expected}


def _shares(
    store: Store, params: dict[str, object], *, clicks: float
) -> tuple[dict[str, tuple[float, float]], dict[str, float], dict[str, float]]:
    """Usual shares and the spread of their hourly values by key and, for every route, the duration above which a request is slow."""
    found = _usual_visits(store, params, clicks=clicks)
    for row in run(store, "detection_history_hits", params).to_pylist():
        for kind in ("lost", "invalid"):
            _keep(found, ShareKey(kind, row["campaign"]), row[kind], row["hits"], row, row[f"{kind}_scatter"])
    bounds: dict[str, float] = {}
    for row in run(store, "detection_history_service", params).to_pylist():
        key = ShareKey("errors", row["service"], row["route"], row["device"])
        _keep(found, key, row["errors"], row["requests"], row, row["errors_scatter"])
        bound = slow_bound(row["buckets"])
        if bound is not None:
            slow = key._replace(kind="slow")
            bounds[share_name(slow)] = bound
            timed = {"hours": row["timed"], "squares": row["timed_squares"]}
            scatter = row["slower_scatter"][DURATION_BOUNDS_S.index(bound) + 1]
            _keep(found, slow, slower_than(row["buckets"], bound), sum(row["buckets"]), timed, scatter)
    return found.shares, found.spreads, bounds


def _usual_visits(store: Store, params: dict[str, object], *, clicks: float) -> Usual:
    """What browsers usually tell, of the newest days: pages change, and joining a month of touches would cost more than it says."""
    end = int(str(params["end"]))
    since = max(int(str(params["start"])), end - VISIT_DAYS * DAY_MS)
    more: dict[str, object] = {
        "since": since,
        "sample": 1 + int(clicks / MOST_VISITS),
        "landed_ms": GRACE_MS["unlanded"],
        "engaged_ms": GRACE_MS["bounced"],
    }
    tables = [run(store, f"detection_history_{name}", {**params, **more}) for name in ("landings", "forms")]
    return usual_visits(*tables)


def _keep(found: Usual, key: ShareKey, hits: float, trials: float, hourly: Mapping[str, float], scatter: float) -> None:
    name = share_name(key)
    found.shares[name] = usual_share(hits, trials)
    hours, squares = float(hourly["hours"]), float(hourly["squares"])
    spread = hourly_spread(float(hits), float(trials), hours=hours, scatter=float(scatter), squares=squares)
    if spread is not None:
        found.spreads[name] = spread


def slow_bound(buckets: Sequence[int]) -> float | None:
    """The smallest histogram bound of a second or more that at most `SLOW_USUAL_SHARE` of the requests exceed."""
    total = sum(buckets)
    if total == 0:
        return None
    for bound in DURATION_BOUNDS_S:
        if bound >= SLOW_LEAST_S and slower_than(buckets, bound) <= SLOW_USUAL_SHARE * total:
            return bound
    return None


def slower_than(buckets: Sequence[int], bound_s: float) -> int:
    """Requests in the buckets above `bound_s`."""
    first = DURATION_BOUNDS_S.index(bound_s) + 1
    return int(sum(buckets[first:]))
