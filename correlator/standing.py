"""How far a figure can be believed at its age: its tier, how far its sources are complete, when it was restated, the share known so far.

One struct for every answer and every row of one: a joined figure is as complete as the least complete of what it is made of. The share is
learned from past days (`correlator.learned`) and comes with its 95 % limits; None = too little history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from core.metric_catalogue import Tier, catalogue
from correlator.completeness import JOINED, Figure, FigureFreshness
from correlator.config import CorrelatorConfig
from correlator.development import Completeness, Share, completeness, share_of
from correlator.learned import Kind, Learned
from correlator.performance import Performance

#: Of which kind of fact a figure is made; the others are told by their sources' promises alone.
_MADE_OF: Final[dict[Figure, Kind]] = {
    "clicks": "click",
    "conversions": "conversion",
    "spend": "spend",
    "tallies": "tally",
}


class FigureStanding(msgspec.Struct, frozen=True, kw_only=True):
    figure: Figure
    complete_through_ms: int
    waits_for: str
    known: Completeness | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`waits_for` = the source that is furthest behind; `known` is the least of the figures', `least` says of which.

    `restated_at_ms`: when a fact learned late or told anew last changed it; 0 = never.
    """

    tier: Tier
    complete_through_ms: int
    waits_for: str
    restated_at_ms: int
    known: Completeness | None
    least: str
    figures: list[FigureStanding]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer or a row shows of each figure in [since, until), ms: conversions by type, hits, and reported spend in micros.

    Empty and 0 = nothing so far; the share is then that of a usual period of its length. `platform` "" = of all.
    """

    since: int
    until: int
    restated_at_ms: int = 0
    platform: str = ""
    by_type: Mapping[str, int] = {}
    hits: int = 0
    spend_micros: int = 0


def shown_in(figures: Performance) -> Shown:
    """A row of performance."""
    return Shown(
        since=figures.since_ms,
        until=figures.until_ms,
        restated_at_ms=figures.restated_at_ms,
        platform=figures.platform,
        by_type=figures.outcome.by_type,
        hits=figures.hits,
        spend_micros=figures.cost.reported_micros,
    )


def shown_together(rows: Sequence[Performance], *, since: int, until: int) -> Shown:
    """All rows of an answer about [since, until)."""
    by_type: dict[str, int] = {}
    for row in rows:
        for name, count in row.outcome.by_type.items():
            by_type[name] = by_type.get(name, 0) + count
    return Shown(
        since=since,
        until=until,
        restated_at_ms=max((row.restated_at_ms for row in rows), default=0),
        by_type=by_type,
        hits=sum(row.hits for row in rows),
        spend_micros=sum(row.cost.reported_micros for row in rows),
    )


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What the standing of figures rests on: the sources' promises, what was learned, and the moment (ms) of the question."""

    at: int
    promised: tuple[FigureFreshness, ...]
    learned: tuple[Learned, ...]
    config: CorrelatorConfig

    def standing(self, of: Shown, *, metric: str, made_of: Collection[Figure] = JOINED) -> Standing:
        """`metric` of the catalogue says the tier, `made_of` what is joined in it."""
        figures = [
            FigureStanding(
                figure=one.figure,
                complete_through_ms=one.complete_through_ms,
                waits_for=one.slowest,
                known=completeness(self._shares(one.figure, of)),
            )
            for one in self.promised
            if one.figure in made_of
        ]
        slowest = min(figures, key=lambda figure: figure.complete_through_ms)
        told = [(figure.known, figure.figure) for figure in figures if figure.known is not None]
        known, least = min(told, key=lambda one: one[0].share, default=(None, ""))
        return Standing(
            tier=catalogue().metric(metric).tier,
            complete_through_ms=slowest.complete_through_ms,
            waits_for=slowest.waits_for,
            restated_at_ms=of.restated_at_ms,
            known=known,
            least=least,
            figures=figures,
        )

    def _shares(self, figure: Figure, of: Shown) -> Iterator[Share | None]:
        chosen = [one for one in self.learned if one.kind == _MADE_OF.get(figure) and self._concerns(one, of)]
        for one in chosen:
            # Where several sources bring the same, each is taken to have brought its usual part.
            alike = sum(other.pattern.final for other in chosen if other.name == one.name)
            amount = _amount(figure, one, of) * one.pattern.final / alike
            yield share_of(one.pattern, since=of.since, until=of.until, at=self.at, known=amount)

    def _concerns(self, one: Learned, of: Shown) -> bool:
        if one.kind == "spend":
            return not of.platform or one.source.partition("_")[0] == of.platform
        if one.kind != "conversion":
            return True
        believed = one.origin == self.config.conversion_type(one.name).authoritative_origin
        return believed and (one.name in of.by_type or not of.by_type)


def _amount(figure: Figure, one: Learned, of: Shown) -> float:
    """What is shown of it, in the pattern's unit. What other systems counted is in no row: 0."""
    return {"clicks": of.hits, "conversions": of.by_type.get(one.name, 0), "spend": of.spend_micros}.get(figure, 0)
