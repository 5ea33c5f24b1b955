"""One formula, three ways, one figure: what the catalogue's queries count in a store is what reports, rules and Prometheus tell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerts.observations import REDIRECT_METRICS, read_redirect
from app.cli import metrics
from core.errors import Invalid
from core.metric_catalogue import catalogue, value
from core.metric_description import DURING, described
from core.metric_queries import promql, query
from core.records import Service
from tests.correlator.conftest import moment

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
BOUND = {name: moment(text) for name, text in DAY.items()}
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture
def busy(world: Any) -> Any:
    """Clicks of all sorts (repeated, lost, a machine's, one that began the day before), conversions with and without a click, spend, sessions."""
    first = world.click("2026-09-20T23:59:00Z", network="192.0.2.0/24")
    world.click("00:30", click_id=first, network="192.0.2.0/24")
    clicks = [world.click(f"09:{minute:02d}", duration_us=80 + minute) for minute in range(20)]
    world.click("09:30", click_id=clicks[0])
    world.click("09:40", http_status=404, reason="unknown_link", duration_us=5_000)
    world.click("09:41", user_agent=BOT)
    for number, click in enumerate(clicks[:3]):
        world.conversion(f"10:{number:02d}", click_id=click, value_micros=20_000_000, currency="USD")
    world.conversion("10:30", value_micros=5_000_000, currency="USD")
    world.conversion("10:31", status="rejected", value_micros=5_000_000, currency="USD")
    world.campaign("08:00", name="Spring", currency="USD")
    world.spend("09:00", 30, known="11:00", clicks=16)
    world.tally("09:00", "session", 17, known="11:30")
    world.watermark("11:00", known="11:40", source="ga4:1")
    world.watermark("11:00", known="11:40", source="google_ads:1")
    minute = {"service": "shop", "route": "/p", "version": "1", "buckets": [], "duration_sum_s": 1.0}
    for errors in (3, 0):
        world.tell(Service(ts=moment("09:00"), source="otlp", requests=100, errors=errors, **minute))
    world.settle("12:00")
    return world


def asked(world: Any, name: str, **by: str) -> Any:
    rows = world.store.rows(query(name, during=DURING, by=by), BOUND)
    return rows if by else rows[0][name]


def test_live_queries_count_what_the_reports_count(busy: Any) -> None:
    rows = busy.get("/roi", **DAY)["rows"]
    told = {field: sum(row[field] for row in rows) for field in ("hits", "clicks", "lost_hits")}
    assert told["clicks"] == 21, (
        "the first of every click ID, the lost one included; no machine, and nothing of yesterday"
    )
    assert asked(busy, "clicks") == told["clicks"]
    assert asked(busy, "lost_share") == value("lost_share", lost_hits=told["lost_hits"], hits=told["hits"]) == 1 / 24
    assert asked(busy, "reported_spend") == sum(float(row["cost"]["reported"]) for row in rows) == 30
    prices = {row["cost"]["cost_per_click"] for row in rows if row["campaign"]}
    assert prices == {"1.875"}, "the store's view of campaigns divides by itself, and comes to the same"
    assert asked(busy, "cost_per_billed_click") == 1.875
    assert asked(busy, "recorded_conversions") == sum(row["outcome"]["conversions"] for row in rows) == 4
    assert asked(busy, "unmatched_share") == busy.get("/attribution", **DAY)["unmatched"]["share"] == 0.25
    steps = {
        leak["step"]: leak["count"] for table in busy.get("/reconciliation", **DAY)["tables"] for leak in table["leaks"]
    }
    assert asked(busy, "sessions") == steps["sessions"] == 17
    assert asked(busy, "conversion_rate_so_far") == 3 / 21
    assert asked(busy, "page_error_rate") == value("page_error_rate", page_errors=3, page_requests=200)
    # By several tables, values that one of them lacks are kept.
    hours = asked(busy, "conversion_rate_so_far", hour="toHour({time})", platform="platform")
    assert [(row["hour"], row["conversion_rate_so_far"]) for row in hours] == [(0, None), (9, 3 / 21)]
    assert [(row["currency"], row["reported_spend"]) for row in asked(busy, "reported_spend", currency="currency")] == [
        ("USD", 30)
    ]


def test_every_query_runs_and_of_nothing_says_nothing_and_rules_see_the_same_redirect(busy: Any) -> None:
    askable = [metric for metric in described() if metric.sql]
    assert len(askable) >= 10
    for metric in askable:
        (row,) = busy.store.rows(metric.sql, {"since": 0, "until": 1})
        assert not row[metric.name], metric.name
        assert row[metric.name] is None or metric.formula in catalogue().quantities, f"{metric.name}: blank, not zero"
    # Rules see the redirect by the same formulas.
    hour = 3_600_000
    windows = read_redirect(busy.store, window_ms=hour, since=moment("09:00"), now=moment("10:00"), complete_through=0)
    (window,) = [one for one in windows if one.start == moment("09:00")]
    durations = [(80 + minute) / 1e6 for minute in range(20)] + [90 / 1e6, 5_000 / 1e6, 90 / 1e6]
    for fact, metric in REDIRECT_METRICS.items():
        if metric != "lost_share":
            assert window.facts[f"redirect.{fact}"] == pytest.approx(value(metric, redirect_duration=durations)), fact
    assert window.facts["redirect.lost_share"] == value("lost_share", lost_hits=1, hits=23)


def test_prometheus_works_out_the_same_and_has_no_sample_without_a_base(tmp_path: Path) -> None:
    """On Prometheus' own engine: 4 of 40 hits a minute are lost on one machine, and nobody clicks on the other."""
    counter = "clicktrace_click_duration_seconds_count"
    busy_series = [
        {"series": f'{counter}{{outcome="redirected"}}', "values": "0+36x30"},
        {"series": f'{counter}{{outcome="lost"}}', "values": "0+4x30"},
        *(
            {"series": f'clicktrace_redirect_duration_seconds_bucket{{worker="0",le="{le}"}}', "values": f"0+{count}x30"}
            for le, count in (("0.001", 50), ("0.002", 100), ("+Inf", 100))
        ),
    ]  # fmt: skip
    day = [
        *({"series": f'clicktrace_day_conversions{{origin="{one}"}}', "values": "20x30"} for one in ("backend", "crm")),
        {"series": 'clicktrace_day_unmatched_conversions{origin="crm",reason="no_keys"}', "values": "4x30"},
    ]
    quiet_series = [
        {"series": f'{counter}{{outcome="{outcome}"}}', "values": "7+0x30"} for outcome in ("redirected", "lost")
    ]

    def expected(name: str, *samples: float) -> dict[str, Any]:
        return {
            "expr": promql(name),
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": one} for one in samples],
        }

    lost = value("lost_share", lost_hits=4, hits=40)
    assert lost is not None
    tests = [
        {"interval": "1m", "input_series": [*busy_series, *day], "promql_expr_test": [expected("lost_share", lost), expected("redirect_latency_median", 0.001), expected("unmatched_share", 0.1)]},
        {"interval": "1m", "input_series": quiet_series, "promql_expr_test": [expected("lost_share"), expected("redirect_latency"), expected("unmatched_share")]},
    ]  # fmt: skip
    file = tmp_path / "metrics.test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": tests}), "utf-8")
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_api_tells_the_catalogue_to_every_key_that_may_read(world: Any) -> None:
    found = world.get("/metrics")["metrics"]
    assert [one["name"] for one in found] == list(catalogue().metrics)
    one = world.get("/metrics/roi", key=world.keys.add("theirs", scopes=["read"], clients=["acme"]))
    assert (one["formula"], one["tier"], one["owner"], one["unit"]) == (
        "(value - spend) / spend",
        "operational",
        "media-buying",
        "ratio",
    )
    assert {part["name"] for part in one["quantities"]} == {"value", "spend"}
    assert world.get("/metrics/rio", status=404)["reason"] == "unknown_metric"
    assert world.client.get("/api/v1/metrics").status_code == 401


def test_people_read_the_catalogue_without_a_running_monitor() -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(metrics.app, list(arguments), catch_exceptions=False, env={"COLUMNS": "200"}).stdout

    assert "conversion_rate" in run("list")
    financial = json.loads(run("list", "--tier", "financial", "--json"))["metrics"]
    assert {one["tier"] for one in financial} == {"financial"}
    said = run("show", "lost_share")
    assert "lost_hits / hits" in said
    assert "nullIf(count(), 0)" in said
    assert promql("lost_share") in said
    with pytest.raises(Invalid, match="unknown_tier"):
        run("list", "--tier", "yearly")
