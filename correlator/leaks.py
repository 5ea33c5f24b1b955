"""The leak table: each step of the way, what was lost since the step before, and whether that is usual: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from core.clock import DAY_MS
from core.metric_catalogue import value
from correlator.config import CorrelatorConfig
from correlator.counted import FUNNEL, ORIGINS, Counts, Told
from correlator.usual import State, Usual, state_of, usual_of

#: Ratios learned of whole days say little of parts of one: people convert in the evening for clicks of the morning.
JUDGED_MS: Final = DAY_MS

#: What the platform says was clicked; it tells it hours after our hits are counted.
BILLED: Final = FUNNEL[0]

#: What was counted on one earlier day: step -> count. Steps of conversions are called as in the table: "lead (crm)".
Day = Mapping[str, float]
History = Sequence[Day]


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One step and what was lost (negative) or gained since the step before it (`of`); blank where there is none.

    `within_band`: systems that count the same thing agree. `usual`: what earlier days say of this ratio, and `state` what follows.
    Where a chain of systems begins, `of` is the last step of the site: a ratio to it, and no difference, because it is another thing.
    Where the step before was told through a moment only (`told_through_ms`, 0 = whole), `compared` of the count lie up to there, and the ratio
    and the difference are theirs.
    """

    step: str
    count: int
    of: str
    difference: int | None
    ratio: float | None
    within_band: bool | None
    usual: Usual | None
    state: State
    compared: int | None = None
    told_through_ms: int = 0


class _Step(msgspec.Struct, frozen=True):
    name: str
    count: float
    of: str
    #: The system that counts, in a chain; "" = a step of the site.
    system: str = ""
    begins: bool = False
    #: Of the count, what can be held against the step before, which was told through a moment (ms, 0 = whole) only.
    compared: float | None = None
    through: int = 0

    @property
    def comparable(self) -> float:
        return self.count if self.compared is None else self.compared


def leak_table(
    counts: Counts, *, config: CorrelatorConfig, history: History, span_ms: int, since_ms: int = 0
) -> list[Leak]:
    """Every step that was counted, and those that earlier days counted and nobody now: a tag that is dead leaves no row of its own.

    A step whose step before was told of less than a day is judged as a part of a day.

    Args:
        history: earlier days of the same scope; () = nothing is judged.
        since_ms, span_ms: where the bucket begins, and its length.
    """
    steps = _steps(with_silent(counts, history, least_days=config.reconciliation.least_days))
    known = {step.name: step.count for step in steps}
    return [
        _leak(step, known.get(step.of), config=config, history=history, span_ms=_span(step, span_ms, since_ms))
        for step in steps
    ]


def _span(step: _Step, span_ms: int, since_ms: int) -> int:
    """How long what is compared took."""
    return min(span_ms, step.through - since_ms) if step.through else span_ms


def steps_of(counts: Counts) -> dict[str, float]:
    """Step -> count as the table calls them: what is kept of a day, to learn from. Half-told billed clicks would teach a wrong ratio."""
    left_out = BILLED if counts.told_through else ""
    return {step.name: step.count for step in _steps(counts) if step.name != left_out}


def pairs_of(steps: Mapping[str, float]) -> list[tuple[str, str]]:
    """(step, the step it is held against) of what was kept of a day."""
    told = {key: Told(conversions=count) for step, count in steps.items() if (key := chain_of(step)) is not None}
    funnel = {step: steps[step] for step in FUNNEL if step in steps}
    return [(step.name, step.of) for step in _steps(Counts(funnel=funnel, told=told)) if step.of]


def with_silent(counts: Counts, history: History, *, least_days: int) -> Counts:
    """With a zero for each step that at least so many earlier days counted."""
    days = Counter(name for day in history for name in day)
    chains = {step: chain_of(step) for step, number in days.items() if number >= least_days}
    return counts.with_zeros([step for step, key in chains.items() if key is None], filter(None, chains.values()))


def chain_of(step: str) -> tuple[str, str] | None:
    """(type, system) of a step such as "lead (crm)"; None for a step of the site."""
    type_, _, system = step.rstrip(")").rpartition(" (")
    return (type_, system) if type_ else None


def chain_step(type_: str, system: str) -> str:
    return f"{type_} ({system})"


def _steps(counts: Counts) -> list[_Step]:
    found: list[_Step] = []
    before = ""
    for step, count in counts.funnel.items():
        if before == BILLED and counts.told_through:
            found.append(_Step(step, count, before, compared=counts.told_hits, through=counts.told_through))
        else:
            found.append(_Step(step, count, before))
        before = step
    for type_ in sorted({type_ for type_, _ in counts.told}):
        found += _chain(type_, counts, after=before)
    return found


def _chain(type_: str, counts: Counts, *, after: str) -> Iterable[_Step]:
    before, begins = after, True
    for system in ORIGINS:
        if (type_, system) in counts.told:
            name = chain_step(type_, system)
            yield _Step(name, counts.told[type_, system].conversions, before, system, begins)
            before, begins = name, False


def _leak(step: _Step, before: float | None, *, config: CorrelatorConfig, history: History, span_ms: int) -> Leak:
    rules = config.reconciliation
    comparable = before is not None and not step.begins
    ratio = value("step_ratio", step_count=step.comparable, step_before=before)
    days = [(day[step.of], day.get(step.name, 0.0)) for day in history if step.of in day]
    usual = None if not before or span_ms < JUDGED_MS else usual_of(days, before, rules=rules)
    return Leak(
        step=step.name,
        count=round(step.count),
        of=step.of,
        difference=round(step.comparable) - round(before) if comparable and before is not None else None,
        ratio=ratio,
        within_band=abs(ratio - 1) <= config.band_of(step.system) if comparable and ratio and step.system else None,
        usual=usual,
        state=_state(step, before, usual, config=config, span_ms=span_ms),
        compared=None if step.compared is None else round(step.compared),
        told_through_ms=step.through,
    )


def _state(step: _Step, before: float | None, usual: Usual | None, *, config: CorrelatorConfig, span_ms: int) -> State:
    if before is None:
        return "first"
    return "short" if span_ms < JUDGED_MS else state_of(step.comparable, before, usual, rules=config.reconciliation)
