"""Causes that lie in how and when a system counts: twice, or not yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from core.clock import HOUR_MS
from correlator.breaks.model import Break, Cause, Piece, Signs, Source, cause_of, clock, within

#: What "twice" may be, because pixel and server each miss a few.
_TWICE: Final = (1.7, 2.3)
#: An hour that is counted twice: at least so many, and so much more than believed.
_LEAST_OF_AN_HOUR, _OF_AN_HOUR = 3.0, 1.6
_LEAST_HOURS: Final = 2
#: Buckets up to this long tell from when on something is.
_SHORT_MS: Final = 2 * HOUR_MS


def counted_twice(found: Break, signs: Signs) -> Cause | None:
    """Pixel and server both tell: a system counts twice as many, all the time or from some hour on."""
    if found.kind != "system" or found.expected <= 0:
        return None
    ratio = found.count / found.expected
    if _TWICE[0] <= ratio <= _TWICE[1]:
        said = (
            f"{found.system} counts {ratio:.2f} times what {found.believed} does, as when pixel and server both report"
        )
        return cause_of("counted_twice", found.expected, found, said)
    hours = list(_hours(found, signs))
    doubled = [piece for piece, true in hours if true >= _LEAST_OF_AN_HOUR and piece.count >= _OF_AN_HOUR * true]
    if len(doubled) < _LEAST_HOURS:
        return None
    first = min(piece.begins_ms for piece in doubled)
    extra = sum(max(0.0, piece.count - true) for piece, true in hours if piece.begins_ms >= first)
    since = clock(first)
    said = f"{found.system} counts twice as many in {len(doubled)} hours from {since} on, as when pixel and server both report"
    return cause_of("counted_twice", extra, found, said)


def late_data(found: Break, signs: Signs) -> Cause | None:
    """A source has not told the whole period yet: what it has is too little, or what is held against it."""
    if own := _slowest(signs.sources, before=found.until_ms):
        return cause_of("late_data", -_share_after(own, found, signs) * found.expected, found, _said(own, found))
    if other := _slowest(signs.believed_sources, before=found.until_ms):
        return cause_of("late_data", _share_after(other, found, signs) * found.count, found, _said(other, found))
    return None


def _hours(found: Break, signs: Signs) -> Iterable[tuple[Piece, float]]:
    """The system's hours of the break, each with what the believed one counted in it."""
    for piece in signs.told:
        if found.since_ms <= piece.begins_ms < found.until_ms and piece.ends_ms - piece.begins_ms <= _SHORT_MS:
            yield piece, within(signs.true, piece.begins_ms, piece.ends_ms)


def _share_after(source: Source, found: Break, signs: Signs) -> float:
    """How much of the period's business lies after a moment: by believed conversions, else by clicks, else by time."""
    begins = max(found.since_ms, source.complete_through_ms)
    clicks = [Piece(begins_ms=h.at_ms, ends_ms=h.at_ms + HOUR_MS, count=h.clicks) for h in signs.hours]
    for pieces in (signs.true, clicks):
        if total := within(pieces, found.since_ms, found.until_ms):
            return within(pieces, begins, found.until_ms) / total
    return (found.until_ms - begins) / (found.until_ms - found.since_ms)


def _said(source: Source, found: Break) -> str:
    return f"{source.name} is complete through {clock(source.complete_through_ms)}, the period ends {clock(found.until_ms)}"


def _slowest(sources: Sequence[Source], *, before: int) -> Source | None:
    late = [source for source in sources if source.complete_through_ms < before]
    return min(late, key=lambda source: source.complete_through_ms, default=None)
