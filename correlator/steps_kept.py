"""Earlier days' counts, which usual ratios are learned from: as the daily runs kept them, or counted again for an as-of question."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.counted import ALL, read_counts
from correlator.leaks import steps_of
from correlator.period import Question
from correlator.report_queries import read_report, report_params

#: Scope -> day (ms) -> step -> count.
History = dict[str, dict[int, dict[str, float]]]


def learned(store: Store, config: CorrelatorConfig, question: Question) -> History:
    """The days before the question's buckets.

    An as-of question counts them again as known then: what a run keeps depends on when it took place, and an as-of answer must not.
    """
    past = msgspec.structs.replace(question, since=question.since - config.reconciliation.history_days * DAY_MS)
    return kept(store, config, past) if question.as_of is None else _counted(store, config, past)


def kept(store: Store, config: CorrelatorConfig, question: Question) -> History:
    """Days in the question's period as the newest runs due by its as-of time counted them; everything is the sum of the campaigns it may see."""
    rows = read_report(store, "reconciled_days", report_params(config, question), question=question)
    found: History = defaultdict(dict)
    total: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        found[row["campaign"]][row["at"]] = row["steps"]
        for step, count in row["steps"].items():
            total[row["at"]][step] += count
    return {**found, ALL: {day: dict(steps) for day, steps in total.items()}}


def history_before(history: History, scope: str, moment: int, *, days: int) -> list[dict[str, float]]:
    """The whole days of a scope that ended by `moment` (ms), of the last so many."""
    return [steps for day, steps in history.get(scope, {}).items() if moment - days * DAY_MS <= day <= moment - DAY_MS]


def _counted(store: Store, config: CorrelatorConfig, question: Question) -> History:
    daily = msgspec.structs.replace(question, grain_ms=DAY_MS)
    found: History = defaultdict(dict)
    for (scope, day), counts in read_counts(store, config, daily).items():
        found[scope][day] = steps_of(counts)
    return found
