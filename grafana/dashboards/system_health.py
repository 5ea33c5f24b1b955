"""One dashboard, one question per row: can what we show be believed, and if not, which source or part of ours is it?"""

from __future__ import annotations

from typing import Any

from grafana.panels import board, metric_over_time, row, store_over_time, store_table

UID = "clicktrace-system-health"

# What readers told last; a source that left the settings is not shown. Findings stand for seven days at most.
SOURCES = """
    SELECT source, reading, complete_through, dateDiff('second', complete_through, now()) AS behind_s, documented_lag_s,
           last_complete_read, next_attempt, detail FROM
    (SELECT source, argMax(state, (known_at, o)) AS reading, argMax(detail, (known_at, o)) AS detail,
            argMax(documented_lag_s, (known_at, o)) AS documented_lag_s,
            nullIf(argMax(last_success, (known_at, o)), toDateTime64(0, 3, 'UTC')) AS last_complete_read,
            nullIf(argMax(next_attempt, (known_at, o)), toDateTime64(0, 3, 'UTC')) AS next_attempt
     FROM reading GROUP BY source HAVING reading != 'removed') AS told
    LEFT JOIN
    (SELECT source, toNullable(argMax(w.complete_through, (w.known_at, w.o))) AS complete_through FROM watermark AS w GROUP BY source) AS mark
    USING (source) ORDER BY reading IN ('complete', 'waiting'), source"""
FINDINGS = """
    SELECT source, finding, detail, first_told FROM
    (SELECT source, argMax(state, (known_at, o)) AS reading, argMax(findings, (known_at, o)) AS found, argMax(details, (known_at, o)) AS said
     FROM reading GROUP BY source) AS told
    ARRAY JOIN found AS finding, said AS detail
    LEFT JOIN
    (SELECT source, finding, min(known_at) AS first_told FROM reading ARRAY JOIN findings AS finding
     WHERE known_at > now() - INTERVAL 8 DAY GROUP BY source, finding) AS since
    USING (source, finding)
    WHERE reading != 'removed' ORDER BY source, finding"""
QUOTAS = """
    SELECT source, used, limit, unit, used / limit AS share, resets_at FROM
    (SELECT source, argMax(state, (known_at, o)) AS reading, argMax(quota_used, (known_at, o)) AS used, argMax(quota_limit, (known_at, o)) AS limit,
            argMax(quota_unit, (known_at, o)) AS unit,
            nullIf(argMax(quota_resets_at, (known_at, o)), toDateTime64(0, 3, 'UTC')) AS resets_at
     FROM reading GROUP BY source HAVING limit > 0 AND reading != 'removed')
    ORDER BY share DESC, source"""
QUOTA_OVER_TIME = """
    SELECT ts AS time, source, quota_used / quota_limit AS share FROM reading
    WHERE quota_limit > 0 AND $__timeFilter(ts) ORDER BY time"""


def build() -> Any:
    """The dashboard as the SDK's builder."""
    return board(
        "Clicktrace: system health",
        "Can what we show be believed, and if not, which source or part of ours is it? Alerts have a page each in runbooks/.",
        [*_alerts(), *_sources(), *_reads(), *_doors(), *_ourselves()],
        uid=UID,
    )


def _alerts() -> list[Any]:
    return [
        metric_over_time("Alerts about ourselves", "Firing now, by name. Nothing is good.",
                         [('count by (alertname) (ALERTS{alertname=~"Clicktrace.*",alertstate="firing"})', "{{alertname}}")], width=24),
    ]  # fmt: skip


def _sources() -> list[Any]:
    return [
        row("Sources"),
        store_table(
            "What readers say of their sources",
            "Those that are not well stand first. A figure waits for the sources that it is made of: `clicktrace freshness` says for which.",
            SOURCES,
        ),
        store_table("Answers that are not as they used to be", "Findings by source, from when they were told first. Empty is good.", FINDINGS, width=12),
        store_table("Quota used and its limit", "By the vendor's own count, where it tells; the one that is nearest its end stands first.", QUOTAS, width=12),
        store_over_time("Share of the quota used", "As readers told it: on a change of a tenth, and once an hour.", QUOTA_OVER_TIME, unit="percentunit"),
        metric_over_time("How far sources are behind", "Event time that is not complete yet. The documented lag of a source is its floor.",
                         [("time() - max by (source) (clicktrace_source_complete_through_seconds > 0)", "{{source}}")], unit="s"),
    ]  # fmt: skip


def _reads() -> list[Any]:
    return [
        row("Reads"),
        metric_over_time("Reads by how they ended", "In a quarter of an hour. All but `complete` is a part that did not come.",
                         [("sum by (source, outcome) (increase(clicktrace_source_runs_total[15m]))", "{{source}} {{outcome}}")], width=8),
        metric_over_time("Rows", "In a quarter of an hour. `unchanged`: read again and found equal; `invalid`: not understood; `failed`: parts that did not come.",
                         [("sum by (source, outcome) (increase(clicktrace_source_rows_total[15m]))", "{{source}} {{outcome}}")], width=8),
        metric_over_time("Duration of a read", "With retries; it ends at the source's deadline.",
                         [("sum by (source) (rate(clicktrace_source_run_duration_seconds_sum[15m])) / sum by (source) (rate(clicktrace_source_run_duration_seconds_count[15m]))", "{{source}}")], unit="s", width=8),
    ]  # fmt: skip


def _doors() -> list[Any]:
    return [
        row("What is sent to us"),
        metric_over_time("Items pushed", "By collection and what became of them, in a quarter of an hour.",
                         [("sum by (collection, outcome) (increase(clicktrace_push_items_total[15m]))", "{{collection}} {{outcome}}")], width=6),
        metric_over_time("Webhooks", "Calls by connection and what became of them, in a quarter of an hour.",
                         [("sum by (hook, outcome) (increase(clicktrace_hook_calls_total[15m]))", "{{hook}} {{outcome}}")], width=6),
        metric_over_time("Postbacks", "By sender and what became of them, in a quarter of an hour.",
                         [("sum by (sender, outcome) (increase(clicktrace_postbacks_total[15m]))", "{{sender}} {{outcome}}")], width=6),
        metric_over_time("Spans and metric points", "OTLP requests by what became of them, in a quarter of an hour.",
                         [("sum by (signal, outcome) (increase(clicktrace_otlp_requests_total[15m]))", "{{signal}} {{outcome}}")], width=6),
    ]  # fmt: skip


def _ourselves() -> list[Any]:
    return [
        row("Clicktrace itself"),
        metric_over_time("Journal bytes not yet in the store", "Rises while the shipper is behind.",
                         [("clicktrace_shipper_behind_bytes", "behind")], unit="bytes", width=8),
        metric_over_time("Clicks not journaled", "Answered while the journal could not be written: waiting, and lost for good.",
                         [("sum(clicktrace_redirect_ring_bytes)", "bytes waiting"), ("sum(clicktrace_redirect_lost_total)", "lost")], width=8),
        metric_over_time("Correlator tick", "Seconds per step; a tick starts every 10 s.",
                         [("sum by (step) (rate(clicktrace_correlator_step_duration_seconds_sum[5m]) / rate(clicktrace_correlator_step_duration_seconds_count[5m]))", "{{step}}")], unit="s", width=8),
    ]  # fmt: skip
