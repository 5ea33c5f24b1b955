"""`clicktrace detect` from the shell: a file in, its columns and scores out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli.detect import app
from core.errors import NotFound

ROWS = 300


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A quiet series with a spike, two of its rows swapped, and a column of its own."""
    values = np.random.default_rng(2).standard_normal(ROWS)
    values[250] = 20
    lines = [f"{1767225600 + 60 * row},{value:.4f},note {row}" for row, value in enumerate(values)]
    lines[10], lines[11] = lines[11], lines[10]
    path = tmp_path / "series.csv"
    path.write_text("\n".join(["timestamp,value,note", *lines]) + "\n")
    return path


def scored(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_each_row_gets_its_score_on_standard_output(file: Path) -> None:
    result = CliRunner().invoke(app, [str(file)])
    assert result.exit_code == 0
    rows = scored(result.stdout)
    assert [row["note"] for row in rows[9:13]] == ["note 9", "note 11", "note 10", "note 12"]
    assert list(rows[0]) == ["timestamp", "value", "note", "anomaly_score"]
    assert max(rows, key=lambda row: float(row["anomaly_score"]))["note"] == "note 250"
    assert "1 rows go back in time" in result.stderr


def test_the_input_may_be_its_own_output_and_standard_input_works(file: Path) -> None:
    piped = CliRunner().invoke(app, ["-"], input=file.read_text())
    result = CliRunner().invoke(app, [str(file), "--out", str(file)])
    assert result.exit_code == 0
    assert f"{ROWS} rows, 0 without a value, " in result.stderr
    assert scored(file.read_text()) == scored(piped.stdout)
    assert sorted(each.name for each in file.parent.iterdir()) == ["series.csv"]


def test_a_file_that_is_not_there_is_said_so() -> None:
    result = CliRunner().invoke(app, ["/nowhere/series.csv"])
    assert isinstance(result.exception, NotFound)
