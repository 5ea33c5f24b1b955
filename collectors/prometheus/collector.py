"""Gauges and service minutes from range queries of a Prometheus server (collectors/prometheus/README.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from collectors.base import Fetched
from collectors.bearer_api import Deadline
from collectors.prometheus import series as pure
from collectors.prometheus.api import PrometheusApi, Series
from collectors.prometheus.config import (
    MAX_POINTS,
    GaugeQuery,
    PrometheusConfig,
    PrometheusConnection,
    ServiceQueries,
)
from collectors.prometheus.series import MINUTE_S, Minutes
from collectors.windows import Window
from core.errors import Permanent
from core.records import Record

KIND: Final = "prometheus"
#: What Prometheus remarks on a query (a metric whose name is not a counter's) does not mean that anything is missing.
_ABOUT_THE_QUERY: Final = "PromQL "


class PrometheusSource:
    """Reads one server; see `collectors.base.Source`."""

    def __init__(self, connection: PrometheusConnection, *, config: PrometheusConfig) -> None:
        self.name = f"{KIND}:{connection.name}"
        self.config = config
        self._connection = connection
        self._api = PrometheusApi(
            self.name,
            endpoint=connection.endpoint,
            credentials_file=connection.credentials_file,
            basic_auth_file=connection.basic_auth_file,
            org_id=connection.org_id,
        )

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """The steps that end in the window and are older than the documented lag."""
        deadline = Deadline(self.name, deadline_s)
        until = min(window.until, now - self.config.documented_lag_s * 1000)
        warnings: list[str] = []
        records: list[Record] = []
        for asked in self._connection.gauges:
            step = self._connection.step_s
            records += pure.gauges(self._series(asked.query, window.since, until, step, deadline, warnings), asked, source=self.name)  # fmt: skip
        for queries in self._connection.services:
            records += self._minutes(queries, window.since, until, deadline, warnings)
        # A warning says that a part of a federated server did not answer: what came is kept, and asked for again.
        return Fetched(records=records, failed=len(warnings), detail="; ".join(sorted(set(warnings))[:3]))

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        return Fetched(records=[])

    def probe(self, *, now: int, deadline_s: float) -> str:
        """Whether each query is understood, and how many series it has now."""
        deadline = Deadline(self.name, deadline_s)
        end = now // 1000 // MINUTE_S * MINUTE_S
        found = 0
        for query in _queries(self._connection.gauges, self._connection.services):
            answer = self._api.query_range(
                query, start_s=end - 10 * MINUTE_S, end_s=end, step_s=MINUTE_S, deadline_s=deadline.left_s()
            )
            if not answer.data.result:
                raise Permanent(self.name, f"no series in the last 10 minutes: {query[:200]}")
            found += len(answer.data.result)
        return f"reads {found} series"

    def close(self) -> None:
        self._api.close()

    def _minutes(
        self, asked: ServiceQueries, since: int, until: int, deadline: Deadline, warnings: list[str]
    ) -> list[Record]:
        minutes = Minutes(requests={}, errors={}, duration_sum={}, buckets={})
        for query, cells in (
            (asked.requests, minutes.requests),
            (asked.errors, minutes.errors),
            (asked.duration_sum, minutes.duration_sum),
        ):
            if query:
                pure.add(cells, self._series(query, since, until, MINUTE_S, deadline, warnings), asked)
        if asked.buckets:
            found = self._series(asked.buckets, since, until, MINUTE_S, deadline, warnings)
            pure.add_buckets(minutes.buckets, found, asked)
        return [*pure.services(minutes, source=self.name)]

    def _series(
        self, query: str, since: int, until: int, step_s: int, deadline: Deadline, warnings: list[str]
    ) -> Iterator[Series]:
        """The series of a query, in spans that Prometheus answers."""
        for start_s, end_s in spans(since, until, step_s=step_s):
            answer = self._api.query_range(
                query, start_s=start_s, end_s=end_s, step_s=step_s, deadline_s=deadline.left_s()
            )
            if len(answer.data.result) > self._connection.max_series:
                raise Permanent(
                    self.name,
                    f"{len(answer.data.result)} series, more than max_series ({self._connection.max_series}): {query[:200]}",
                )
            warnings += [warning for warning in answer.warnings if not warning.startswith(_ABOUT_THE_QUERY)]
            yield from answer.data.result


def spans(since: int, until: int, *, step_s: int) -> list[tuple[int, int]]:
    """(first step, last step) in seconds, none longer than Prometheus answers, of the steps in [since, until) (ms).

    Steps stand on multiples of their length, so that a second read asks for the same points.
    """
    first, end = -(-since // (step_s * 1000)) * step_s, until / 1000
    found = []
    while first < end:
        last = min(first + (MAX_POINTS - 1) * step_s, -(-until // (step_s * 1000)) * step_s - step_s)
        found.append((first, last))
        first = last + step_s
    return found


def _queries(gauges: Sequence[GaugeQuery], services: Sequence[ServiceQueries]) -> list[str]:
    of_services = [
        query
        for asked in services
        for query in (asked.requests, asked.errors, asked.buckets, asked.duration_sum)
        if query
    ]
    return [*(asked.query for asked in gauges), *of_services]
