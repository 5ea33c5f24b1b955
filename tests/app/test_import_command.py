from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
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


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Exit code and what a person sees: both streams are a terminal, where the bar moves."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", "import", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(secondary)
    shown = b""
    with suppress(OSError):  # a pseudo-terminal ends with EIO
        while block := os.read(primary, 65_536):
            shown += block
    os.close(primary)
    return process.wait(timeout=60), shown.decode()


def test_an_error_leaves_no_bar_that_never_gets_full_and_tells_what_was_done(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(HEADER + ROW)
    (tmp_path / "bad.csv").write_text("GCLID\nx\n")
    code, shown = on_a_terminal("conversions", str(tmp_path / "orders.csv"), str(tmp_path / "bad.csv"))
    # What stays: after the bars were last wiped from their lines.
    left = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("\x1b[2K") :])
    assert code == 1
    assert "orders.csv ━" in left
    assert re.search("bad.csv +(\x1b\\[90m)?━", shown)
    assert "bad.csv" not in left
    assert "1 rows written" in left
    assert left.splitlines()[-1].startswith("error: unknown_field: column(s) GCLID: did you mean --map GCLID=gclid?")


def test_without_a_terminal_there_is_no_bar_and_nothing_but_the_error(data_dir: Path, tmp_path: Path) -> None:
    code, output = run("conversions", str(tmp_path / "nothing.csv"))
    assert (code, output) == (1, "")
