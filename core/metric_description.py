"""A metric as people and programs read it: the catalogue's entry with its quantities, and the queries that its formula becomes."""

from __future__ import annotations

import msgspec

from core.errors import Invalid, NotFound
from core.metric_catalogue import Metric, Quantity, Threshold, Unit, catalogue
from core.metric_queries import promql, query
from core.near import hint

#: The period of the query that is shown: bound by whoever runs it, in ms.
DURING = "{time} >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND {time} < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"


class DescribedQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """`counted_by` is the table and aggregate, `report` the column of a report's query; "" where there is none."""

    name: str
    title: str
    unit: Unit
    filters: str
    sources: tuple[str, ...]
    counted_by: str
    report: str
    prometheus: str


class Described(Metric, frozen=True, kw_only=True):
    """The entry with what it rests on. `sql` and `promql` are "" where a quantity can only be worked out by the reports."""

    name: str
    sources: list[str]
    quantities: list[DescribedQuantity]
    sql: str
    promql: str


def describe(name: str) -> Described:
    """Raises:
    NotFound: `unknown_metric`.
    """
    if name not in catalogue().metrics:
        raise NotFound("unknown_metric", f"there is no metric {name!r}{hint(name, catalogue().metrics)}")
    metric, made_of = catalogue().metric(name), catalogue().made_of(name)
    same = {field: getattr(metric, field) for field in metric.__struct_fields__}
    return Described(
        **same,
        name=name,
        sources=sorted({source for quantity in made_of.values() for source in quantity.sources}),
        quantities=[_quantity(one, quantity) for one, quantity in made_of.items()],
        sql=_sql(name),
        promql=_promql(name),
    )


def described() -> list[Described]:
    """All of them, in the catalogue's order."""
    return [describe(name) for name in catalogue().metrics]


def limit(threshold: Threshold | None) -> str:
    """A threshold in words, "" without one."""
    if threshold is None:
        return ""
    words = {"itself": "", "baseline": " x baseline", "target": " x target", "break_even": " x break-even"}[
        threshold.of
    ]
    sides = [
        f"{side} {bound:g}{words}"
        for side, bound in (("below", threshold.below), ("above", threshold.above))
        if bound is not None
    ]
    return f"{' or '.join(sides)} ({threshold.steered_by})"


def _quantity(name: str, quantity: Quantity) -> DescribedQuantity:
    reading, series = quantity.store, quantity.prometheus
    return DescribedQuantity(
        name=name,
        title=quantity.title,
        unit=quantity.unit,
        filters=quantity.filters,
        sources=quantity.sources,
        counted_by=f"{reading.expression} of {reading.table}" if reading else "",
        report=quantity.report,
        prometheus=f"{series.metric}{{{series.labels}}}"
        if series and series.labels
        else series.metric
        if series
        else "",
    )


def _sql(name: str) -> str:
    try:
        return query(name, during=DURING)
    except Invalid:
        return ""


def _promql(name: str) -> str:
    try:
        return promql(name)
    except Invalid:
        return ""
