from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.auth import KeyRing
from app.cli.exit_codes import exit_code
from app.cli.main import COMMANDS, app, load_command
from app.sessions import Sessions
from core.control.engine import open_control
from core.errors import ClicktraceError, Forbidden, JournalError, NotFound, SettingsError, StoreError, Transient


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def output(runner: CliRunner, *args: str) -> str:
    result = runner.invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def clicktrace(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", *args], capture_output=True, text=True, timeout=60, env=environ
    )


def test_the_help_names_every_command_and_imports_no_part() -> None:
    code = "import sys; import app.cli.main; print([m for m in ('nicegui', 'chdb', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]"
    shown = clicktrace("--help", COLUMNS="200").stdout
    assert [name for name in COMMANDS if f" {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_loaded_and_explains_itself(name: str, runner: CliRunner) -> None:
    assert load_command(name).name == name
    assert "Usage" in output(runner, name, "--help")


def test_the_version_is_printed(runner: CliRunner) -> None:
    assert output(runner, "--version").strip().count(".") == 2


def test_wrong_settings_end_with_all_problems_and_no_traceback(tmp_path: Path) -> None:
    environ = {"CLICKTRACE_DATA_DIR": str(tmp_path), "CLICKTRACE_MONITOR__PORT": "x", "CLICKTRACE_NOTHING": "1"}
    run = clicktrace("keys", "list", **environ)
    assert run.returncode == 78
    assert "monitor.port" in run.stderr
    assert "there is no setting nothing" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_named_configuration_file_is_used(tmp_path: Path) -> None:
    file = tmp_path / "clicktrace.yaml"
    file.write_text("monitor: {port: 99999}\n")
    run = clicktrace("--config", str(file), "keys", "list")
    assert run.returncode == 78
    assert "clicktrace.yaml" in run.stderr


@pytest.mark.parametrize("command", ["ship", "ingest"])
def test_cluster_commands_refuse_the_embedded_engine(command: str, tmp_path: Path) -> None:
    run = clicktrace(command, CLICKTRACE_DATA_DIR=str(tmp_path))
    assert run.returncode == 78
    assert "ClickHouse server and PostgreSQL" in " ".join(run.stderr.split())


def test_a_key_is_made_listed_and_revoked(runner: CliRunner, tmp_path: Path) -> None:
    made = json.loads(output(runner, "keys", "add", "shop", "--scope", "ingest", "--client", "acme", "--json"))
    ring = KeyRing(open_control("", tmp_path / "data"))
    principal = ring.check(made["key"])
    assert principal is not None
    assert (principal.name, principal.scopes, principal.clients) == ("shop", {"ingest"}, {"acme"})
    listed = output(runner, "keys", "list", "--json")
    assert made["key"] not in listed
    assert json.loads(listed)[0]["name"] == "shop"
    output(runner, "keys", "revoke", "shop")
    assert json.loads(output(runner, "keys", "list", "--json"))[0]["revoked_at"] is not None


def test_a_link_for_the_console_signs_in_once(runner: CliRunner, tmp_path: Path) -> None:
    output(runner, "keys", "add", "ada", "--scope", "read")
    url = json.loads(output(runner, "keys", "link", "ada", "--json"))["url"]
    engine = open_control("", tmp_path / "data")
    sessions = Sessions(engine, KeyRing(engine))
    token = url.partition("token=")[2]
    principal = sessions.redeem(token)
    assert principal is not None
    assert principal.name == "ada"
    assert sessions.redeem(token) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError(["x"], looked_in=[]), 78),
        (Forbidden("missing_scope", "x"), 77),
        (NotFound("unknown_link", "x"), 3),
        (StoreError("x"), 69),
        (Transient("x", "y"), 69),
        (JournalError("x"), 1),
    ],
)
def test_the_exit_code_says_what_kind_of_failure_it_was(error: ClicktraceError, code: int) -> None:
    assert exit_code(error) == code


def test_the_help_is_there_within_a_second() -> None:
    started = time.monotonic()
    clicktrace("--help")
    # 0.3 s on an idle core; the bound leaves room for a machine that runs other tests beside this one.
    assert time.monotonic() - started < 3
