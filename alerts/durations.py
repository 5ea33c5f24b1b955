"""Durations as people write them: ``90s``, ``15m``, ``4h``, ``7d``. In Python they are milliseconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_FORM = re.compile(r"^(\d+)(ms|s|m|h|d)$")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Milliseconds(int):
    """A duration that was parsed. A bare number in a file is refused: nobody can see whether it means seconds."""


def duration(value: Any) -> Milliseconds:
    """``15m`` as milliseconds.

    Raises:
        ValueError: not a whole number with a unit.
    """
    if isinstance(value, Milliseconds):
        return value
    match = _FORM.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration such as 90s, 15m, 4h or 7d")
    return Milliseconds(int(match[1]) * _UNIT_MS[match[2]])


def format_duration(ms: int) -> str:
    """Milliseconds in the largest unit that fits without a rest: 14400000 -> ``4h``."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


#: A settings or rule field that is written ``15m`` and read as milliseconds.
Duration = Annotated[int, BeforeValidator(duration)]
