"""Pure: from series of range queries to gauges and service minutes.

A point that Prometheus gives at `t` with `increase(…[1m])` covers (t - 60 s, t], so it is the minute that began at t - 60 s.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import msgspec

from collectors import fact_ids
from collectors.prometheus.api import Series
from collectors.prometheus.config import GaugeQuery, ServiceQueries
from core.records import DURATION_BOUNDS_S, Gauge, Service

MINUTE_S: Final = 60
MAX_TEXT: Final = 256
MAX_ATTRIBUTES: Final = 32
#: Labels that say where a sample was scraped, not what it is about.
_OF_THE_SCRAPE: Final = frozenset(("__name__",))

#: (service, route, version, minute in ms)
Cell = tuple[str, str, str, int]


class Minutes(msgspec.Struct):
    """What the queries of one entry answered, by cell."""

    requests: dict[Cell, float] = {}
    errors: dict[Cell, float] = {}
    duration_sum: dict[Cell, float] = {}
    #: By cell: (upper bound in seconds, requests at or under it), as a histogram of Prometheus has them.
    buckets: dict[Cell, list[tuple[float, float]]] = {}


def gauges(found: Iterable[Series], asked: GaugeQuery, *, source: str) -> list[Gauge]:
    """A gauge for each finite value."""
    return [
        gauge
        for series in found
        for gauge in _gauges_of(series, asked, source=source, labels=_attributes(series.metric, asked))
    ]


def _gauges_of(series: Series, asked: GaugeQuery, *, source: str, labels: dict[str, str]) -> Iterable[Gauge]:
    service = _service(series.metric, asked.service, asked.service_label)
    key = _digest(asked.name, service, *(f"{name}={value}" for name, value in sorted(labels.items())))
    for at, text in series.values:
        value = float(text)
        if math.isfinite(value):
            ts = round(at * 1000)
            yield Gauge(
                ts=ts,
                source=source,
                fact_id=fact_ids.gauge(source=source, series=key, ts=ts),
                service=service,
                name=asked.name,
                value=value,
                attributes=labels,
            )


def add(cells: dict[Cell, float], found: Iterable[Series], asked: ServiceQueries) -> None:
    """Sum the values of a query by service, route, version and minute."""
    for series in found:
        for at, text in series.values:
            value = float(text)
            if math.isfinite(value):
                cell = _cell(series.metric, asked, at)
                cells[cell] = cells.get(cell, 0.0) + value


def add_buckets(cells: dict[Cell, list[tuple[float, float]]], found: Iterable[Series], asked: ServiceQueries) -> None:
    """Keep the counts of a histogram by cell; a series without `le` says nothing."""
    for series in found:
        bound = _bound(series.metric.get("le", ""))
        for at, text in series.values if bound is not None else ():
            value = float(text)
            if math.isfinite(value) and bound is not None:
                cells.setdefault(_cell(series.metric, asked, at), []).append((bound, value))


def services(minutes: Minutes, *, source: str) -> list[Service]:
    """A service minute for each cell with requests. `increase` extrapolates, so its counts are rounded."""
    found = []
    for cell, requests in sorted(minutes.requests.items()):
        service, route, version, ts = cell
        if round(requests) > 0:
            key = _digest(service, route, version)
            found.append(
                Service(
                    ts=ts,
                    source=source,
                    fact_id=fact_ids.service_minute(source=source, series=key, ts=ts),
                    service=service,
                    route=route,
                    version=version,
                    requests=round(requests),
                    errors=min(round(requests), round(minutes.errors.get(cell, 0.0))),
                    buckets=our_buckets(minutes.buckets.get(cell, ())),
                    duration_sum_s=minutes.duration_sum.get(cell, 0.0),
                )
            )
    return found


def our_buckets(cumulative: Sequence[tuple[float, float]]) -> list[int]:
    """Requests by `DURATION_BOUNDS_S` from counts at or under the sender's own bounds.

    A bucket of theirs counts whole in the bucket of ours that its upper bound lies in: durations are never made shorter than they were.
    """
    ours = [0.0] * (len(DURATION_BOUNDS_S) + 1)
    by_bound: dict[float, float] = {0.0: 0.0}
    for bound, count in cumulative:
        by_bound[bound] = by_bound.get(bound, 0.0) + count
    for (_, below), (bound, count) in pairwise(sorted(by_bound.items())):
        ours[bisect_left(DURATION_BOUNDS_S, bound)] += max(0.0, count - below)
    return [round(count) for count in ours]


def _bound(le: str) -> float | None:
    try:
        return float(le) if le else None
    except ValueError:
        return None


def _cell(labels: dict[str, str], asked: ServiceQueries, at: float) -> Cell:
    return (
        _service(labels, asked.service, asked.service_label),
        labels.get(asked.route_label, "")[:MAX_TEXT],
        labels.get(asked.version_label, "")[:MAX_TEXT],
        round((at - MINUTE_S) * 1000),
    )


def _service(labels: dict[str, str], fixed: str, label: str) -> str:
    return (fixed or labels.get(label) or labels.get("job") or "unknown_service")[:MAX_TEXT]


def _attributes(labels: dict[str, str], asked: GaugeQuery) -> dict[str, str]:
    names = asked.labels or sorted(labels.keys() - _OF_THE_SCRAPE - {asked.service_label})
    return {name[:MAX_TEXT]: labels[name][:MAX_TEXT] for name in names[:MAX_ATTRIBUTES] if name in labels}


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
