"""Reads what the causes look at: a handful of queries for all breaks of an answer, and of them the part that concerns each one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from core.clock import DAY_MS, HOUR_MS
from core.store.client import Store
from correlator import queries
from correlator.breaks.model import Break, Hour, Piece, Signs, Sold, Source
from correlator.config import CorrelatorConfig
from correlator.counted import ALL, SESSION
from correlator.freshness import read_sources
from correlator.leaks import chain_of
from correlator.period import Question
from correlator.report_queries import read_report, report_params

#: Zones are up to 14 hours away, and weekdays differ: a week and a day before, a day after.
_BEFORE_MS, _AFTER_MS = 8 * DAY_MS, DAY_MS
_HALF_HOUR_MS: Final = HOUR_MS // 2
_WEEK_MS: Final = 7 * DAY_MS

Rows = list[dict[str, Any]]
#: Type and origin; type "" and origin "" = what platforms charge.
Side = tuple[str, str]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything read for the breaks of one answer, by scope."""

    hours: dict[str, tuple[Hour, ...]]
    sold: dict[tuple[str, str], tuple[Sold, ...]]
    singles: dict[tuple[str, Side], tuple[Piece, ...]]
    totals: dict[tuple[str, Side], tuple[Piece, ...]]
    sources: dict[Side, tuple[Source, ...]]
    lost_on: dict[str, tuple[str, ...]]

    def signs(self, found: Break) -> Signs:
        """What concerns one break."""
        own, believed = sides_of(found)
        hours = self.hours.get(found.scope, ())
        window = (found.since_ms - _BEFORE_MS, found.until_ms + _AFTER_MS)
        return Signs(
            hours=tuple(hour for hour in hours if found.since_ms <= hour.at_ms < found.until_ms),
            before=tuple(hour for hour in hours if found.since_ms - _WEEK_MS <= hour.at_ms < found.since_ms),
            sold=tuple(h for h in self.sold.get((found.scope, found.name), ()) if _starts_in(h.at_ms, found)),
            told=_inside(self._counted(found.scope, own, complete=True), window),
            true=_inside(self._counted(found.scope, believed), window),
            sources=self.sources.get(own, ()),
            believed_sources=self.sources.get(believed, ()),
            lost_on=self.lost_on.get(found.scope, ()),
        )

    def _counted(self, scope: str, side: Side, *, complete: bool = False) -> tuple[Piece, ...]:
        """An origin's single conversions, else its totals; complete ones of those where the half of a bucket would mislead."""
        totals = self.totals.get((scope, side), ())
        if complete:
            through = min((source.complete_through_ms for source in self.sources.get(side, ())), default=0)
            totals = tuple(piece for piece in totals if not through or piece.ends_ms <= through)
        return self.singles.get((scope, side)) or totals


def sides_of(found: Break) -> tuple[Side, Side]:
    """Who counts what broke, and who counts what it is held against. A step is held against the one before: clicks are ours and never late."""
    if found.kind != "step":
        return (found.name, found.system), (found.name, found.believed)
    return _side_of_step(found.name), _side_of_step(found.believed)


def read_evidence(store: Store, config: CorrelatorConfig, question: Question, found: Sequence[Break]) -> Evidence:
    """Everything that the causes of these breaks look at, as known at the question's time."""
    scopes = sorted({one.scope for one in found} - {ALL})
    wide = surroundings(question)

    def rows(name: str, asked: Question) -> Rows:
        params = {**report_params(config, asked), "scopes": scopes}
        return read_report(store, name, params, question=asked)

    totals = rows("break_total", wide)
    lost = queries.read(store, queries.text("break_lost_page"), question.params())
    return Evidence(
        hours=_hours(
            rows("break_hour", question),
            rows("break_page", question),
            all_pages=not (question.campaign or question.clients),
        ),
        sold=_sold(rows("break_sold", question)),
        singles=_singles(rows("break_single", wide)),
        totals=_totals(totals),
        sources=_sources(rows("break_source", wide), totals, read_sources(store, question)),
        lost_on=_lost(lost),
    )


def surroundings(question: Question) -> Question:
    """The question about everything that breaks are explained by: a week before, for zones a day on either side, in half hours."""
    begin, end = question.since - _BEFORE_MS, question.until + _AFTER_MS
    return msgspec.structs.replace(question, since=begin, until=end, grain_ms=_HALF_HOUR_MS)


def _side_of_step(step: str) -> Side:
    chain = chain_of(step)
    if chain is not None:
        return chain
    return ("", "") if step == "billed_clicks" else (SESSION, "analytics") if step == "sessions" else (step, "")


def _hours(clicked: Rows, viewed: Rows, *, all_pages: bool) -> dict[str, tuple[Hour, ...]]:
    """Hours of every scope; the views are those on the landing pages of its clicks; `all_pages`: on any page, for everything."""
    pages: dict[str, set[str]] = defaultdict(set)
    for row in clicked:
        pages[row["scope"]].update(row["pages"])
    views: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in viewed:
        views[row["at"]][row["page"]] = row
    counts = {(row["scope"], row["at"]): row for row in clicked}
    return {
        scope: tuple(
            _hour(at, counts.get((scope, at), {}), _on(views.get(at, {}), None if scope == ALL and all_pages else own))
            for at in sorted({at for one, at in counts if one == scope} | set(views))
        )
        for scope, own in pages.items()
    }


def _on(views: dict[str, dict[str, Any]], pages: set[str] | None) -> Rows:
    return [row for page, row in views.items() if pages is None or page in pages]


def _hour(at: int, row: dict[str, Any], views: Rows) -> Hour:
    return Hour(
        at_ms=at,
        clicks=int(row.get("clicks", 0)),
        refused=int(row.get("refused", 0)),
        landed=int(row.get("landed", 0)),
        views=sum(int(view["views"]) for view in views),
        views_with_click=sum(int(view["views_with_click"]) for view in views),
    )


def _sold(rows: Rows) -> dict[tuple[str, str], tuple[Sold, ...]]:
    found: dict[tuple[str, str], list[Sold]] = defaultdict(list)
    for row in rows:
        counts = {name: int(row[name]) for name in ("conversions", "refused", "unseen")}
        found[row["scope"], row["type"]].append(Sold(at_ms=row["at"], **counts))
    return {key: tuple(hours) for key, hours in found.items()}


def _singles(rows: Rows) -> dict[tuple[str, Side], tuple[Piece, ...]]:
    found: dict[tuple[str, Side], list[Piece]] = defaultdict(list)
    for row in rows:
        piece = Piece(begins_ms=row["at"], ends_ms=row["at"] + _HALF_HOUR_MS, count=row["conversions"])
        found[row["scope"], (row["type"], row["origin"])].append(piece)
    return {key: tuple(pieces) for key, pieces in found.items()}


def _totals(rows: Rows) -> dict[tuple[str, Side], tuple[Piece, ...]]:
    found: dict[tuple[str, Side], list[Piece]] = defaultdict(list)
    for row in rows:
        piece = Piece(begins_ms=row["begins"], ends_ms=row["ends"], count=row["count"])
        found[row["scope"], (row["type"], row["origin"])].append(piece)
    return {key: tuple(sorted(pieces, key=lambda p: p.begins_ms)) for key, pieces in found.items()}


def _sources(told: Rows, totals: Rows, read: Sequence[Any]) -> dict[Side, tuple[Source, ...]]:
    """Who brings each side, with how far it is complete; a source that never gave a watermark promises nothing and is left out."""
    named = {(row["type"], row["origin"], row["source"]) for row in (*told, *totals)}
    marks: dict[str, list[Source]] = defaultdict(list)
    for one in read:
        if one.complete_through_ms:
            kind = one.source.partition(":")[0]
            marks[kind].append(Source(name=one.source, complete_through_ms=one.complete_through_ms))
    found: dict[Side, tuple[Source, ...]] = {}
    for type_, origin, source in sorted(named):
        found[type_, origin] = (*found.get((type_, origin), ()), *marks.get(source.partition(":")[0], ()))
    return found


def _lost(rows: Rows) -> dict[str, tuple[str, ...]]:
    """Scope -> pages; a look that names no campaign concerns everything."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for scope in (ALL, *row["campaigns"]):
            found[scope].append(str(row["url"]))
    return {scope: tuple(urls) for scope, urls in found.items()}


def _inside(pieces: Sequence[Piece], window: tuple[int, int]) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if window[0] <= piece.begins_ms and piece.ends_ms <= window[1])


def _starts_in(at: int, found: Break) -> bool:
    return found.since_ms <= at < found.until_ms
