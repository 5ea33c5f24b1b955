"""What was counted of the way from the billed click to the sale, by whom: the numbers that reconciliation compares.

One `Counts` per scope and bucket. A scope is a campaign ("" = what belongs to none) or `ALL`, the sum over everything that was asked for.
An origin is counted by its single conversions where they were sent to us, else by the totals it tells (tallies): never by both.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig
from correlator.period import Question
from correlator.report_queries import read_report, report_params, visible_to

#: The scope of everything asked for; no campaign is called so.
ALL: Final = "*"
#: The way from the ad to the form, in its order. What nobody counted in a bucket is left out of it.
FUNNEL: Final[tuple[str, ...]] = (
    "billed_clicks",
    "hits",
    "clicks",
    "sessions",
    "landings",
    "form_starts",
    "form_submits",
)
#: The way a conversion is told on: who counts it first stands first.
ORIGINS: Final = ("platform", "analytics", "backend", "crm", "offline")
SESSION: Final = "session"
_TOUCHES: Final = {"page_view": "landings", "form_start": "form_starts", "form_submit": "form_submits"}

Key = tuple[str, int]
Rows = list[dict[str, Any]]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One system's count of one type. `sums`: micros by currency, as that system told them."""

    conversions: float = 0.0
    duplicates: int = 0
    sums: dict[str, int] = {}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """One scope in one bucket. `funnel` has the steps that somebody counted, `told` (type, origin) -> count.

    Counts are fractions where a longer bucket of another system was spread; they are rounded when they are shown, so that sums are not off.
    Where a platform has told its clicks through a moment only (`told_through`, ms; 0 = of the whole bucket), `told_hits` are the hits up to
    there: those that its clicks can be held against.
    """

    funnel: dict[str, float]
    told: dict[tuple[str, str], Told]
    told_hits: float = 0.0
    told_through: int = 0

    def with_zeros(self, steps: Iterable[str], systems: Iterable[tuple[str, str]]) -> Counts:
        """The same, with a zero for what nobody counted."""
        funnel = {**dict.fromkeys(steps, 0.0), **self.funnel}
        return msgspec.structs.replace(
            self,
            funnel={step: funnel[step] for step in FUNNEL if step in funnel},
            told={**dict.fromkeys(systems, Told()), **self.told},
        )


def read_counts(store: Store, config: CorrelatorConfig, question: Question) -> dict[Key, Counts]:
    """Every scope and bucket in which anything was counted."""
    params = report_params(config, question)

    def report(name: str) -> Rows:
        return read_report(store, name, params, question=question)

    parts = {"visible": visible_to(question)["visible"], "touched": queries.text("touched_click")}
    touches = queries.read(store, queries.compose("step_from_touch", parts), params)
    tallies = report("tally_in_period")
    told = _told(report("system_from_match"), tallies, config=config)
    traffic = report("traffic_from_click")
    steps = _funnel(report("cost_from_spend"), traffic, touches, tallies)
    found = {key: Counts(funnel=steps.get(key, {}), told=told.get(key, {})) for key in {*steps, *told}}
    through = {str(row["campaign"]): int(row["through"]) for row in report("told_through_from_spend")}
    found |= _held_to_what_was_told(found, through, _hits_until(store, config, question, through), question=question)
    return {**found, **_summed(found)}


def _hits_until(
    store: Store, config: CorrelatorConfig, question: Question, through: Mapping[str, int]
) -> dict[Key, float]:
    """Hits up to where each campaign's platform has told; asked only where that lies within the period."""
    found: dict[Key, float] = {}
    for moment in sorted({moment for moment in through.values() if question.since < moment < question.until}):
        cut = {**report_params(config, question), "until": moment}
        rows = read_report(store, "traffic_from_click", cut, question=question)
        found |= {_key(row): float(row["hits"]) for row in rows if through.get(str(row["campaign"])) == moment}
    return found


def _held_to_what_was_told(
    found: Mapping[Key, Counts], through: Mapping[str, int], hits: Mapping[Key, float], *, question: Question
) -> dict[Key, Counts]:
    """Buckets that their platform has told in part, or not at all. Of a campaign that none tells anything of, all hits stand."""
    return {
        key: msgspec.structs.replace(counts, told_hits=hits.get(key, 0.0), told_through=through[key[0]])
        for key, counts in found.items()
        if 0 < through.get(key[0], 0) < min(key[1] + question.bucket_ms, question.until)
    }


def _funnel(costs: Rows, traffic: Rows, touches: Rows, tallies: Rows) -> dict[Key, dict[str, float]]:
    counted = [
        *((_key(row), "billed_clicks", row["platform_clicks"]) for row in costs),
        *((_key(row), step, row[step]) for row in traffic for step in ("hits", "clicks")),
        *((_key(row), "sessions", row["count"]) for row in tallies if row["type"] == SESSION),
        *((_key(row), _TOUCHES[row["name"]], row["clicks"]) for row in touches),
    ]
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    for key, step, count in sorted(counted, key=lambda one: FUNNEL.index(one[1])):
        found[key][step] = found[key].get(step, 0.0) + float(count)
    return found


def _told(systems: Rows, tallies: Rows, *, config: CorrelatorConfig) -> dict[Key, dict[tuple[str, str], Told]]:
    """Single conversions, and totals of the types that we know where an origin sends no single ones in the whole period."""
    sent = {(row["type"], row["origin"]) for row in systems}
    known = {*config.catalogue, *(type_ for type_, _ in sent)}
    totals = [row for row in tallies if row["type"] in known and (row["type"], row["origin"]) not in sent]
    found: dict[Key, dict[tuple[str, str], Told]] = defaultdict(dict)
    for row in (*systems, *totals):
        found[_key(row)][row["type"], row["origin"]] = Told(
            conversions=float(row["conversions"] if "conversions" in row else row["count"]),
            duplicates=int(row.get("duplicates", 0)),
            sums={str(currency): int(micros) for currency, micros in row["sums"].items()},
        )
    return found


def _summed(found: dict[Key, Counts]) -> dict[Key, Counts]:
    """The same over all campaigns, bucket by bucket."""
    by_bucket: dict[int, list[Counts]] = defaultdict(list)
    for (_, bucket), counts in found.items():
        by_bucket[bucket].append(counts)
    return {(ALL, bucket): _sum(several) for bucket, several in by_bucket.items()}


def _sum(several: list[Counts]) -> Counts:
    steps: dict[str, list[float]] = defaultdict(list)
    told: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for counts in several:
        for step, count in counts.funnel.items():
            steps[step].append(count)
        for name, one in counts.told.items():
            told[name].append(one)
    funnel = {step: math.fsum(steps[step]) for step in FUNNEL if step in steps}
    return Counts(
        funnel=funnel,
        told={name: _sum_told(ones) for name, ones in told.items()},
        told_hits=math.fsum(one.told_hits if one.told_through else one.funnel.get("hits", 0.0) for one in several),
        told_through=min((one.told_through for one in several if one.told_through), default=0),
    )


def _sum_told(ones: list[Told]) -> Told:
    sums: Counter[str] = Counter()
    for one in ones:
        sums.update(one.sums)
    return Told(
        conversions=math.fsum(one.conversions for one in ones),
        duplicates=sum(one.duplicates for one in ones),
        sums=dict(sums),
    )


def _key(row: dict[str, Any]) -> Key:
    return str(row["campaign"]), int(row["bucket"])
