"""A conversion's life: the states it entered, and how far its value can be believed: captured, estimated, settled. Pure. Times in ms.

Captured: it is told, and nothing else is known of it. Estimated: the catalogue's value, believed as far as the catalogue says. Settled: the
return window has closed, and what did not come back stays. Until then a return is unknown (None), not absent: a blank is no zero.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from core.clock import HOUR_MS
from correlator.config import ConversionType, days_ms

Stage = Literal["captured", "estimated", "settled", "dropped"]


class LifeStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state entered: when it happened, and when that was learned."""

    status: str
    at_ms: int
    known_ms: int


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What one conversion is worth at a moment, in `currency`.

    `expected_micros` = by the catalogue, so far. `estimated_micros` = of which believed, None before the stage. `settled_micros` and `came_back`
    are None while the window is open; what came back is known at once.
    """

    stage: Stage
    window_closes_ms: int
    currency: str
    expected_micros: int
    estimated_micros: int | None
    settled_micros: int | None
    came_back: bool | None


def stage(status: str, *, ts: int, at: int, entry: ConversionType) -> Stage:
    """How far the value of a conversion of `ts` can be believed at `at`."""
    if status in ("rejected", "duplicate"):
        return "dropped"
    if at >= ts + days_ms(entry.return_window_days):
        return "settled"
    return "estimated" if at >= ts + round(entry.estimated_after_hours * HOUR_MS) else "captured"


def worth(row: dict[str, Any], *, at: int, entry: ConversionType) -> Worth:
    """Of a row with status, ts, worth (micros), paid_in and came_back, as `sql/worth_of_match.sql` works them out."""
    status, ts, micros = str(row["status"]), int(row["ts"]), int(row["worth"])
    reached = stage(status, ts=ts, at=at, entry=entry)
    if reached == "dropped":
        micros = 0
    return Worth(
        stage=reached,
        window_closes_ms=ts + days_ms(entry.return_window_days),
        currency=str(row["paid_in"]),
        expected_micros=micros,
        estimated_micros=None if reached == "captured" else round(micros * entry.confidence),
        settled_micros=_settled(status, micros) if reached == "settled" else None,
        came_back=True if row["came_back"] else None if reached in ("captured", "estimated") else False,
    )


def lives(rows: list[dict[str, Any]]) -> dict[str, list[LifeStep]]:
    """Steps by fact, in the order in which they were entered, from rows of `sql/state_of_conversion.sql`."""
    found: dict[str, list[LifeStep]] = {}
    for row in rows:
        step = LifeStep(status=str(row["status"]), at_ms=int(row["ts"]), known_ms=int(row["known_at"]))
        found.setdefault(str(row["fact_id"]), []).append(step)
    return found


def _settled(status: str, micros: int) -> int:
    """Only what somebody confirmed is settled money, as in reports."""
    return micros if status == "confirmed" else 0
