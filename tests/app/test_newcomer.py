"""What somebody meets on the first day: wrong words, wrong paths, nobody there. One clear sentence each, never a traceback."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import ArgumentError, DatabaseError

from app.cli import main as cli
from app.failures import sentence

Run = Callable[..., tuple[int, str]]

#: A port that nothing listens on: the kernel never gives it out.
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as the shell does, in an empty folder: its exit code and all it says on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CLICKTRACE_CONFIG", "")  # --config sets it for the process: taken back with this
    monkeypatch.setenv("COLUMNS", "200")

    def go(*arguments: str, **environ: str) -> tuple[int, str]:
        for name, value in environ.items():
            monkeypatch.setenv(f"CLICKTRACE_{name}", value)
        monkeypatch.setattr(sys, "argv", ["clicktrace", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return go


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("freshness", 77, "admin.key cannot be read: No such file or directory; start `clicktrace up` there"),
        (f"freshness --url {NOBODY} --key k", 69, "Connection refused; is the monitor running there?"),
        (
            "freshness --url localhost:8080 --key k",
            1,
            "bad_url: localhost:8080: write the monitor's address as http://host:port",
        ),
        (f"freshness --url {NOBODY} --key geheimwört", 77, "wrong_key: a key has plain letters, digits, - and _ only"),
        ("explain spring_sale", 1, "bad_campaign: spring_sale: write <platform>:<account>:<id>"),
        (f"links show a/b --url {NOBODY} --key k", 3, "there is no link 'a/b': name its slug or ID, not its address"),
        (f"links explain .. --url {NOBODY} --key k", 3, "there is no link '..': name its slug or ID"),
        (f"links import . --url {NOBODY} --key k", 1, "file: .: Is a directory"),
        (
            f"links import links.csv --url {NOBODY} --key k",
            1,
            "'Slugs' is no field of a link: name our field with map=Slugs=slug",
        ),
        ("uploads list --destination google", 1, "there is no destination google; none is configured (uploads)"),
        ("uploads redrive nosuch", 3, "there is no upload nosuch"),
        ("rules check empty", 1, "no_rules: empty: no rule in this folder"),
        ("import conversions nothing.csv", 1, "not_found: nothing.csv: no such file"),
        ("import conversions empty", 1, "not_found: empty: is no file: name the files in it"),
        ("--config nothing.yaml keys list", 78, "nothing.yaml: cannot be read: No such file or directory"),
        ("--config links.csv keys list", 78, "links.csv: expected sections such as `redirect:`, found a single value"),
        ("keys add shop --scope everything", 1, "unknown_scope: everything: scopes are ingest, read"),
        ("demo --scenario fire", 1, "unknown_scenario: 'fire': one of bad-deploy"),
        ("bench ingest --case nosuch", 2, "there is no case nosuch; there are: store"),
        ("imports", 2, "No such command 'imports'. Did you mean 'import'?"),
        ("journal status", 2, "No such command 'status'. Did you mean 'stat'?"),
    ],
)
def test_a_wrong_word_is_answered_by_one_sentence(arguments: str, code: int, said: str, run: Run) -> None:
    Path("empty").mkdir()
    Path("links.csv").write_text("Slugs,destination\nx,https://shop.example/\n")
    found, told = run(*arguments.split())
    assert said in " ".join(told.split())
    assert found == code
    assert "Traceback" not in told
    assert "geheim" not in told
    if code != 2:
        assert [line for line in told.splitlines() if not line.startswith(("error: ", "  - "))] == []


@pytest.mark.parametrize(
    "command",
    ["keys list", "import conversions a.csv", "journal stat", "up", "uploads counts", "actions undo --direct"],
)
def test_a_data_directory_that_cannot_be_made_names_the_setting(command: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, why in ((tmp_path / "file", "it is a file"), (tmp_path / "file" / "below", "Not a directory")):
        code, told = run(*command.split(), DATA_DIR=str(place))
        assert code == 78
        assert f"data_dir: {place} cannot be made: {why}; choose a folder" in told.replace("/run cannot", " cannot")
        assert "Traceback" not in told


def test_a_control_database_that_is_none_says_what_to_restore(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "control.sqlite").write_text("no database" * 100)
    assert run("keys", "list") == (
        1,
        "error: the control database: file is not a database; restore control.sqlite of the data directory from a backup\n",
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CONTROL__URL", "mysql://u:geheim@x/y", "control.url: begins with none of postgresql+psycopg://"),
        ("CONTROL__URL", "geheim", "(CLICKTRACE_CONTROL__URL)"),
        ("STORE__URL", "geheim@host", "store.url: begins with none of http://"),
    ],
)
def test_an_address_of_no_known_kind_is_refused_and_not_shown(name: str, value: str, said: str, run: Run) -> None:
    code, told = run("keys", "list", **{name: value})
    assert code == 78
    assert said in told
    assert "geheim" not in told


def test_postgresql_that_is_not_there_is_one_sentence_without_its_password(run: Run) -> None:
    code, told = run("keys", "list", CONTROL__URL="postgresql+psycopg://u:geheim@127.0.0.1:1/x")
    assert (code, len(told.splitlines())) == (1, 1)
    assert "Connection refused; is it there, and do control.url and its password say how to reach it?" in told
    assert "geheim" not in told


def test_a_clickhouse_server_that_is_not_there_is_one_sentence(run: Run) -> None:
    assert run("journal", "stat", STORE__URL=f"{NOBODY}/x") == (
        69,
        "error: no ClickHouse server answers at 127.0.0.1:1: Connection refused; is it running, and is store.url right?\n",
    )


def test_a_rules_folder_that_is_not_there_is_not_passed_over(run: Run) -> None:
    code, told = run("rules", "check", ALERTS__RULES_DIR="nowhere")
    assert (code, "alerts.rules_dir: nowhere is not a folder" in told) == (78, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied: give this user the right to it"),
        (
            OSError(30, "Read-only file system", "/x"),
            "/x: Read-only file system: choose a data_dir that can be written",
        ),
        (OSError(28, "No space left on device"), "No space left on device: free some space"),
        (OSError("strange"), "strange"),
        (
            DatabaseError("", {}, sqlite3.OperationalError("unable to open database file")),
            "give this user write access",
        ),
        (
            DatabaseError("", {}, sqlite3.OperationalError("database is locked")),
            "another process is writing to it: try again",
        ),
        (ArgumentError("geheim"), "control.url: write postgresql+psycopg://user@host/database"),
    ],
)
def test_what_comes_from_outside_of_the_program_has_its_sentence(error: Exception, said: str) -> None:
    assert said in sentence(error)
    assert "geheim" not in sentence(error)


def test_a_bug_of_ours_is_told_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("figures")

    monkeypatch.setattr(cli, "app", broken)
    assert sentence(KeyError("figures")) == ""
    with pytest.raises(KeyError):
        cli.main()
