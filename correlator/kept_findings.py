"""What the daily reconciliation found, as it was kept."""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import Conflict
from core.store.client import Store
from correlator import queries
from correlator.breaks.model import Break, Cause
from correlator.config import CorrelatorConfig
from correlator.counted import ALL
from correlator.daily_reconciliation import latest_due
from correlator.period import Question
from correlator.reconciliation import Explained, shown
from correlator.report_queries import read_report, report_params


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A break of one day. `campaign` None = all campaigns together. `known_by`: what the run that found it knew."""

    since_ms: int
    known_by_ms: int
    campaign: str | None
    found: Explained


def findings(store: Store, config: CorrelatorConfig, question: Question) -> list[Finding]:
    """Breaks of the days that begin in the period, newest day first, each day by its newest run.

    Raises:
        Conflict: `as_of_not_complete`, the run that was due last at the as-of time has not taken place yet.
    """
    if question.as_of is not None:
        _check_done(store, due=latest_due(question.as_of, config=config))
    rows = read_report(store, "reconciliation_findings", report_params(config, question), question=question)
    return [_finding(row) for row in rows]


def _check_done(store: Store, *, due: int) -> None:
    runs = queries.read(store, queries.text("reconciliation_runs"), {"since": due})
    if due not in {int(row["due"]) for row in runs}:
        raise Conflict(
            "as_of_not_complete", "as_of: the reconciliation that was due last then has not run yet; ask again"
        )


def _finding(row: dict[str, Any]) -> Finding:
    found = Break(
        scope=row["scope"],
        since_ms=row["at"],
        until_ms=row["at"],
        kind=row["kind"],
        name=row["name"],
        system=row["system"],
        believed=row["against"],
        count=row["count"],
        expected=row["expected"],
        currency=row["currency"],
    )
    causes = msgspec.json.decode(row["causes"], type=list[Cause])
    scope = row["scope"]
    return Finding(
        since_ms=row["at"],
        known_by_ms=row["due"],
        campaign=None if scope == ALL else scope,
        found=shown(found, causes),
    )
