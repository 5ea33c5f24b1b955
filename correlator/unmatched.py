"""How many conversions found no click, by who told them and why: a number that people see, and a fault that doctor names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from core.clock import DAY_MS
from core.metric_catalogue import value
from core.store.client import Store
from correlator import metrics, queries
from correlator.config import CorrelatorConfig
from correlator.intervals import Interval, around
from correlator.matching import directs, reached
from correlator.past import facts_of, matched
from correlator.period import Question
from correlator.report_queries import matches, report_params, visible_to
from correlator.unmatched_words import REASONS, WORDS

#: Fewer conversions than these name no fault: one bad line is not a set-up.
ENOUGH: Final = 20
#: The metrics speak of the last day, and are counted again after this long.
SHOWN_EVERY_MS: Final = 300_000


class UnmatchedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What one source told of one type, and why what found no click did not. `share` has its Wilson interval; None without conversions."""

    origin: str
    source: str
    type: str
    conversions: int
    unmatched: int
    share: Interval | None
    by_reason: dict[str, int]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A reason that holds for so many of a source's conversions that its set-up is wrong."""

    source: str
    type: str
    reason: str
    meaning: str
    mend: str
    conversions: int
    of: int


def unmatched_sources(store: Store, config: CorrelatorConfig, question: Question) -> list[UnmatchedSource]:
    """Every source and type of the period, by origin, source and type."""
    params = {**report_params(config, question), "reasons": list(WORDS)}
    grouped: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    with (
        matched(store, config, question) as known,
        facts_of(store, _targets(known), params) as facts,
    ):
        rows = queries.read(store, _by_source(known, facts=facts), params)
    for row in rows:
        grouped[(row["origin"], row["source"], row["type"])][row["reason"]] = int(row["conversions"])
    return [_source(key, reasons) for key, reasons in sorted(grouped.items())]


def faults(rows: Iterable[UnmatchedSource]) -> list[Fault]:
    """What is wrong with the set-up, most conversions first: sources of enough conversions, reasons over their bound."""
    found = [
        Fault(
            source=row.source,
            type=row.type,
            reason=reason.word,
            meaning=reason.meaning,
            mend=reason.mend,
            conversions=row.by_reason[reason.word],
            of=row.conversions,
        )
        for row in rows
        for reason in REASONS
        if row.conversions >= ENOUGH and _over(row.by_reason.get(reason.word, 0), row.conversions, reason.fault_from)
    ]
    return sorted(found, key=lambda fault: (-fault.conversions, fault.source, fault.type, fault.reason))


def count_and_show(store: Store, *, config: CorrelatorConfig, now: int) -> int:
    """Set the metrics to the last day before `now` (ms); the number of conversions counted."""
    rows = unmatched_sources(store, config, Question(since=now - DAY_MS, until=now, now=now))
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(WORDS) + 1))
    for row in rows:
        # Accounts and files would be a label value each: the kind of source is enough to know where to look.
        counts = totals[(row.origin, row.source.partition(":")[0])]
        counts[-1] += row.conversions
        for at, word in enumerate(WORDS):
            counts[at] += row.by_reason.get(word, 0)
    metrics.DAY_CONVERSIONS.clear()
    metrics.DAY_UNMATCHED.clear()
    for (origin, source), counts in totals.items():
        metrics.DAY_CONVERSIONS.labels(origin, source).set(counts[-1])
        for word, unmatched in zip(WORDS, counts, strict=False):
            metrics.DAY_UNMATCHED.labels(origin, source, word).set(unmatched)
    return sum(row.conversions for row in rows)


def _over(part: int, whole: int, bound: float | None) -> bool:
    return bound is not None and part > bound * whole


def _source(key: tuple[str, str, str], reasons: dict[str, int]) -> UnmatchedSource:
    """Reasons with counts; "" counts what found a click."""
    total, matched = sum(reasons.values()), reasons.get("", 0)
    return UnmatchedSource(
        origin=key[0],
        source=key[1],
        type=key[2],
        conversions=total,
        unmatched=total - matched,
        share=around(
            value("unmatched_share", unmatched_conversions=total - matched, recorded_conversions=total), total
        ),
        by_reason={word: reasons[word] for word in WORDS if word in reasons},
    )


def _parts(question: Question) -> dict[str, str]:
    return {"matches": matches(question), "period": queries.text("period"), "visible": visible_to(question)["visible"]}


def _targets(question: Question) -> str:
    """Whose reasons are asked: the conversions without a click; as known before, all: that query cannot always stand inside itself."""
    if question.as_of is None:
        return queries.compose("unmatched_in_period", _parts(question))
    return queries.text("conversion_in_period")


def _by_source(question: Question, *, facts: str) -> str:
    """`facts`: the query for the targets' facts and those of whatever shares a key with one."""
    keys = queries.compose("direct_key_from_fact", {"facts": facts})
    slots = {"facts": facts, "reached": reached(facts), "directs": directs(facts), "keys": keys}
    reasons = queries.compose("reason_of_unmatched", slots)
    return queries.compose("unmatched_by_source", {**_parts(question), "reasons": reasons})
