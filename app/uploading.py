"""Conversions out as the monitor runs them: destinations, sent log and runner, connected from the settings. Only the leader reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.parts import Base
from app.settings import Settings
from core.control.checkpoints import Checkpoints
from uploads.registry import build_destinations
from uploads.runner import UploadRunner
from uploads.sent_log import SentLog


class Uploading:
    """The uploads of one installation. Without an enabled destination there is nothing to run."""

    def __init__(self, base: Base) -> None:
        self._config = base.settings.uploads
        destinations = build_destinations(self._config)
        self.runner: UploadRunner | None = None
        if destinations:
            self.runner = UploadRunner(
                destinations,
                base.store,
                SentLog(base.control),
                base.journal,
                Checkpoints(base.control, "uploads", clock=base.clock),
                sandbox_accounts=sandbox_accounts(base.settings),
                clock=base.clock,
            )

    def rounds(self) -> Iterator[tuple[str, Callable[[int], None], float]]:
        """What runs at intervals: (name, work, seconds)."""
        if self.runner is not None:
            yield "uploads", self.runner.run_once, self._config.interval_s

    def finish(self) -> None:
        """Let a round that is under way end soon."""
        if self.runner is not None:
            self.runner.finish()

    def stop(self) -> None:
        if self.runner is not None:
            self.runner.close()


def sandbox_accounts(settings: Settings) -> list[str]:
    """Accounts that are marked as tests: nothing of theirs is ever reported."""
    return [f"{each.platform}:{each.account.removeprefix('act_')}" for each in settings.accounts if each.sandbox]
