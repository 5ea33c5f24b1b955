"""One dashboard, one question per row: are paid clicks turning into orders, and if not, what changed?"""

from __future__ import annotations

from typing import Any

from grafana.panels import board, metric_over_time, row, store_figure, store_over_time, store_table

UID = "clicktrace-campaigns"

CLICKS_PER_MINUTE = """
    SELECT toStartOfMinute(ts) AS time, platform, uniqExact(click_id) AS clicks
    FROM hit WHERE $__timeFilter(ts) AND NOT bot AND NOT lost GROUP BY time, platform ORDER BY time"""
ORDERS_PER_MINUTE = """
    SELECT toStartOfMinute(ts) AS time, if(method = 'none', 'no click found', platform) AS platform, count() AS conversions
    FROM conversion_match FINAL WHERE $__timeFilter(ts) GROUP BY time, platform ORDER BY time"""
RATE_BY_DEVICE = """
    SELECT time, device, conversions / nullIf(clicks, 0) AS rate FROM
    (SELECT toStartOfInterval(ts, INTERVAL 5 MINUTE) AS time, device, uniqExact(click_id) AS clicks
     FROM hit WHERE $__timeFilter(ts) AND NOT bot GROUP BY time, device) AS c
    LEFT JOIN
    (SELECT toStartOfInterval(click_ts, INTERVAL 5 MINUTE) AS time, device, count() AS conversions
     FROM conversion_match FINAL WHERE method != 'none' AND $__timeFilter(click_ts) GROUP BY time, device) AS m
    USING (time, device)
    WHERE time < now() - INTERVAL 5 MINUTE ORDER BY time"""
LOST_CLICKS = """
    SELECT toStartOfMinute(ts) AS time, concat(toString(http_status), ' ', reason) AS answer, count() AS hits
    FROM hit WHERE $__timeFilter(ts) AND lost GROUP BY time, answer ORDER BY time"""
ROUTE_ERRORS = """
    SELECT ts AS time, concat(service, ' ', route) AS route, sum(errors) / sum(requests) AS share
    FROM service WHERE $__timeFilter(ts) GROUP BY time, route HAVING sum(requests) > 0 ORDER BY time"""
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
SPEND_TODAY = """
    SELECT currency, sum(cost_micros) / 1e6 AS spend FROM spend_current WHERE ts >= toStartOfDay(now()) GROUP BY currency ORDER BY currency"""
CLICKS_TODAY = "SELECT uniqExact(click_id) AS clicks FROM hit WHERE ts >= toStartOfDay(now()) AND NOT bot"
ORDERS_TODAY = "SELECT count() AS conversions FROM conversion_match FINAL WHERE ts >= toStartOfDay(now())"
UNMATCHED_TODAY = """
    SELECT countIf(method = 'none') / count() AS share FROM conversion_match FINAL WHERE ts >= toStartOfDay(now())"""


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
        store_figure("Clicks today", "Distinct click IDs without bots, today (UTC).", CLICKS_TODAY),
        store_figure("Conversions today", "Newest version of every conversion, matched or not.", ORDERS_TODAY),
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
        store_over_time("Clicks a minute", "By platform, without bots and lost hits.", CLICKS_PER_MINUTE),
        store_over_time("Conversions a minute", "By the platform of the matched click.", ORDERS_PER_MINUTE),
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
                ("histogram_quantile(0.5, sum by (le) (rate(clicktrace_redirect_duration_seconds_bucket[5m])))", "p50"),
                ("histogram_quantile(0.99, sum by (le) (rate(clicktrace_redirect_duration_seconds_bucket[5m])))", "p99"),
            ], unit="s",
        ),
    ]  # fmt: skip
