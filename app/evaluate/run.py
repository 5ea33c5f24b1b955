"""Runs a plan on some cores; what is done is kept in a state file, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import msgspec

from app.evaluate.plan import Plan, Task, clean_tasks, incident_tasks
from app.evaluate.report import thresholds
from app.evaluate.tasks import run_task
from core.version import VERSION

Results = dict[str, dict[str, Any]]
Progress = Callable[[int, int, str], None]

#: One core a process: a library that takes all of them for each makes everything slower.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class State:
    """Results by task, one JSON line each, appended as they come. A file of another plan or version is begun anew."""

    def __init__(self, path: Path | None, *, plan: Plan) -> None:
        self._path = path
        self._header = {"version": VERSION, "plan": msgspec.to_builtins(plan)}
        self.results: Results = {}
        if path is None:
            return
        lines = path.read_bytes().splitlines() if path.exists() else []
        if lines and _read(lines[0]) == self._header:
            entries = [entry for line in lines[1:] if (entry := _read(line)) is not None]
            self.results = {entry["key"]: entry["result"] for entry in entries}
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(self._header) + b"\n")

    def add(self, task: Task, result: dict[str, Any]) -> None:
        self.results[task.key] = result
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode({"key": task.key, "result": result}) + b"\n")


def run(plan: Plan, *, workers: int, state: Path | None = None, progress: Progress = lambda *_: None) -> Results:
    """All results of a plan by task key: healthy stretches first, then, at the thresholds that these give, what breaks."""
    kept = State(state, plan=plan)
    healthy, broken = clean_tasks(plan), incident_tasks(plan)
    total = len(healthy) + len(broken)
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        _run_all(pool, kept, healthy, {}, total=total, progress=progress)
        _run_all(pool, kept, broken, thresholds(plan, kept.results), total=total, progress=progress)
    return kept.results


def _run_all(
    pool: ProcessPoolExecutor,
    kept: State,
    tasks: Sequence[Task],
    levels: Mapping[str, Mapping[str, Any]],
    *,
    total: int,
    progress: Progress,
) -> None:
    waiting = {
        pool.submit(run_task, task.name, {**task.arguments, **_levels_for(task, levels)}): task
        for task in tasks
        if task.key not in kept.results
    }
    for done in as_completed(waiting):
        kept.add(waiting[done], done.result())
        progress(len(kept.results), total, waiting[done].name)


def _levels_for(task: Task, levels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    world = f"ideal {task.arguments['clicks']}" if "clicks" in task.arguments else "realistic"
    return {"thresholds": levels[world]} if world in levels else {}


def _read(line: bytes) -> dict[str, Any] | None:
    """A line of the state file; None for the one that was being written when the run was stopped."""
    try:
        entry: dict[str, Any] = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return entry
