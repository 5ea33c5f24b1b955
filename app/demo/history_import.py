"""The past enters the product by its own door: generators write journal lines into pipes, `clicktrace import journal` reads them.

One pair of generator and importer per core, so that three weeks are in the journal within half a minute.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.demo import world as w
from app.demo.history import HistoryJob, day_bounds
from app.demo.processes import Child, ChildFailed, clicktrace, python, tail

PAIRS = 2
TIMEOUT_S = 120.0


def import_history(
    *,
    world: w.World,
    start: int,
    end: int,
    folder: Path,
    env: Mapping[str, str],
    logs: Path,
    progress: Callable[[float], None],
) -> None:
    """Generate and import; `progress` is told the share that is done.

    Raises:
        ChildFailed: a generator or an importer ended with an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    days = list(range(len(day_bounds(start, end))))
    children: list[Child] = []
    try:
        for i in range(PAIRS):
            job = HistoryJob(seed=world.seed, site=world.site, start=start, end=end, days=days[i::PAIRS])
            children += _pair(i, job, folder=folder, env=env, logs=logs)
        _wait(children, progress=progress)
    finally:
        for child in children:
            child.stop()


def _pair(i: int, job: HistoryJob, *, folder: Path, env: Mapping[str, str], logs: Path) -> list[Child]:
    pipe = folder / f"history-{i}.ndjson"
    os.mkfifo(pipe)
    importer = Child(f"import {i}", clicktrace("import", "journal", str(pipe)), log=logs / f"import-{i}.log", env=env)
    with pipe.open("wb") as writing:
        generator = Child(
            f"generator {i}",
            python("app.demo.history"),
            log=logs / f"history-{i}.log",
            said=job,
            stdout=writing.fileno(),
        )
    return [generator, importer]


def _wait(children: list[Child], *, progress: Callable[[float], None]) -> None:
    until = time.monotonic() + TIMEOUT_S
    waiting = list(children)
    while waiting:
        for child in list(waiting):
            try:
                code = child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            if code != 0:
                raise ChildFailed(f"{child.name} ended with code {code}:\n{tail(child.log)}")
            waiting.remove(child)
            progress(1 - len(waiting) / len(children))
        if time.monotonic() > until:
            raise ChildFailed(f"the history is not imported after {TIMEOUT_S:.0f} s")
