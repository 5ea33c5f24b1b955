"""The few panel shapes our dashboards are made of, so that a dashboard file reads as a list of questions."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, DataSourceRef

CLICKHOUSE = DataSourceRef(type_val="grafana-clickhouse-datasource", uid="clicktrace-store")
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="clicktrace-prometheus")


class StoreQuery(variants.Dataquery):
    """A SQL query against the event store, in the shape of Grafana's ClickHouse data source (version 4)."""

    def __init__(self, sql: str, *, as_table: bool) -> None:
        self.sql = sql
        self.as_table = as_table

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": {"type": CLICKHOUSE.type_val, "uid": CLICKHOUSE.uid},
            "editorType": "sql",
            "format": 1 if self.as_table else 0,
            "queryType": "table" if self.as_table else "timeseries",
            "rawSql": " ".join(self.sql.split()),
            "refId": "A",
        }


class StoreQueryBuilder(cog.Builder[StoreQuery]):
    def __init__(self, sql: str, *, as_table: bool = False) -> None:
        self._query = StoreQuery(sql, as_table=as_table)

    def build(self) -> StoreQuery:
        return self._query


def prometheus_query(expression: str, legend: str, ref: str = "A") -> Any:
    return (
        prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).datasource(PROMETHEUS).exemplar(True)
    )


def over_time(title: str, why: str, *, unit: str = "short", width: int = 12) -> Any:
    """An empty time series panel; `why` says what question it answers and how to read it."""
    return (
        timeseries.Panel()
        .title(title)
        .description(why)
        .unit(unit)
        .height(8)
        .span(width)
        .fill_opacity(8)
        .line_width(2)
        .min(0)
        .no_value("no data in this range")
    )


def store_over_time(title: str, why: str, sql: str, *, unit: str = "short", width: int = 12) -> Any:
    panel = over_time(title, why, unit=unit, width=width)
    return panel.datasource(CLICKHOUSE).with_target(StoreQueryBuilder(sql))


def metric_over_time(
    title: str, why: str, queries: list[tuple[str, str]], *, unit: str = "short", width: int = 12
) -> Any:
    panel = over_time(title, why, unit=unit, width=width).datasource(PROMETHEUS)
    for ref, (expression, legend) in zip("ABCDEF", queries, strict=False):
        panel = panel.with_target(prometheus_query(expression, legend, ref))
    return panel


def store_table(title: str, why: str, sql: str, *, width: int = 24, height: int = 7) -> Any:
    target = StoreQueryBuilder(sql, as_table=True)
    return (
        table.Panel()
        .title(title)
        .description(why)
        .height(height)
        .span(width)
        .datasource(CLICKHOUSE)
        .with_target(target)
        .no_value("nothing")
    )


def store_figure(title: str, why: str, sql: str, *, unit: str = "short", width: int = 4) -> Any:
    target = StoreQueryBuilder(sql, as_table=True)
    return (
        stat.Panel()
        .title(title)
        .description(why)
        .unit(unit)
        .height(4)
        .span(width)
        .datasource(CLICKHOUSE)
        .with_target(target)
        .no_value("–")
    )


def row(title: str) -> Any:
    return dashboard.Row(title)


class ChangeMarkers(cog.Builder[AnnotationQuery]):
    """Every change marker (deploy, rollback, configuration, …) as a vertical line on every panel."""

    SQL = """SELECT ts AS time, concat(service, ' ', version, ' (', change, ')') AS text, change AS tags
             FROM deploy_current WHERE $__timeFilter(ts) ORDER BY ts"""

    def build(self) -> AnnotationQuery:
        query = AnnotationQuery(name="changes", datasource=CLICKHOUSE, enable=True, icon_color="orange")
        # The SDK's model of a target lists fields of other data sources; its encoder only asks for to_json.
        query.target = StoreQuery(self.SQL, as_table=True)  # type: ignore[assignment]
        return query


def board(title: str, question: str, panels: list[Any], *, uid: str) -> Any:
    """A dashboard of rows and panels, in this order; `question` is what it answers."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags(["clicktrace"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .annotation(ChangeMarkers())
    )
    for panel in panels:
        built = built.with_row(panel) if isinstance(panel, dashboard.Row) else built.with_panel(panel)
    return built
