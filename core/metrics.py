"""The metrics that the shipper derives from click lines; all names of this part are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.histogram import Histogram
from core.span_queue import SpanCounts

#: Upper bounds in seconds: a redirect takes tens of microseconds, a sick one milliseconds.
CLICK_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
#: A line is journaled within a millisecond and shipped within a second; a disk or a store that refuses holds it for minutes.
LAG_BOUNDS_S = (0.005, 0.05, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
CLICK_OUTCOMES = ("redirected", "lost")


class ClickMetrics(Collector):
    """Latencies of clicks with their traces as exemplars, and what became of the spans.

    Args:
        signals: the words that are counted when they stand among a click's `bot_signals`.
        spans: what the span queue counted; None = no spans leave.
    """

    def __init__(self, *, signals: Sequence[str] = (), spans: Callable[[], SpanCounts] | None = None) -> None:
        self._signals = dict.fromkeys(signals, 0)
        self.durations = Histogram(
            "clicktrace_click_duration_seconds",
            "Time from a hit's first byte to its answer, by what it was answered with.",
            bounds=CLICK_BOUNDS_S,
            labels=["outcome"],
            values=CLICK_OUTCOMES,
        )
        self.journal_lag = Histogram(
            "clicktrace_journal_lag_seconds", "Time from a click to its line in the journal.", bounds=LAG_BOUNDS_S
        )
        self.shipper_lag = Histogram(
            "clicktrace_shipper_lag_seconds",
            "Time from a click's line in the journal to its row in the store.",
            bounds=LAG_BOUNDS_S,
        )
        self._spans = spans

    def count_signals(self, words: Sequence[str]) -> None:
        """Count a click's signals; a word that is not in the list is none of ours to name."""
        for word in words:
            if word in self._signals:
                self._signals[word] += 1

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: names are checked by the tests."""
        return []

    def collect(self) -> Iterator[Metric]:
        for histogram in (self.durations, self.journal_lag, self.shipper_lag):
            yield from histogram.collect()
        signals = CounterMetricFamily(
            "clicktrace_click_signals", "Clicks that gave away a machine, by signal.", labels=["signal"]
        )
        for word, count in self._signals.items():
            signals.add_metric([word], count)
        yield signals
        if self._spans is not None:
            yield from _span_counts(self._spans())


def _span_counts(counts: SpanCounts) -> Iterator[Metric]:
    spans = CounterMetricFamily(
        "clicktrace_click_spans", "Spans of clicks, by what became of them.", labels=["outcome"]
    )
    for outcome in ("exported", "dropped", "failed"):
        spans.add_metric([outcome], getattr(counts, outcome))
    yield spans
    yield GaugeMetricFamily("clicktrace_click_spans_queued", "Spans that wait to be exported.", value=counts.queued)
