"""How complete every source is: what it promised (watermarks), how its reader does, and what we measured (newest lines)."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import msgspec

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.store.client import Store
from correlator import queries
from correlator.completeness import JOURNAL, FigureFreshness, figures, joined
from correlator.learned import Learned, read_learned
from correlator.period import Question

State = Literal["on_time", "late", "stalled", "silent"]
#: A reading is missing when this many usual gaps passed without one, at least a minute.
MISSED_GAPS: Final = 3
MIN_STALL_MS: Final = 60_000
#: What a reader says of a source that left the settings, and of one that waits for longer than its interval.
REMOVED: Final = "removed"
WAITING: Final = ("quota", "stopped", "behind")
#: Our own journal reaches the store within a second; after ten it is late.
OWN_LAG_S: Final = 10
#: Ages at which people are told how much of a source's facts is known.
FILL_AGES: Final = {"15m": 15 * MINUTE_MS, "1h": HOUR_MS, "6h": 6 * HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS}


class Oddity(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader found changed in what the source answers (docs/collectors.md lists the words)."""

    finding: str
    detail: str


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What the source's vendor allows, by the vendor's count."""

    used: float
    limit: float
    unit: str
    resets_at_ms: int


class SourceFreshness(msgspec.Struct, frozen=True, kw_only=True):
    """`complete_through` is a promise of the source for event time. `lag_s` = how far that is behind now.

    `reading`, `detail`, `findings` and `quota` are what its reader told of it last, "" and none for a source that nobody reads here.
    """

    source: str
    state: State
    complete_through_ms: int
    lag_s: float
    documented_lag_s: int
    read_at_ms: int
    reading: str = ""
    detail: str = ""
    next_attempt_ms: int = 0
    quota: Quota | None = None
    findings: tuple[Oddity, ...] = ()


class KindFreshness(msgspec.Struct, frozen=True, kw_only=True):
    """Newest line of one kind in the last day, measured."""

    kind: str
    newest_event_ms: int
    newest_known_ms: int
    age_s: float
    lines: int


class ClickDelay(msgspec.Struct, frozen=True, kw_only=True):
    """Journal to store, seconds, over the last five minutes; None while no clicks came, and as of a past moment, which nobody measured."""

    p50_s: float | None
    p95_s: float | None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a source's facts come in, learned from `days` past days: shares of the final amount at some ages, by the age's name."""

    kind: str
    source: str
    origin: str
    name: str
    days: int
    known_by_age: dict[str, float]


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    #: Everything journaled up to here is in the store: clicks, touches and whatever is pushed are complete through it.
    journal_through_ms: int
    #: What return and cost per conversion are complete through: the slowest of clicks, conversions and spend.
    complete_through_ms: int
    #: Each figure with the source that it waits for; one that no source brings is absent.
    figures: list[FigureFreshness]
    click_delay: ClickDelay
    sources: list[SourceFreshness]
    kinds: list[KindFreshness]
    fills: list[Fill]


def freshness(store: Store, question: Question, *, shipped: int, learned_days: int = 0) -> Freshness:
    """Freshness of every source at the question's moment.

    Args:
        shipped: known_at (ms) through which the journal is in the store.
        learned_days: from so many past days is told how fast facts come in; 0 = that is not asked.
    """
    at = question.at
    through = min(shipped, at)
    sources = [journal_source(through, at=at), *read_sources(store, question)]
    rows = queries.read(store, queries.text("kind_freshness"), question.params())
    complete = figures(sources)
    return Freshness(
        at_ms=at,
        journal_through_ms=through,
        complete_through_ms=joined(complete).complete_through_ms,
        figures=complete,
        click_delay=_click_delay(store) if question.as_of is None else ClickDelay(p50_s=None, p95_s=None),
        sources=sources,
        kinds=[_kind(row, at=at) for row in rows],
        fills=[_fill(one) for one in read_learned(store, at=at, history_days=learned_days)] if learned_days else [],
    )


def without_details(found: Freshness) -> Freshness:
    """For a key of one client: how complete the figures are, and nothing of what readers say of others' accounts."""
    sources = [msgspec.structs.replace(one, detail="", quota=None, findings=()) for one in found.sources]
    return msgspec.structs.replace(found, sources=sources)


def journal_source(through: int, *, at: int) -> SourceFreshness:
    """The journal as a source: it promises whatever is shipped."""
    lag_s = (at - through) / 1000
    state: State = "silent" if not through else "on_time" if lag_s <= OWN_LAG_S else "late"
    return SourceFreshness(
        source=JOURNAL, state=state, complete_through_ms=through, lag_s=lag_s, documented_lag_s=1, read_at_ms=through
    )


def read_sources(store: Store, question: Question) -> list[SourceFreshness]:
    """Every source that ever gave a watermark or was tried, without those that left the settings."""
    marks = queries.read(store, queries.text("source_from_watermark"), question.params())
    told = {row["source"]: row for row in queries.read(store, queries.text("source_from_reading"), question.params())}
    never = {name: _unmarked(row) for name, row in told.items()} | {row["source"]: row for row in marks}
    at = question.at
    found = [_with_reading(source_state(never[name], at=at), told.get(name), at=at) for name in sorted(never)]
    return [source for source in found if source.reading != REMOVED]


def _unmarked(row: dict[str, Any]) -> dict[str, Any]:
    """A source that was tried and never read completely, as a row of the watermarks."""
    known = {name: row[name] for name in ("source", "documented_lag_s")}
    return {**known, "complete_through": 0, "read_at": row["told_at"], "usual_gap_ms": 0}


def _with_reading(source: SourceFreshness, row: dict[str, Any] | None, *, at: int) -> SourceFreshness:
    if row is None:
        return source
    following = int(row["next_attempt"])
    limit = float(row["quota_limit"])
    quota = Quota(
        used=float(row["quota_used"]),
        limit=limit,
        unit=str(row["quota_unit"]),
        resets_at_ms=max(0, int(row["quota_resets_at"])),
    )
    return msgspec.structs.replace(
        source,
        reading=str(row["reading"]),
        detail=str(row["detail"]),
        # Of a source that is well, the next attempt is its interval away and not worth telling. Readers tell of a change and once an
        # hour: an attempt that ended as the one before is not told, so a moment that is over says nothing of the next.
        next_attempt_ms=following if row["reading"] in WAITING and following > at else 0,
        quota=quota if limit else None,
        findings=tuple(
            Oddity(finding=str(word), detail=str(detail))
            for word, detail in zip(row["findings"], row["details"], strict=True)
        ),
    )


def source_state(row: dict[str, Any], *, at: int) -> SourceFreshness:
    """On time: within twice its documented lag. Stalled: readings stopped coming. Late: they come and say less than they should."""
    complete, documented = int(row["complete_through"]), int(row["documented_lag_s"])
    lag_s = (at - complete) / 1000
    missing = at - int(row["read_at"]) > max(MISSED_GAPS * int(row["usual_gap_ms"]), MIN_STALL_MS)
    state: State = "silent" if complete <= 0 else "on_time"
    if complete > 0 and lag_s > 2 * documented + MIN_STALL_MS / 1000:
        state = "late"
    if missing and (int(row["usual_gap_ms"]) or state == "late"):
        state = "stalled"
    return SourceFreshness(
        source=str(row["source"]),
        state=state,
        complete_through_ms=complete,
        lag_s=lag_s,
        documented_lag_s=documented,
        read_at_ms=int(row["read_at"]),
    )


def _kind(row: dict[str, Any], *, at: int) -> KindFreshness:
    known = int(row["known_at"])
    return KindFreshness(
        kind=str(row["kind"]),
        newest_event_ms=int(row["event_at"]),
        newest_known_ms=known,
        age_s=(at - known) / 1000,
        lines=int(row["lines"]),
    )


def _fill(one: Learned) -> Fill:
    pattern = one.pattern
    shares = dict(zip(pattern.ages_ms, pattern.shares, strict=True))
    return Fill(
        kind=one.kind,
        source=one.source,
        origin=one.origin,
        name=one.name,
        days=pattern.days,
        known_by_age={name: shares[age] for name, age in FILL_AGES.items() if age in shares},
    )


def _click_delay(store: Store) -> ClickDelay:
    row = store.rows(queries.text("click_load_delay"))[0]
    return ClickDelay(p50_s=_finite(row["p50_s"]), p95_s=_finite(row["p95_s"]))


def _finite(value: object) -> float | None:
    number = float(str(value))
    return number if math.isfinite(number) else None
