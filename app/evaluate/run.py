"""Runs a plan on some cores; what is done is kept in a state file, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
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
        self.results: Results = {}
        if path is None:
            return
        header = msgspec.json.encode({"version": VERSION, "plan": plan})
        lines = path.read_bytes().splitlines() if path.exists() else []
        kept = [(line, entry) for line in lines[1:] if (entry := _read(line))] if lines[:1] == [header] else []
        self.results = {entry["key"]: entry["result"] for _, entry in kept}
        # Written anew, so that nothing is appended to a line that was cut off.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in (header, *(line for line, _ in kept))))

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
    with _workers(workers) as pool:
        _run_all(pool, kept, healthy, {}, total=total, progress=progress)
        _run_all(pool, kept, broken, thresholds(plan, kept.results), total=total, progress=progress)
    return kept.results


def _workers(number: int) -> Executor:
    """Processes of their own; a single worker is this process."""
    if number == 1:
        return _Here()
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


class _Here(Executor):
    """Does each piece of work at once, where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _run_all(
    pool: Executor,
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
