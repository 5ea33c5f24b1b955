from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from core.journal.reader import iter_lines
from core.journal.segment import list_segments

HEADER = "conversion_id,type,status,value,currency,ts\n"
ROW = "o-1,order,confirmed,59.90,EUR,2026-09-01T10:00:00Z\n"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["import", *arguments])
    return result.exit_code, result.output


def test_a_file_is_imported_into_the_journal_and_only_once(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(HEADER + ROW)
    code, output = run("conversions", "orders.csv")
    assert code == 0
    assert "1 rows written" in output
    code, output = run("conversions", "orders.csv", "--json")
    assert json.loads(output)["files"][0]["already"] is True
    records = [line.record for segment in list_segments(data_dir / "journal") for line in iter_lines(segment.path)]
    assert [record.source for record in records] == ["file"]


def test_bad_lines_are_shown_and_the_exit_code_says_so(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(HEADER + ROW + "o-2,order,confirmed,x,EUR,2026-09-01T10:00:00Z\n")
    code, output = run("conversions", "orders.csv")
    assert code == 1
    assert "line 3: bad_value: value" in output


def test_columns_are_mapped(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(HEADER.replace("conversion_id", "Order") + ROW)
    code, output = run("conversions", "orders.csv", "--map", "Order=conversion_id")
    assert (code, "1 rows written" in output) == (0, True)


@pytest.mark.parametrize(
    "kind",
    [
        "clicks",
        "touches",
        "conversions",
        "spend",
        "deploys",
        "services",
        "campaigns",
        "impressions",
        "gauges",
        "sales",
        "rates",
        "journal",
    ],
)
def test_every_kind_has_its_command(kind: str) -> None:
    code, output = run(kind, "--help")
    assert (code, "--map" in output) == (0, True)
