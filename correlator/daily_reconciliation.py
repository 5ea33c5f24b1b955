"""The reconciliation of every day: what it found is kept in the store and shown as metrics (design §5, docs/reconciliation.md).

1. From `daily_at_h` o'clock UTC on, the day before is due, and the days before it are looked at again, because sources tell late.
2. A run asks what was known at the moment it was due, whenever it takes place: it finds the same after a standstill or in a refilled store.
3. It writes what it counted (from which later days learn what is usual), then what it found, and last that it took place: a run that was
   cut off is done again and writes the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
import structlog

from core.clock import DAY_MS, HOUR_MS, to_datetime
from core.store.client import Store
from correlator import queries
from correlator.breaks.evidence import surroundings
from correlator.breaks.found import Table, breaks_of
from correlator.breaks.model import Break, Cause
from correlator.config import CorrelatorConfig
from correlator.counted import ALL, Counts, Key
from correlator.leaks import steps_of
from correlator.past import matched
from correlator.period import Question
from correlator.reconciliation import explained, tables_of
from correlator.reconciliation_metrics import ReconciliationMetrics
from correlator.steps_kept import kept

log = structlog.get_logger(__name__)

_RUN: Final = ("day", "known_by", "campaigns", "breaks")
_DAY: Final = ("day", "known_by", "campaign", "steps")
_FINDING: Final = (
    "day", "known_by", "scope", "kind", "name", "system", "against", "count", "expected", "currency", "cause", "causes",
)  # fmt: skip

Explanations = list[tuple[Break, list[Cause]]]


class DailyReconciliation:
    """Runs whatever is due, one run a tick. One instance, one thread.

    Args:
        shipped_through: `known_at` (ms) up to which everything journaled is in the store; a run waits until its moment is.
    """

    def __init__(self, store: Store, *, config: CorrelatorConfig, shipped_through: Callable[[int], int]) -> None:
        self._store = store
        self._config = config
        self._shipped_through = shipped_through
        self._metrics = ReconciliationMetrics(store, config)
        self._settled = 0

    def tick(self, now: int) -> int:
        """Do the oldest run that is due and not done; its moment (ms), 0 when there is none."""
        latest = latest_due(now, config=self._config)
        if self._settled == latest:
            return 0
        waiting = self.waiting(latest)
        if not waiting:
            self._settle(latest)
        elif waiting[0] <= self._shipped_through(now):
            self.run(waiting[0], newest=waiting[0] == latest)
            return waiting[0]
        return 0

    def waiting(self, latest: int) -> list[int]:
        """Moments (ms) up to `latest` that a run was due at and none took place for, the oldest first; as far back as is learned from."""
        first = latest - (self._config.reconciliation.history_days - 1) * DAY_MS
        done = {
            int(row["due"]) for row in queries.read(self._store, queries.text("reconciliation_runs"), {"since": first})
        }
        return [due for due in range(first, latest + 1, DAY_MS) if due not in done]

    def run(self, due: int, *, newest: bool = True) -> None:
        """Reconcile what was due at `due` (ms): the day before and those looked at again, also in a run that is caught up, so that a store filled
        anew holds what it held. The `newest` is shown."""
        yesterday = due - due % DAY_MS - DAY_MS
        for day in reversed(
            [yesterday - number * DAY_MS for number in range(self._config.reconciliation.recheck_days)]
        ):
            self._reconcile(day, due=due)
        if newest:
            self._settle(due)

    def _reconcile(self, day: int, *, due: int) -> None:
        question = Question(since=day, until=day + DAY_MS, now=due, as_of=due, grain_ms=DAY_MS)
        reach = self._config.reconciliation.history_days * DAY_MS
        history = kept(self._store, self._config, msgspec.structs.replace(question, since=day - reach, until=day))
        with matched(self._store, self._config, question) as known:
            counts, tables = tables_of(self._store, self._config, known, by_campaign=True, history=history)
        found = self._explained(question, breaks_of(tables), counts=counts)
        self._keep(day, due=due, tables=tables, found=found)

    def _explained(self, question: Question, breaks: list[Break], *, counts: dict[Key, Counts]) -> Explanations:
        if not breaks:
            return []
        with matched(self._store, self._config, surroundings(question)) as past:
            around = msgspec.structs.replace(question, matched_in=past.matched_in)
            return explained(self._store, self._config, around, breaks, counts=counts)

    def _keep(self, day: int, *, due: int, tables: list[Table], found: Explanations) -> None:
        place = (_date(day), to_datetime(due))
        campaigns = [table for table in tables if table.scope != ALL]
        self._store.insert("reconciled_day", _DAY, [[*place, t.scope, steps_of(t.counts)] for t in campaigns])
        self._store.insert("reconciliation_finding", _FINDING, [[*place, *_finding(*one)] for one in found])
        self._store.insert("reconciliation_run", _RUN, [[*place, len(campaigns), len(found)]])
        log.info("day reconciled", day=str(place[0]), campaigns=len(campaigns), breaks=len(found))

    def _settle(self, due: int) -> None:
        """Nothing waits any more: show the newest day as the newest run found it."""
        self._metrics.show(due - due % DAY_MS - DAY_MS, due=due)
        self._settled = due


def latest_due(now: int, *, config: CorrelatorConfig) -> int:
    """The newest moment (ms) at or before `now` that a run is due at."""
    hour = round(config.reconciliation.daily_at_h * HOUR_MS)
    return now - (now - hour) % DAY_MS


def _finding(found: Break, causes: Iterable[Cause]) -> list[Any]:
    ranked = list(causes)
    return [
        found.scope,
        found.kind,
        found.name,
        found.system,
        found.believed,
        found.count,
        found.expected,
        found.currency,
        ranked[0].cause,
        msgspec.json.encode(ranked).decode(),
    ]


def _date(day: int) -> date:
    return datetime.fromtimestamp(day / 1000, UTC).date()
