"""One dashboard, one question per row: are paid clicks turning into orders, and if not, what changed?"""

from __future__ import annotations

from typing import Any

from core.metric_queries import promql, query
from grafana.panels import board, metric_over_time, row, store_figure, store_over_time, store_table

UID = "clicktrace-campaigns"

SHOWN = "$__timeFilter({time})"
TODAY = "{time} >= toStartOfDay(now())"
MINUTE = {"time": "toStartOfMinute({time})"}

CLICKS_PER_MINUTE = query("clicks", during=SHOWN, by={**MINUTE, "platform": "platform"})
CONVERSIONS_PER_MINUTE = query(
    "recorded_conversions", during=SHOWN, by={**MINUTE, "platform": "if(method = 'none', 'no click found', platform)"}
)
RATE_BY_DEVICE = f"""
    SELECT time, device, conversion_rate_so_far AS rate FROM
    ({query("conversion_rate_so_far", during=SHOWN, by={"time": "toStartOfInterval({time}, INTERVAL 5 MINUTE)", "device": "device"})})
    WHERE time < now() - INTERVAL 5 MINUTE ORDER BY time"""
LOST_CLICKS = """
    SELECT toStartOfMinute(ts) AS time, concat(toString(http_status), ' ', reason) AS answer, count() AS hits
    FROM hit WHERE $__timeFilter(ts) AND lost GROUP BY time, answer ORDER BY time"""
ROUTE_ERRORS = query("page_error_rate", during=SHOWN, by={"time": "{time}", "route": "concat(service, ' ', route)"})
FORM_ERRORS = """
    SELECT toStartOfMinute(ts) AS time, page, count() AS errors
    FROM touch WHERE name IN ('form_error', 'js_error') AND $__timeFilter(ts) GROUP BY time, page ORDER BY time"""
OPEN_INCIDENTS = """
    SELECT incident_id, argMax(opened, known_at) AS opened, argMax(verdict, known_at) AS verdict,
           argMax(JSONExtractString(payload, 'title'), known_at) AS what,
           argMax(JSONExtractInt(payload, 'cost', 'wasted_per_hour_micros'), known_at) / 1e6 AS wasted_per_hour
    FROM incident GROUP BY incident_id HAVING argMax(state, known_at) != 'closed' ORDER BY opened DESC"""
FRESHNESS = """
    SELECT source, through AS complete_through, dateDiff('second', through, now()) AS behind_s, documented_lag_s FROM
    (SELECT source, max(w.complete_through) AS through, argMax(w.documented_lag_s, w.known_at) AS documented_lag_s
     FROM watermark AS w GROUP BY source)
    WHERE source NOT IN (SELECT source FROM reading GROUP BY source HAVING argMax(state, known_at) = 'removed')
    ORDER BY source"""
SPEND_TODAY = query("reported_spend", during=TODAY, by={"currency": "currency"})
CLICKS_TODAY = query("clicks", during=TODAY)
CONVERSIONS_TODAY = query("recorded_conversions", during=TODAY)
UNMATCHED_TODAY = query("unmatched_share", during=TODAY)


def build() -> Any:
    """The dashboard as the SDK's builder."""
    return board(
        "Clicktrace: campaigns",
        "Are paid clicks turning into orders, and if not, what changed? Orange lines are deploys and other changes.",
        [*_now(), *_conversions(), *_causes()],
        uid=UID,
    )


def _now() -> list[Any]:
    return [
        store_table(
            "Open incidents", "What is wrong now, and what it wastes an hour. Empty is good.", OPEN_INCIDENTS, width=24
        ),
        store_figure("Clicks today", "First hits of their click ID without bots, today (UTC).", CLICKS_TODAY),
        store_figure("Conversions today", "As any system told them, matched or not, today (UTC).", CONVERSIONS_TODAY),
        store_figure(
            "Without a click",
            "Share of today's conversions no click was found for.",
            UNMATCHED_TODAY,
            unit="percentunit",
        ),
        store_table(
            "Spend reported today",
            "Only what platforms have reported, each currency by itself; they are hours late.",
            SPEND_TODAY,
            width=4,
            height=4,
        ),
        store_table(
            "How complete each source is",
            "A figure is complete through the slowest of the sources it is made of. Quota and findings: system health.",
            FRESHNESS,
            width=8,
            height=4,
        ),
    ]


def _conversions() -> list[Any]:
    return [
        row("Clicks and conversions"),
        store_over_time("Clicks a minute", "By platform, without bots.", CLICKS_PER_MINUTE),
        store_over_time("Conversions a minute", "As any system told them, by the platform of the matched click.", CONVERSIONS_PER_MINUTE),
        store_over_time(
            "Conversion rate by device",
            "Conversions of the clicks of each 5 minutes. The newest points still rise: young clicks have not converted yet.",
            RATE_BY_DEVICE, unit="percentunit", width=24,
        ),
    ]  # fmt: skip


def _causes() -> list[Any]:
    return [
        row("What may have changed"),
        store_over_time("Errors by route", "Share of failed requests of each service route.", ROUTE_ERRORS, unit="percentunit"),
        store_over_time("Form and script errors", "As visitors' browsers report them.", FORM_ERRORS),
        store_over_time("Clicks that got no redirect", "Hits on known links answered with an error: lost clicks.", LOST_CLICKS),
        metric_over_time(
            "Redirect latency", "Time from request to answer inside the worker.",
            [
                (promql("redirect_latency_median"), "p50"),
                (promql("redirect_latency"), "p99"),
            ], unit="s",
        ),
    ]  # fmt: skip
