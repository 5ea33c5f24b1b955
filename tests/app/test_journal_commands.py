"""`clicktrace journal` beside a running system, and alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .running_system import System, eventually, running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("journal") / "data") as started:
        started.add_link("spring")
        for number in range(20):
            httpx.get(started.url("redirect", f"/spring?gclid={number}"))
        eventually(lambda: int(started.select("SELECT count() AS n FROM click")[0]["n"]) >= 20, within_s=20)
        yield started


def journal(system: System, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "journal", *args],
        env=system.environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def result(system: System, *args: str) -> dict[str, Any]:
    run = journal(system, *args, "--json")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_state_and_agreement_are_told_beside_a_running_monitor(system: System) -> None:
    state = result(system, "stat")
    assert state["segments"] >= 1
    assert state["journal_bytes"] > 0
    assert state["dead_letters"] == {}
    verified = result(system, "verify")
    assert verified["ok"] is True
    assert verified["result"]["lines"] >= 20


def test_a_store_is_not_rebuilt_under_a_running_monitor(system: System) -> None:
    run = journal(system, "rebuild-store", "--yes")
    assert run.returncode == 1
    assert "already runs" in run.stderr


def test_a_stopped_system_is_rebuilt_and_agrees_again(system: System) -> None:
    assert system.stop() == 0
    rebuilt = result(system, "rebuild-store", "--yes")
    assert rebuilt["lines"] >= 20
    assert rebuilt["dead_letters"] == 0
    assert result(system, "verify")["ok"] is True
