"""Deployments and releases of a repository, as change markers (collectors/github/README.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, TypeVar

from collectors.base import Fetched, Quota
from collectors.bearer_api import Deadline, fetched, rows_of
from collectors.github import changes
from collectors.github.api import GithubApi, NotThere
from collectors.github.changes import Deployment, Release, Status
from collectors.github.config import GithubConfig, GithubConnection
from collectors.windows import Window
from core.records import Deploy

Row = TypeVar("Row", Deployment, Release)

#: Deployments whose statuses are final and need not be asked for again.
MAX_SETTLED: Final = 5_000


class GithubSource:
    """Reads one connection; see `collectors.base.Source`."""

    def __init__(self, connection: GithubConnection, *, config: GithubConfig) -> None:
        self.name = changes.source_name(connection)
        self.config = config
        self._rollout_ms = config.longest_rollout_s * 1000
        self._connection = connection
        self._api = GithubApi(self.name, endpoint=connection.endpoint, credentials_file=connection.credentials_file)
        self._settled: dict[int, list[Status]] = {}

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """What went live in the window."""
        deadline = Deadline(self.name, deadline_s)
        found: list[Deploy | None] = []
        problems: list[str] = []
        if "deployments" in self._connection.reads:
            for deployment in self._deployments(window, problems, deadline=deadline):
                statuses = self._statuses(deployment, problems, now=now, deadline=deadline)
                found += [changes.deployed(deployment, status, self._connection) for status in statuses]
        if "releases" in self._connection.reads:
            releases = self._listed("releases", Release, problems, since=window.since, deadline=deadline)
            found += [changes.released(release, self._connection) for release in releases]
        return fetched([each for each in found if each and window.since <= each.ts < window.until], problems)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        return Fetched(records=[])

    def probe(self, *, now: int, deadline_s: float) -> str:
        """Whether the repository can be read."""
        deadline = Deadline(self.name, deadline_s)
        for what in self._connection.reads:
            next(self._api.pages(self._path(what), deadline=deadline, per_page="1"))
        return f"reads {' and '.join(self._connection.reads)} of {self._connection.repository}"

    def quota(self) -> Quota | None:
        return self._api.quota()

    def close(self) -> None:
        self._api.close()

    def _path(self, tail: str) -> str:
        return f"repos/{self._connection.repository}/{tail}"

    def _deployments(self, window: Window, problems: list[str], *, deadline: Deadline) -> Iterator[Deployment]:
        """Those that can have gone live in the window: created before its end, and not much before its start."""
        since = window.since - self._rollout_ms
        for environment in self._connection.environments or ("",):
            wanted = {"environment": environment} if environment else {}
            rows = self._listed("deployments", Deployment, problems, since=since, deadline=deadline, **wanted)
            yield from (row for row in rows if since <= changes.ms(row.created_at) < window.until)

    def _listed(
        self, what: str, shape: type[Row], problems: list[str], *, since: int, deadline: Deadline, **wanted: str
    ) -> Iterator[Row]:
        """The rows of a listing, newest first, up to the page that holds nothing new enough."""
        for raws in self._api.pages(self._path(what), deadline=deadline, **wanted):
            rows = rows_of(raws, shape)
            problems += rows.problems
            yield from rows.items
            if rows.items and all(listed_at(row) < since for row in rows.items):
                return

    def _statuses(self, deployment: Deployment, problems: list[str], *, now: int, deadline: Deadline) -> list[Status]:
        """The statuses of a deployment; those of an old one are not asked for twice."""
        if deployment.id in self._settled:
            return self._settled[deployment.id]
        found: list[Status] = []
        try:
            for raws in self._api.pages(self._path(f"deployments/{deployment.id}/statuses"), deadline=deadline):
                rows = rows_of(raws, Status)
                problems += rows.problems
                found += rows.items
        except NotThere:
            return []  # deleted since it was listed
        if changes.ms(deployment.created_at) < now - self._rollout_ms:
            if len(self._settled) >= MAX_SETTLED:
                self._settled.clear()
            self._settled[deployment.id] = found
        return found


def listed_at(row: Deployment | Release) -> float:
    """When the row was made (ms). A draft has no time: it counts as new."""
    moment = row.created_at if isinstance(row, Deployment) else row.published_at
    return changes.ms(moment) if moment else math.inf
