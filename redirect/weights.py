"""Weighted variants with a sticky choice: weighted rendezvous hashing.

Every variant draws a number from the visitor's key and its own name; the one with the largest ``log(draw) / weight`` gets the visitor
(J. Wang et al., "Weighted Rendezvous Hashing", 2005; each wins in proportion to its weight). The choice needs no memory, is the same on
every worker, and a changed weight moves only visitors to the variant that gained or away from the one that lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MASK: Final = (1 << 128) - 1
#: Odd constants with well-mixed bits: the golden ratio, and the multiplier of PCG's 128-bit generator.
_SPREAD: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MIX: Final = 0x2360ED051FC65DA44385DF649FCCF645
_DRAW_BITS: Final = 53
_LOG_DRAWS: Final = _DRAW_BITS * log(2)


class Split(Generic[T]):
    """Variants of one link or rule, ready to choose from.

    Args:
        salt: the link's ID, so that the choices of two links have nothing to do with each other. Variants of the same name in
            two rules of a link draw the same number: who got "b" by one rule tends to get "b" by the other.
        options: (name, weight, what to return); at least one weight is above 0.
    """

    __slots__ = ("_draws", "_only")

    def __init__(self, options: Sequence[tuple[str, int, T]], *, salt: str) -> None:
        self._draws = tuple((_seed(salt, name), 1 / weight, value) for name, weight, value in options if weight)
        self._only = self._draws[0][2] if len(self._draws) == 1 else None

    def choose(self, key: str) -> T:
        """The option of a visitor; `key` is an ID of hex digits."""
        if self._only is not None:
            return self._only
        visitor = int(key, 16)
        best, chosen = -1e300, self._draws[0][2]
        for seed, inverse, value in self._draws:
            mixed = ((visitor ^ seed) * _SPREAD) & _MASK
            mixed = ((mixed ^ (mixed >> 67)) * _MIX) & _MASK
            score = (log((mixed >> (128 - _DRAW_BITS)) + 1) - _LOG_DRAWS) * inverse
            if score > best:
                best, chosen = score, value
        return chosen


def _seed(salt: str, name: str) -> int:
    return int.from_bytes(blake2b(f"{salt}:{name}".encode(), digest_size=16).digest())
