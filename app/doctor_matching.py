"""Doctor's look at matching: whether conversions find no click for a reason that a wrong set-up explains."""

from __future__ import annotations

from collections.abc import Sequence

from app.finding import Finding
from app.reading import open_reader
from app.run_state import RunState
from app.settings import Settings
from core.clock import DAY_MS, now_ms
from core.errors import ClicktraceError
from correlator.period import Question
from correlator.unmatched import UnmatchedSource, faults, unmatched_sources

CHECK = "matching"


def matching(settings: Settings, state: RunState | None) -> list[Finding]:
    """The last day's conversions, asked of the running monitor, since the embedded engine has one owner."""
    if state is None and not settings.store.url:
        return []
    now = now_ms()
    try:
        store = open_reader(settings)
        try:
            rows = unmatched_sources(store, settings.correlator, Question(since=now - DAY_MS, until=now, now=now))
        finally:
            store.close()
    except ClicktraceError as error:
        return [Finding(check=CHECK, state="warning", text=f"matches cannot be read: {error}", mend="see the engine")]
    return told(rows)


def told(rows: Sequence[UnmatchedSource]) -> list[Finding]:
    """A warning for each fault, else how many found their click."""
    found = [
        Finding(
            check=CHECK,
            state="warning",
            text=f"{fault.conversions} of {fault.of} {fault.type}s of {fault.source} found no click in the last day: {fault.meaning}",
            mend=fault.mend,
        )
        for fault in faults(rows)
    ]
    total, unmatched = sum(row.conversions for row in rows), sum(row.unmatched for row in rows)
    if found or not total:
        return found
    return [
        Finding(
            check=CHECK,
            state="ok",
            text=f"{total - unmatched} of {total} conversions of the last day found their click",
        )
    ]
