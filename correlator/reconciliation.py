"""Where the systems' counts differ, at which step clicks and sales get lost, and what is likely behind it.

Per bucket, and per campaign when asked: `systems`, how many conversions of a type each origin counts beside the origin the catalogue
believes; `leaks`, from the billed click to the row in the CRM, each step with its ratio and what is usual for it; `breaks`, what is outside
its accepted band or unusual, with the causes that fit (`breaks/`), likeliest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator.breaks.causes import explain
from correlator.breaks.evidence import Evidence, read_evidence, surroundings
from correlator.breaks.found import Table, breaks_of
from correlator.breaks.model import Break, Cause, Signs, Word
from correlator.config import CorrelatorConfig
from correlator.counted import ALL, Counts, Key, read_counts
from correlator.exchange import Exchange, read_exchange
from correlator.leaks import Leak, leak_table
from correlator.period import Question
from correlator.steps_kept import History, history_before, learned
from correlator.systems import SystemCount, rates_to, systems_of


class Likely(msgspec.Struct, frozen=True, kw_only=True):
    """A cause with how much of the difference it accounts for: as a share, and as a count, or as an amount of a sum."""

    cause: Word
    share: float
    fit: float
    count: float | None
    amount_micros: int | None
    evidence: tuple[str, ...]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A break and its causes, likeliest first. Sums are micros of `currency`."""

    kind: str
    name: str
    system: str
    against: str
    count: float | None
    expected: float | None
    sum_micros: int | None
    expected_sum_micros: int | None
    currency: str
    causes: list[Likely]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """One scope in one bucket. `campaign` None = everything that was asked for, "" = what belongs to no campaign."""

    campaign: str | None
    since_ms: int
    until_ms: int
    band: float
    systems: list[SystemCount]
    leaks: list[Leak]
    breaks: list[Explained]


def reconciliation(
    store: Store, config: CorrelatorConfig, question: Question, *, by_campaign: bool = False
) -> list[Reconciliation]:
    """One per bucket of the question's grain (the whole period without one) in order of time; then one per campaign, when asked."""
    history = learned(store, config, question)
    counts, tables = tables_of(store, config, question, by_campaign=by_campaign, history=history)
    causes = explained(store, config, question, breaks_of(tables), counts=counts)
    return [_reconciliation(table, causes, config=config) for table in tables]


def looked_at(question: Question, config: CorrelatorConfig) -> Question:
    """The question about everything that its answer rests on: the days that are learned from, and what explains breaks."""
    around = surroundings(question)
    learned_from = question.since - config.reconciliation.history_days * DAY_MS
    return question.about(min(learned_from, around.since), around.until)


def tables_of(
    store: Store, config: CorrelatorConfig, question: Question, *, by_campaign: bool, history: History
) -> tuple[dict[Key, Counts], list[Table]]:
    """What was counted, and each scope and bucket of it laid side by side; everything first, then campaign by campaign."""
    counts = read_counts(store, config, question)
    exchange = exchange_of(counts, store, config, question)
    chosen = sorted((key for key in counts if by_campaign or key[0] == ALL), key=_order)
    tables = [_table(key, counts[key], history, config=config, exchange=exchange, question=question) for key in chosen]
    return counts, tables


def explained(
    store: Store,
    config: CorrelatorConfig,
    question: Question,
    breaks: Sequence[Break],
    *,
    counts: Mapping[Key, Counts],
) -> list[tuple[Break, list[Cause]]]:
    """Every break with its causes; the evidence is read once for all of them, and not at all without any."""
    if not breaks:
        return []
    evidence = read_evidence(store, config, question, breaks)
    exchange = exchange_of(counts, store, config, question)
    return [(found, explain(found, _signs(found, evidence, counts=counts, exchange=exchange))) for found in breaks]


def exchange_of(counts: Mapping[Key, Counts], store: Store, config: CorrelatorConfig, question: Question) -> Exchange:
    """The rates of the question's day, where systems tell several currencies."""
    named = {currency for one in counts.values() for told in one.told.values() for currency in told.sums}
    if len(named) < 2:
        return Exchange()
    return read_exchange(store, config, at=min(question.at, question.until - 1), as_of=question.known_by)


def _table(
    key: Key, counts: Counts, history: History, *, config: CorrelatorConfig, exchange: Exchange, question: Question
) -> Table:
    scope, since = key
    until = min(since + question.bucket_ms, question.until)
    past = history_before(history, scope, since, days=config.reconciliation.history_days)
    return Table(
        scope=scope,
        since_ms=since,
        until_ms=until,
        counts=counts,
        systems=systems_of(counts, config=config, exchange=exchange),
        leaks=leak_table(counts, config=config, history=past, span_ms=until - since, since_ms=since),
    )


def _signs(found: Break, evidence: Evidence, *, counts: Mapping[Key, Counts], exchange: Exchange) -> Signs:
    signs = evidence.signs(found)
    if found.kind != "sum":
        return signs
    told = counts[found.scope, found.since_ms].told
    own, true = told[found.name, found.system].sums, told[found.name, found.believed].sums
    rates = rates_to(found.currency, {*own, *true}, exchange)
    return msgspec.structs.replace(signs, sums=own, true_sums=true, rates=rates)


def _reconciliation(
    table: Table, causes: Sequence[tuple[Break, list[Cause]]], *, config: CorrelatorConfig
) -> Reconciliation:
    return Reconciliation(
        campaign=None if table.scope == ALL else table.scope,
        since_ms=table.since_ms,
        until_ms=table.until_ms,
        band=config.reconciliation_band,
        systems=table.systems,
        leaks=table.leaks,
        breaks=[
            shown(found, likely)
            for found, likely in causes
            if (found.scope, found.since_ms) == (table.scope, table.since_ms)
        ],
    )


def shown(found: Break, causes: list[Cause]) -> Explained:
    """A break as it leaves: sums apart from counts, because they are amounts."""
    is_sum = found.kind == "sum"
    return Explained(
        kind=found.kind,
        name=found.name,
        system=found.system,
        against=found.believed,
        count=None if is_sum else found.count,
        expected=None if is_sum else found.expected,
        sum_micros=round(found.count) if is_sum else None,
        expected_sum_micros=round(found.expected) if is_sum else None,
        currency=found.currency,
        causes=[_likely(cause, found) for cause in causes],
    )


def _likely(cause: Cause, found: Break) -> Likely:
    is_sum = found.kind == "sum"
    return Likely(
        cause=cause.cause,
        share=cause.amount / found.difference,
        fit=cause.fit,
        count=None if is_sum else cause.amount,
        amount_micros=round(cause.amount) if is_sum else None,
        evidence=cause.evidence,
    )


def _order(key: Key) -> tuple[bool, str, int]:
    """Everything first, then campaign by campaign; in each by time."""
    return (key[0] != ALL, key[0], key[1])
