"""The known name nearest to one that is not known: a typing error is mended by reading the answer to it."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

#: More names than this are no help in a sentence.
MOST_NAMED = 16


def nearest(name: str, known: Collection[str]) -> str:
    """The known name that `name` was probably meant to be, or "". Case, spaces and hyphens say nothing."""
    folded = {_folded(each): each for each in known}
    found = get_close_matches(_folded(name), folded, n=1)
    return folded[found[0]] if found else ""


def hint(name: str, known: Collection[str]) -> str:
    """What to say behind "there is no such …": the nearest name, else what is known, else nothing when that is too much."""
    if near := nearest(name, known):
        return f"; did you mean {near}?"
    return f"; known are {', '.join(sorted(known))}" if 0 < len(known) <= MOST_NAMED else ""


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
