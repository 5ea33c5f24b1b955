"""A process that reads every source at once and is killed. Told to stand still, each reader stops for good once its first window is
journaled and its position is not saved yet, which is where a crash costs most; else it is killed wherever it is.

python -m tests.collectors.killed_readers PLAN    (JSON: see `Plan`)
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import msgspec

from collectors import registry
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.collectors.every_source import TOY, TOY_SOURCE, Parts, Settings, runner_of, source_of


class Plan(msgspec.Struct):
    """What to read, as of when; `directory` has the journal and the control database."""

    directory: str
    now: int
    settings: list[Settings]
    stand_still: bool = True


class StandingStill:
    """Checkpoints that never get a position: the reader says so and waits for its death."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def get(self, name: str) -> bytes | None:
        return self._checkpoints.get(name)

    def put(self, name: str, value: bytes) -> None:
        if not name.startswith("position:"):
            return self._checkpoints.put(name, value)
        os.write(1, f"{name}\n".encode())  # in one piece: other readers speak, too
        threading.Event().wait()


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    registry.SOURCES[TOY] = TOY_SOURCE

    def clock() -> int:
        return plan.now

    directory = Path(plan.directory)
    control = open_control("", directory, migrate=False)
    journal = JournalWriter(directory / "journal", config=JournalConfig(), clock=clock, name="killed")
    sources = [source_of(one) for one in plan.settings]
    checkpoints = Checkpoints(control, "collectors", clock=clock)
    runner = runner_of(
        sources,
        Parts(journal, control, None, clock),
        concurrency=len(sources),
        checkpoints=StandingStill(checkpoints) if plan.stand_still else checkpoints,
    )
    runner.start()
    os.write(1, b"reading\n")
    threading.Event().wait()


if __name__ == "__main__":
    main()
