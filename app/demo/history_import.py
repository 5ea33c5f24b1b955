"""The past enters the product by its own door: generators write files of journal lines, `clicktrace import journal` reads them.

One generator and one importer per core, so that three weeks are in the journal within a quarter of a minute.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.demo import world as w
from app.demo.history import HistoryJob, day_bounds
from app.demo.processes import Child, ChildFailed, clicktrace, python, tail

PARTS = 2
TIMEOUT_S = 120.0
#: Share of the time that goes into writing the files.
GENERATING = 0.4


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
    """Generate and import; `progress` is told the share that is done. The files are removed afterwards.

    Raises:
        ChildFailed: a generator or an importer ended with an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    days = list(range(len(day_bounds(start, end))))
    files = [folder / f"history-{i}.ndjson" for i in range(PARTS)]
    jobs = [
        HistoryJob(seed=world.seed, site=world.site, start=start, end=end, days=days[i::PARTS]) for i in range(PARTS)
    ]
    generators = [_generator(i, job, file, logs=logs) for i, (job, file) in enumerate(zip(jobs, files, strict=True))]
    _wait(generators)
    progress(GENERATING)
    importers = [
        Child(f"import {i}", clicktrace("import", "journal", str(file)), log=logs / f"import-{i}.log", env=env)
        for i, file in enumerate(files)
    ]
    _wait(importers)
    for file in files:
        file.unlink()


def _generator(i: int, job: HistoryJob, file: Path, *, logs: Path) -> Child:
    with file.open("wb") as out:
        return Child(
            f"generator {i}", python("app.demo.history"), log=logs / f"history-{i}.log", said=job, stdout=out.fileno()
        )


def _wait(children: list[Child]) -> None:
    """Until all of them are done; whatever happens, none is left running."""
    until = time.monotonic() + TIMEOUT_S
    try:
        for child in children:
            code = child.wait(max(0.1, until - time.monotonic()))
            if code != 0:
                raise ChildFailed(f"{child.name} ended with code {code}:\n{tail(child.log)}")
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"the history is not imported after {TIMEOUT_S:.0f} s") from None
    finally:
        for child in children:
            child.stop()
