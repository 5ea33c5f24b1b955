"""Asynchronous insights jobs as the Graph tells of them: started, asked about, and through or given up after a while."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import msgspec

from app.demo.ad_account import Behaviour


class Job(msgspec.Struct, kw_only=True):
    """`asked` counts the questions so far; `ends_as` is what it comes to after `polls` of them."""

    params: dict[str, str]
    ends_as: str
    polls: int
    asked: int = 0


class Jobs:
    """The jobs of one account, by `report_run_id`. Thread-safe."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, params: dict[str, str]) -> dict[str, Any]:
        """POST act_<account>/insights."""
        with self._lock:
            identifier = str(secrets.randbelow(10**15) + 10**15)
            self._jobs[identifier] = Job(params=params, ends_as=self._fate(), polls=self._behaviour.job_polls)
        return {"report_run_id": identifier}

    def status(self, identifier: str) -> dict[str, Any] | None:
        """GET <report_run_id>; None when there is no such job."""
        with self._lock:
            job = self._jobs.get(identifier)
            if job is None:
                return None
            job.asked += 1
            through = job.asked > job.polls
            percent = 100 if through else 100 * job.asked // (job.polls + 1)
            word = job.ends_as if through else "Job Running" if job.asked > 1 else "Job Started"
        return {"id": identifier, "async_status": word, "async_percent_completion": percent}

    def result(self, identifier: str) -> dict[str, str] | None:
        """The parameters of a job that is through, for its rows; None when there is no such job."""
        with self._lock:
            job = self._jobs.get(identifier)
            done = job is not None and job.asked > job.polls and job.ends_as == "Job Completed"
            return dict(job.params) if job is not None and done else None

    def forget(self) -> None:
        """All IDs expire."""
        with self._lock:
            self._jobs.clear()

    def _fate(self) -> str:
        if self._behaviour.failed_jobs > 0:
            self._behaviour.failed_jobs -= 1
            return "Job Failed"
        if self._behaviour.skipped_jobs > 0:
            self._behaviour.skipped_jobs -= 1
            return "Job Skipped"
        return "Job Completed"
