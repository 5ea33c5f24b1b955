"""The newest reconciled day as metrics, read from what the runs kept: so they are there again after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prometheus_client import Gauge

from core.clock import DAY_MS
from core.metric_catalogue import value
from core.store.client import Store
from correlator import metrics
from correlator.config import CorrelatorConfig
from correlator.counted import ALL
from correlator.leaks import chain_of, chain_step, pairs_of
from correlator.period import Question
from correlator.report_queries import read_report, report_params
from correlator.steps_kept import kept
from correlator.systems import believed_system

Labels = tuple[str, ...]


class ReconciliationMetrics:
    """Sets the gauges; a label that has no value any more is taken away, and one that has is never missing in between."""

    def __init__(self, store: Store, config: CorrelatorConfig) -> None:
        self._store = store
        self._config = config
        self._labels: dict[Gauge, set[Labels]] = {}

    def show(self, day: int, *, due: int) -> None:
        """Show the day that begins at `day` (ms), as known by `due` (ms)."""
        question = Question(since=day, until=day + DAY_MS, now=due, as_of=due, grain_ms=DAY_MS)
        steps = kept(self._store, self._config, question).get(ALL, {}).get(day, {})
        params = report_params(self._config, question)
        rows = read_report(self._store, "reconciliation_findings", params, question=question)
        breaks: Counter[Labels] = Counter(
            ("all" if row["scope"] == ALL else "campaign", row["kind"], row["name"], row["system"], row["cause"])
            for row in rows
        )
        self._set(metrics.RECONCILIATION_BREAKS, breaks)
        self._set(metrics.RECONCILIATION_VARIANCE, self._variances(steps))
        self._set(metrics.STEP_RATIO, _ratios(steps))
        metrics.RECONCILED_DAY.set(day / 1000)

    def _variances(self, steps: Mapping[str, float]) -> dict[Labels, float]:
        found: dict[Labels, float] = {}
        for step, count in steps.items():
            if (chain := chain_of(step)) is None:
                continue
            believed = believed_system(chain[0], config=self._config)
            known = steps.get(chain_step(chain[0], believed))
            share = value("reconciliation_variance", counted=count, believed=known)
            if share is not None and chain[1] != believed:
                found[chain] = share
        return found

    def _set(self, gauge: Gauge, values: Mapping[Labels, float]) -> None:
        for labels, amount in values.items():
            gauge.labels(*labels).set(amount)
        for labels in self._labels.get(gauge, set()) - set(values):
            gauge.remove(*labels)
        self._labels[gauge] = set(values)


def _ratios(steps: Mapping[str, float]) -> dict[Labels, float]:
    shares = {step: value("step_ratio", step_count=steps[step], step_before=steps[of]) for step, of in pairs_of(steps)}
    return {(step,): share for step, share in shares.items() if share is not None}
