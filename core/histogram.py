"""A Prometheus histogram whose buckets carry the trace of something that fell into them (an OpenMetrics exemplar).

prometheus_client's own dates an exemplar when it is observed; ours are dated when they happened, which is what a person looks for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar


class Histogram(Collector):
    """Counts by one closed label, or none.

    Args:
        labels: the label's name, if any.
        values: every value it may have.
        bounds: upper bounds of the buckets in base units, rising; the last bucket is open.
    """

    def __init__(
        self,
        name: str,
        text: str,
        *,
        bounds: Sequence[float],
        labels: Sequence[str] = (),
        values: Sequence[str] = ("",),
    ) -> None:
        self._name = name
        self._text = text
        self._labels = list(labels)
        self._bounds = tuple(bounds)
        self._lock = Lock()
        self._counts = {value: [0] * (len(bounds) + 1) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        self._exemplars: dict[tuple[str, int], Exemplar] = {}

    def add(self, amount: float, *, value: str = "", trace_id: str = "", at_ms: int = 0) -> None:
        """Count one; `trace_id`, when given, becomes its bucket's exemplar."""
        bucket = bisect_left(self._bounds, amount)
        with self._lock:
            self._counts[value][bucket] += 1
            self._sums[value] += amount
            if trace_id:
                self._exemplars[value, bucket] = Exemplar({"trace_id": trace_id}, amount, at_ms / 1000)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        with self._lock:
            for value in self._counts:
                family.add_metric([value] if self._labels else [], list(self._buckets(value)), self._sums[value])
        yield family

    def _buckets(self, value: str) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        total = 0
        for bucket, count in enumerate(self._counts[value]):
            total += count
            bound = str(self._bounds[bucket]) if bucket < len(self._bounds) else "+Inf"
            exemplar = self._exemplars.get((value, bucket))
            yield (bound, total) if exemplar is None else (bound, total, exemplar)
