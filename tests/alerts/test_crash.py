"""A real SIGKILL at every place of a pause; the next process finds out what became of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from alerts.actions.pause_campaign import PauseCampaign
from alerts.actions.platforms import Platforms
from alerts.config import AlertsConfig
from alerts.ledger import Ledger
from alerts.state import FINAL, ActionState
from alerts.verify import verify
from core.vendors.config import AccountConfig
from tests.alerts.dying_process import PLACES, FilePlatform
from tests.alerts.test_stages import action
from tests.alerts.world import Clock

#: What the platform has when the process is gone, and what the next process must report.
EXPECTED = {
    "before_intent": (0, ActionState.PAUSED),  # nothing was begun: it is simply done
    "before_call": (0, ActionState.FAILED),  # intended and never called: reported as not done
    "after_call": (1, ActionState.PAUSED),
    "before_result": (1, ActionState.PAUSED),
    "before_read_back": (1, ActionState.PAUSED),
    "after_all": (1, ActionState.PAUSED),
}


@pytest.mark.parametrize("where", PLACES)
def test_a_killed_pause_is_done_once_or_reported_as_not_done(
    where: str, control: Engine, tmp_path: Path, clock: Clock
) -> None:
    ledger = Ledger(control)
    ledger.propose(action(ActionState.APPROVED), step="approved", payload={}, now=clock.now)
    command = [sys.executable, "-m", "tests.alerts.dying_process", str(tmp_path), where, str(clock.now)]
    died = subprocess.run(command, timeout=60, capture_output=True, cwd=Path(__file__).parents[2])
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()

    writes, state = EXPECTED[where]
    platform = FilePlatform(tmp_path / "platform.json")
    assert len(platform.writes) == writes
    accounts = [AccountConfig(platform="google", account="1")]
    pause = PauseCampaign(ledger, Platforms(accounts, lambda _: platform), config=AlertsConfig(), clock=clock)
    found = ledger.get("a" * 32)
    for _ in range(3):
        if found.state is ActionState.APPROVED:
            found = pause.execute(found)
        elif found.state is ActionState.ACTING:
            found = pause.settle(found)
        clock.advance(40_000)

    assert found.state is state
    assert len(platform.writes) <= 1, "never two writes for one decision"
    assert (platform.statuses["google:1:2"] == "paused") is (state is ActionState.PAUSED), "read-back agrees"
    assert bool(ledger.leases()) is (state not in FINAL), "what is paused has an owner"
    assert verify(ledger) == []
