"""Dashboards are built from code, are fresh, and every query in them runs on the real engine."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.clock import HOUR_MS, now_ms
from core.records import Reading, Watermark
from core.store.client import Store
from core.store.read_only import check_statement
from grafana.build import GENERATED, rendered
from grafana.dashboards import campaigns, system_health

ROOT = Path(__file__).parent.parent.parent


def panels(node: Any) -> list[dict[str, Any]]:
    found = []
    for panel in node.get("panels", []):
        found += [panel, *panels(panel)]
    return found


def boards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(GENERATED.glob("*.json"))]


def store_queries() -> list[tuple[str, str]]:
    found = []
    for board in boards():
        for panel in panels(board):
            found += [(panel["title"], t["rawSql"]) for t in panel.get("targets", []) if "rawSql" in t]
        found += [(a["name"], a["target"]["rawSql"]) for a in board["annotations"]["list"] if "target" in a]
    return found


def without_macros(sql: str) -> str:
    """Grafana's time macro as it expands it for a range of three hours."""
    return re.sub(r"\$__timeFilter\((\w+)\)", r"\1 >= now() - 10800 AND \1 <= now()", sql)


def test_built_files_are_fresh() -> None:
    assert {path.name: path.read_text("utf-8") for path in rendered()} == {p.name: t for p, t in rendered().items()}


@pytest.mark.parametrize(("title", "sql"), store_queries(), ids=[t for t, _ in store_queries()])
def test_every_store_query_runs(store: Store, title: str, sql: str) -> None:
    asked = without_macros(sql)
    assert store.query(asked).num_columns > 0
    # The read-only port refuses what is no plain reading.
    functions = {str(row["name"]).lower() for row in store.rows("SELECT name FROM system.table_functions")}
    (canonical,) = store.rows("SELECT formatQuerySingleLine({asked:String}) AS text", {"asked": asked})
    check_statement(str(canonical["text"]), table_functions=functions)


def metric_queries() -> list[str]:
    return [t["expr"] for board in boards() for panel in panels(board) for t in panel.get("targets", []) if "expr" in t]


def test_every_metric_query_runs(tmp_path: Path) -> None:
    """On Prometheus' own engine, which has no series here: a query that cannot be run is an error all the same."""
    cases = [{"expr": expr, "eval_time": "1h", "exp_samples": []} for expr in metric_queries()]
    assert cases
    file = tmp_path / "queries.test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [], "tests": [{"interval": "1m", "promql_expr_test": cases}]}), "utf-8"
    )
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def rule_expressions() -> list[str]:
    groups = yaml.safe_load((ROOT / "grafana/prometheus/rules.yaml").read_text("utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_every_metric_asked_for_is_one_of_ours() -> None:
    ours = set(re.findall(r"^\| `(clicktrace_\w+)`", (ROOT / "docs/metrics.md").read_text("utf-8"), re.M))
    shown = {name + suffix for name in ours for suffix in ("", "_total", "_bucket", "_sum", "_count")}
    asked = set(re.findall(r"\bclicktrace_\w+", " ".join([*metric_queries(), *rule_expressions()])))
    assert asked
    assert asked - shown == set()


#: The engine's now() is a whole second: what is younger than that lies in its future.
SECOND_MS = 1_000


def reading(source: str, state: Any, *, used: float = 0.0, **fields: Any) -> Reading:
    quota: dict[str, Any] = {"quota_unit": "tokens a day", "quota_used": used, "quota_limit": 200.0} if used else {}
    return Reading(ts=now_ms() - SECOND_MS, source=source, state=state, **quota, **fields)


@pytest.fixture
def told(store: Store, journal: Any, ship: Any, clock: Any) -> Store:
    """Three sources: one well, one out of quota with a finding, one that left the settings."""
    clock.now = now = now_ms() - SECOND_MS
    odd = {"findings": ["null_rate"], "details": ["sessions empty in 60 % of rows"]}
    waiting = {"detail": "tokens are used up", "next_attempt": now + HOUR_MS, **odd}
    journal.append_many(
        [
            Watermark(ts=now, source="google_ads:1", complete_through=now - 3 * HOUR_MS, documented_lag_s=3 * 3600),
            Watermark(ts=now, source="gone:1", complete_through=now - HOUR_MS),
            reading("google_ads:1", "complete", last_success=now),
            reading("ga4:shop", "complete", last_success=now, used=20.0),
            reading("ga4:shop", "quota", last_success=now, used=190.0, **waiting),
            reading("gone:1", "removed", used=1.0, **odd),
        ]
    )
    ship()
    return store


def test_the_panels_of_sources_tell_state_finding_and_quota(told: Store) -> None:
    sources = told.rows(system_health.SOURCES)
    assert [(s["source"], s["reading"], s["detail"]) for s in sources] == [
        ("ga4:shop", "quota", "tokens are used up"),
        ("google_ads:1", "complete", ""),
    ]
    assert sources[0]["complete_through"] is None, "never complete is blank, not the epoch"
    assert 3 * 3600 <= float(str(sources[1]["behind_s"])) < 3 * 3600 + 60
    findings = [(f["source"], f["finding"], f["detail"]) for f in told.rows(system_health.FINDINGS)]
    assert findings == [("ga4:shop", "null_rate", "sessions empty in 60 % of rows")]
    quotas = [(q["source"], q["used"], q["limit"], q["unit"]) for q in told.rows(system_health.QUOTAS)]
    assert quotas == [("ga4:shop", 190.0, 200.0, "tokens a day")]
    over_time = told.rows(without_macros(system_health.QUOTA_OVER_TIME))
    assert {round(float(str(row["share"])), 3) for row in over_time if row["source"] == "ga4:shop"} == {0.1, 0.95}


def test_a_source_that_left_the_settings_is_not_shown(told: Store) -> None:
    assert [row["source"] for row in told.rows(campaigns.FRESHNESS)] == ["google_ads:1"]


def test_every_panel_says_what_it_answers() -> None:
    silent = [
        p["title"] for board in boards() for p in panels(board) if p["type"] != "row" and not p.get("description")
    ]
    assert silent == []


def test_provisioned_data_sources_are_the_ones_the_panels_use() -> None:
    provisioned = (ROOT / "grafana/provisioning/datasources/clicktrace.yaml").read_text("utf-8")
    used = {p["datasource"]["uid"] for board in boards() for p in panels(board) if "datasource" in p}
    assert used
    assert all(f"uid: {uid}" in provisioned for uid in used)


def test_grafana_is_given_a_key_for_the_store() -> None:
    """The read-only port answers nobody without one (core/store/read_server.py)."""
    provisioned = yaml.safe_load((ROOT / "grafana/provisioning/datasources/clicktrace.yaml").read_text("utf-8"))
    (store,) = [one for one in provisioned["datasources"] if one["uid"] == "clicktrace-store"]
    given = yaml.safe_load((ROOT / "grafana/compose.yaml").read_text("utf-8"))["services"]["grafana"]["environment"]
    asked = re.findall(r"\$\{(\w+)\}", json.dumps(provisioned))
    assert store["secureJsonData"]["password"] == "${CLICKTRACE_STORE_KEY}"
    assert store["jsonData"]["username"]
    assert set(asked) <= given.keys()
