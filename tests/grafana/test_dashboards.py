"""Dashboards are built from code, are fresh, and every query in them runs on the real engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.store.client import Store
from grafana.build import GENERATED, rendered

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
    assert store.query(without_macros(sql)).num_columns > 0


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
