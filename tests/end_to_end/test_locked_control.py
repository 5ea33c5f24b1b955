"""The control database locked by somebody else for longer than anybody waits for a lock: traffic goes on, and nothing is lost or doubled."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from ..app.running_system import eventually, running
from .load import Load
from .test_kill import TWO_WORKERS, assert_exactly_once

#: Writers wait ten seconds for a lock (`core/control/engine.py`), then they are refused.
LOCKED_S = 13.0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_lock_on_the_control_database_stops_no_redirect_and_loses_no_click(tmp_path: Path) -> None:
    with running(tmp_path / "data", environ=TWO_WORKERS) as system:
        system.add_link("spring")
        system.add_link("cold")
        health = system.url("redirect", "/healthz")
        with Load(system.url("redirect", "/spring"), per_second=200.0) as load:
            eventually(lambda: len(load.answered) > 100, within_s=40, what="traffic")
            locker = sqlite3.connect(system.data_dir / "control.sqlite", isolation_level=None, timeout=30)
            locker.execute("BEGIN EXCLUSIVE")
            locked_at, before = time.monotonic(), len(load.answered)
            while time.monotonic() < locked_at + LOCKED_S:
                assert httpx.get(system.url("redirect", "/cold"), timeout=5).status_code == 302, "reads wait for nobody"
                assert httpx.get(health, timeout=5).json()["status"] == "ok"
                time.sleep(0.5)
            during = len(load.answered) - before
            locker.execute("ROLLBACK")
            locker.close()
            eventually(lambda: len(load.answered) > before + during + 100, within_s=40, what="traffic afterwards")
        assert load.failed == 0
        assert during > 100
        assert_exactly_once(system, load.answered)
        assert all(system.pid(name) for name in ("redirect-0", "redirect-1", "monitor")), "nobody had to be restarted"
