"""The catalogue's metrics as SQL and PromQL: an expression over columns, over a table's rows, or a whole query.

Refusals (`Invalid`): those of `core.metric_catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping

from core import formula
from core.errors import Invalid
from core.metric_catalogue import Reading, catalogue, formula_of, same_names


def sql(name: str, /, **columns: str) -> str:
    """A metric as an expression over columns of a query, each called as its quantity unless `columns` says otherwise; NULL without a base.

    Raises:
        Invalid: `unknown_metric`, `unknown_quantity`.
    """
    parsed = formula_of(name)
    made_of = formula.names(parsed)
    given = {one: one for one in made_of} | columns
    same_names(name, made_of, given)
    return formula.to_sql(parsed, given)


def promql(name: str, /, *, over: str = "5m") -> str:
    """A metric as PromQL, over the newest `over`; no sample without a base.

    Raises:
        Invalid: `unknown_metric`; `not_in_prometheus`: a quantity of it is in no Prometheus metric.
    """
    series = {}
    for one, quantity in catalogue().made_of(name).items():
        if quantity.prometheus is None:
            raise Invalid("not_in_prometheus", f"{name} cannot be asked of Prometheus: no metric counts {one}")
        series[one] = quantity.prometheus.over(over)
    return formula.to_promql(formula_of(name), series)


def aggregated(name: str, /) -> str:
    """A metric as an expression over the rows of the one table that all its quantities are counted in.

    Raises:
        Invalid: `unknown_metric`; `not_in_store`: a quantity of it cannot be counted by a query alone, or they lie in several tables.
    """
    readings = _readings(name)
    if len({(reading.table, reading.time) for reading in readings.values()}) > 1:
        raise Invalid("not_in_store", f"{name} is counted in several tables")
    return sql(name, **{one: reading.expression for one, reading in readings.items()})


def query(name: str, /, *, during: str, by: Mapping[str, str] | None = None) -> str:
    """A metric as a whole query of the store, as facts are known now. Grain: `by`. Columns: those of `by`, and the metric under its name.

    Quantities of several tables are laid side by side, never joined, so that what one of them lacks counts nothing instead of dropping out.
    Money is in whole units of its currency.

    Args:
        name: the metric.
        during: a condition; `{time}` in it is each quantity's time column.
        by: column -> expression over the tables of all its quantities, `{time}` as above.

    Raises:
        Invalid: `unknown_metric`; `not_in_store`: a quantity of it cannot be counted by a query alone.
    """
    readings, columns = _readings(name), by or {}
    tables: dict[tuple[str, str], list[str]] = {}
    for one, reading in readings.items():
        tables.setdefault((reading.table, reading.time), []).append(one)
    if len(tables) == 1:
        ((table, time),) = tables
        return _select(
            {name: _in_units(name, aggregated(name))}, table=table, time=time, during=during, by=columns, ordered=True
        )
    parts = [
        _select(
            # Rows of one table have nothing in the columns of the others.
            {f"{one}_part": reading.expression if one in own else "0" for one, reading in readings.items()},
            table=table, time=time, during=during, by=columns, ordered=False,
        )
        for (table, time), own in tables.items()
    ]  # fmt: skip
    told = _in_units(name, sql(name, **{one: f"sum({one}_part)" for one in readings}))
    grain = {column: column for column in columns}
    return _select({name: told}, table=f"({' UNION ALL '.join(parts)})", time="", during="", by=grain, ordered=True)


def _readings(name: str) -> dict[str, Reading]:
    made_of = catalogue().made_of(name)
    missing = [one for one, quantity in made_of.items() if quantity.store is None]
    if missing:
        raise Invalid(
            "not_in_store", f"{name} cannot be counted by a query alone: {missing[0]} is worked out by the reports"
        )
    return {one: quantity.store for one, quantity in made_of.items() if quantity.store}


def _in_units(name: str, told: str) -> str:
    return f"({told}) / 1e6" if catalogue().metric(name).unit == "money" else told


def _select(
    told: Mapping[str, str], *, table: str, time: str, during: str, by: Mapping[str, str], ordered: bool
) -> str:
    columns = ", ".join(f"{expression} AS {column}" for column, expression in {**by, **told}.items())
    kept = f" WHERE {during}" if during else ""
    grain = ", ".join(by)
    grouped = f" GROUP BY {grain}" + (f" ORDER BY {grain}" if ordered else "") if grain else ""
    return f"SELECT {columns} FROM {table}{kept}{grouped}".replace("{time}", time)
