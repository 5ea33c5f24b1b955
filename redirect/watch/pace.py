"""Pure: when a URL is looked at next. Each has a place of its own in the interval, so that looks spread over it by themselves."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

#: A URL that was never looked at comes within this span, so that a restart is no stampede.
FIRST_WITHIN_MS: Final = 30_000
#: What fails is looked at this much more often, so that the end of it is seen soon.
FAILING_FACTOR: Final = 5


def due_at(url: str, *, checked_at: int, interval_ms: int, failing: bool = False) -> int:
    """The next look after the one at `checked_at`: in the URL's place of an interval, moved by up to a tenth of it anew each time.

    The gap is one interval give or take a tenth, from look to look; after a look at another time it is between 0.5 and 1.6.
    """
    span = interval_ms // FAILING_FACTOR if failing else interval_ms
    place = _number(url) % span
    turn = (checked_at - place) // span + 1
    at = place + turn * span + _number(f"{turn}:{url}") % max(span // 10, 1)
    return at if at - checked_at >= span // 2 else at + span


def first_at(url: str, *, known_since: int, interval_ms: int) -> int:
    """When a URL that was never looked at comes."""
    return known_since + _number(url) % min(FIRST_WITHIN_MS, interval_ms)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big")
