"""A process that carries out one pause against an account in a file, and kills itself with SIGKILL where it is told. Run by test_crash.

python -m tests.alerts.dying_process FOLDER WHERE NOW
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from alerts.actions.pause_campaign import PauseCampaign
from alerts.actions.platforms import Platforms
from alerts.config import AlertsConfig
from alerts.ledger import Ledger
from alerts.state import ActionState
from core.control.engine import open_control
from core.vendors.base import CampaignState
from core.vendors.config import AccountConfig
from tests.alerts.world import FaultyPlatform

#: In the order of time. "before_result": the platform has it, the ledger does not know.
PLACES = ("before_intent", "before_call", "after_call", "before_result", "before_read_back", "after_all")


class FilePlatform(FaultyPlatform):
    """The account's state and every write to it lie in a file, so that they outlive the process."""

    def __init__(self, file: Path, *, where: str = "") -> None:
        super().__init__("google", "1", campaigns=["2"])
        self._file, self._where = file, where
        if file.exists():
            kept = json.loads(file.read_text("utf-8"))
            self.statuses, self.writes = kept["statuses"], [tuple(each) for each in kept["writes"]]

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        self._die("before_intent" if self.reads == 0 else "before_read_back")
        return super().campaign(campaign, deadline_s=deadline_s)

    def set_status(self, campaign: str, status: str, *, deadline_s: float) -> None:
        self._die("before_call")
        super().set_status(campaign, status, deadline_s=deadline_s)
        self._keep()
        self._die("after_call")

    def _keep(self) -> None:
        fresh = self._file.with_suffix(".tmp")
        fresh.write_text(json.dumps({"statuses": self.statuses, "writes": self.writes}), "utf-8")
        fresh.replace(self._file)

    def _die(self, where: str) -> None:
        if where == self._where:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingLedger(Ledger):
    """Dies between the platform's answer and the line that would record it."""

    where = ""

    def note(self, *arguments: object, **rest: object) -> object:
        if self.where == "before_result":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().note(*arguments, **rest)


def main(folder: Path, where: str, now: int) -> None:
    ledger = DyingLedger(open_control("", folder))
    ledger.where = where
    platform = FilePlatform(folder / "platform.json", where=where)
    accounts = [AccountConfig(platform="google", account="1")]
    pause = PauseCampaign(ledger, Platforms(accounts, lambda _: platform), config=AlertsConfig(), clock=lambda: now)
    [action] = ledger.find(states=[ActionState.APPROVED])
    pause.execute(action)
    if where == "after_all":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
