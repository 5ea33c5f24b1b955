"""Whether what a source answers still looks as it used to: pure. Times in ms.

A vendor that renames a column, fills it no longer or sends half the rows gives no error; figures are only wrong. So after every complete
run the answer is compared with what is remembered of the source (`Memory`, kept as a checkpoint):

1. `unknown_columns`: raw rows have a column that they never had.
2. `missing_columns`: a column that at least half of the rows had is in none of them.
3. `null_rate`: a column is empty in many more rows than usual.
4. `volume_drop`, `volume_rise`: the last complete hours have far fewer rows than the same hours of any of the seven days before, or far
   more (so a weekend is compared with a weekend); or far fewer things are described than last time.
5. `invalid_rows`: rows that could not be understood, in bulk.

What is found is not learned, so it stands as long as it is so; after `ACCEPT_MS` it is taken as the new shape. Nothing is judged before
there is something to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from collectors.shape import Column, Shape, is_of_a_kind
from core.clock import DAY_MS, HOUR_MS

FindingWord = Literal["unknown_columns", "missing_columns", "null_rate", "volume_drop", "volume_rise", "invalid_rows"]
#: Every word with its meaning, for people.
FINDINGS: Final[dict[FindingWord, str]] = {
    "unknown_columns": "The source sends columns that it never sent.",
    "missing_columns": "Columns that used to be filled are gone.",
    "null_rate": "A column is empty far more often than usual.",
    "volume_drop": "Far fewer rows than usual.",
    "volume_rise": "Far more rows than usual.",
    "invalid_rows": "Rows that cannot be understood, in bulk.",
}

#: A changed shape is taken as the new one after this long.
ACCEPT_MS: Final = 7 * DAY_MS
#: What is usual is learned at this pace: re-reads overlap, and a change that grows slowly must not be learned while it grows.
LEARN_MS: Final = 6 * HOUR_MS
LEARN_SHARE: Final = 0.2
#: Runs before columns are judged.
WARM_UP_RUNS: Final = 3
#: The hours whose rows are compared with the same hours of the days before.
SLICE_HOURS: Final = 6
DAYS: Final = 7
REMEMBERED_MS: Final = (DAYS + 1) * DAY_MS
#: Fewer than these say nothing.
MIN_ROWS: Final = 30
MIN_DESCRIBED: Final = 10
#: Under or over this share of the usual rows.
DROP: Final = 0.3
RISE: Final = 3.0
#: More empty values by this share of the rows, and by this many standard errors.
NULL_JUMP: Final = 0.25
STANDARD_ERRORS: Final = 5.0
#: Rows that cannot be understood are a finding from this many and this share on.
INVALID_ROWS: Final = 5
INVALID_SHARE: Final = 0.05
MAX_COLUMNS: Final = 300
#: A column that is known, and of which too few rows were seen to say how often it is filled.
UNKNOWN_SHARE: Final = -1.0
NAMED: Final = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was. `since` is when it was first seen."""

    word: FindingWord
    detail: str
    since: int = 0


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What one complete run brought. `through`: event time up to which the source documents its rows to be there."""

    shape: Shape = Shape()
    invalid: int = 0
    hours: dict[int, int] = {}
    described: int = 0
    through: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual for a source: `columns` name -> share of rows with a value, `hours` event hour -> rows, `found` since when."""

    runs: int = 0
    learned_at: int = 0
    columns: dict[str, float] = {}
    hours: dict[int, int] = {}
    described: int = 0
    found: dict[str, int] = {}


class _Oddity(msgspec.Struct, frozen=True):
    """A finding's word, the column it is about, and what to say of it."""

    word: FindingWord
    item: str
    text: str

    @property
    def key(self) -> str:
        return f"{self.word}:{self.item}"


def in_bulk(*, invalid: int, rows: int) -> bool:
    """Whether so many rows could not be understood that what came is not complete."""
    return invalid >= INVALID_ROWS and invalid >= INVALID_SHARE * (rows + invalid)


def judge(memory: Memory, seen: Observed, *, now: int) -> tuple[Memory, tuple[Finding, ...]]:
    """What stands out against the memory, and the memory after this run."""
    hours = {hour: n for hour, n in {**memory.hours, **seen.hours}.items() if hour >= now - REMEMBERED_MS}
    odd = [*_columns(memory, seen.shape), *_volume(hours, through=seen.through), *_described(memory, seen.described)]
    if in_bulk(invalid=seen.invalid, rows=seen.shape.rows):
        odd.append(_Oddity("invalid_rows", "", f"{seen.invalid} of {seen.shape.rows + seen.invalid} rows"))
    since = {one.key: memory.found.get(one.key, now) for one in odd}
    standing = [one for one in odd if now - since[one.key] < ACCEPT_MS]
    found = {one.key: since[one.key] for one in standing}
    accepted = {one.key for one in odd} - found.keys()
    learned = _learn(memory, seen, held=set(found), accepted=accepted, now=now)
    return msgspec.structs.replace(learned, hours=hours, found=found), _findings(standing, since)


def findings_now(
    memory: Memory, findings: tuple[Finding, ...], *, invalid: int, rows: int, now: int
) -> tuple[Finding, ...]:
    """The findings after a run that was not complete: what stood stands, and rows in bulk that could not be understood are told at once."""
    others = tuple(one for one in findings if one.word != "invalid_rows")
    if not in_bulk(invalid=invalid, rows=rows):
        return others
    since = memory.found.get("invalid_rows:", now)
    return (*others, Finding(word="invalid_rows", detail=f"{invalid} of {rows + invalid} rows", since=since))


def _columns(memory: Memory, shape: Shape) -> Iterator[_Oddity]:
    if memory.runs < WARM_UP_RUNS:
        return
    for name in sorted(shape.columns.keys() - memory.columns.keys()):
        # A kind of row that comes for the first time is no change of columns.
        if len(memory.columns) < MAX_COLUMNS and not is_of_a_kind(name):
            yield _Oddity("unknown_columns", name, name)
    for name, usual in memory.columns.items():
        column = _column(shape, name)
        if usual == UNKNOWN_SHARE or column.rows < MIN_ROWS or not _emptier(column, usual):
            continue
        if column.filled == 0 and usual >= 0.5:
            yield _Oddity("missing_columns", name, name)
        else:
            yield _Oddity("null_rate", name, f"{name} empty in {1 - column.share:.0%} of rows, usually {1 - usual:.0%}")


def _column(shape: Shape, name: str) -> Column:
    """The column; one that no row has is empty in all of them, but a field of a kind that did not come was not there to be empty."""
    return shape.columns.get(name, Column(0 if is_of_a_kind(name) else shape.rows, 0))


def _emptier(column: Column, usual: float) -> bool:
    """Far fewer values than usual, and not by chance (normal approximation of a share of `rows`)."""
    spread = min(max(usual, 0.02), 0.98)
    error = math.sqrt(spread * (1 - spread) / column.rows)
    return usual - column.share > max(NULL_JUMP, STANDARD_ERRORS * error)


def _volume(hours: dict[int, int], *, through: int) -> Iterator[_Oddity]:
    ends = through - through % HOUR_MS
    rows = _slice(hours, ends)
    days = [_slice(hours, ends - day * DAY_MS) for day in range(1, DAYS + 1)]
    if rows is None or any(day is None for day in days):
        return
    usual = [day for day in days if day is not None]
    said = f"{rows} rows in {SLICE_HOURS} hours, {min(usual)} to {max(usual)} in the same hours of the week before"
    if min(usual) >= MIN_ROWS and rows < DROP * min(usual):
        yield _Oddity("volume_drop", "", said)
    if rows >= MIN_ROWS and max(usual) > 0 and rows > RISE * max(usual):
        yield _Oddity("volume_rise", "", said)


def _slice(hours: dict[int, int], ends: int) -> int | None:
    """Rows of the hours before `ends`; None when one of them was not read."""
    counts = [hours.get(ends - back * HOUR_MS) for back in range(1, SLICE_HOURS + 1)]
    return None if None in counts else sum(count or 0 for count in counts)


def _described(memory: Memory, described: int) -> Iterator[_Oddity]:
    if memory.described >= MIN_DESCRIBED and described < DROP * memory.described:
        yield _Oddity("volume_drop", "described", f"{described} described, {memory.described} before")


def _learn(memory: Memory, seen: Observed, *, held: set[str], accepted: set[str], now: int) -> Memory:
    """The memory moved towards what was seen, except where a finding stands; what was accepted is taken over whole."""
    described = memory.described if "volume_drop:described" in held else seen.described
    warming = memory.runs < WARM_UP_RUNS
    due = warming or now - memory.learned_at >= LEARN_MS
    columns = dict(memory.columns)
    for name in sorted(memory.columns.keys() | seen.shape.columns.keys()):
        keys = {f"{word}:{name}" for word in FINDINGS}
        if keys & accepted or (due and not keys & held):
            column = _column(seen.shape, name)
            columns[name] = _moved(columns.get(name), column, whole=warming or bool(keys & accepted))
    return msgspec.structs.replace(
        memory,
        runs=memory.runs + (seen.shape.rows >= MIN_ROWS),
        learned_at=now if due else memory.learned_at,
        columns=dict(list(columns.items())[:MAX_COLUMNS]),
        described=described,
    )


def _moved(usual: float | None, column: Column, *, whole: bool) -> float:
    if column.rows < MIN_ROWS:
        return UNKNOWN_SHARE if usual is None else usual
    if usual is None or usual == UNKNOWN_SHARE or whole:
        return column.share
    return usual * (1 - LEARN_SHARE) + column.share * LEARN_SHARE


def _findings(odd: list[_Oddity], since: dict[str, int]) -> tuple[Finding, ...]:
    """One finding a word, with the first few things it is about."""
    found = []
    for word in FINDINGS:
        about = [one for one in odd if one.word == word]
        if about:
            more = f" and {len(about) - NAMED} more" if len(about) > NAMED else ""
            detail = ", ".join(one.text for one in about[:NAMED]) + more
            found.append(Finding(word=word, detail=detail, since=min(since[one.key] for one in about)))
    return tuple(found)
