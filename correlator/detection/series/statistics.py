"""The statistics whose surprise is looked at: single rows, runs of rows, more or less noise than usual, a value that stands still."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: One row counts up to this in a sum, so that a spike is no level shift.
LIMIT: Final = 4.0
#: Sum of the newest four deviations (over 2) that agrees in full with a longer sum.
AGREED: Final = 2.0
#: Surprise (decades) that adds nothing.
ORDINARY: Final = 0.5
#: Rows looked back at most.
REACH: Final = 160


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic: its name, what it has in common with others, and the smallest fall-off of its tail (per factor e) that is believed."""

    name: str
    group: str
    least: float


def sums(noise: Floats, *, rows: int) -> Floats:
    """Sum of limited deviations over the last `rows` rows, over the root of their number."""
    total = np.concatenate(([0.0], np.cumsum(np.clip(noise, -LIMIT, LIMIT))))
    end = np.arange(1, len(noise) + 1)
    return np.asarray((total[end] - total[np.maximum(end - rows, 0)]) / np.sqrt(rows))


def lasting(noise: Floats, *, rows: int) -> Floats:
    """The sum over `rows` rows as far as the newest four agree with it: an incident that is over is not told again."""
    now = sums(noise, rows=4)
    whole = sums(noise, rows=rows)
    return np.asarray(whole * np.clip(now * np.sign(whole) / AGREED, 0.0, 1.0))


def restlessness(noise: Floats, *, rows: int) -> Floats:
    """Logarithm of the mean size of the last `rows` innovations."""
    total = np.concatenate(([0.0], np.cumsum(np.minimum(np.abs(noise), LIMIT))))
    end = np.arange(1, len(noise) + 1)
    begin = np.maximum(end - rows, 0)
    return np.asarray(np.log(((total[end] - total[begin]) + 1.0) / (end - begin + 1.25)))


class Stillness:
    """Logarithm of 1 + rows for which the value has not moved, by row."""

    def __init__(self, rows: int) -> None:
        self.rows = np.zeros(rows)

    def advance(self, values: Floats, *, low: int, high: int) -> None:
        """Counts on over the rows [low, high)."""
        begin = max(0, low - 1)
        moved = np.diff(values[begin:high]) != 0
        if low == 0:
            moved = np.concatenate(([True], moved))
        since = round(np.expm1(self.rows[begin])) if low else 0
        at = np.arange(1, len(moved) + 1)
        last = np.maximum.accumulate(np.where(moved, at, -since))
        self.rows[low:high] = np.log1p(at - last)


#: Single rows, in deviations.
SINGLE: Final = 30.0
LOOKS: Final = tuple(
    Look(name=name, group=group, least=least)
    for name, group, least in (
        ("next up", "next", 0.3), ("next down", "next", 0.3),
        ("near up", "single", 0.3), ("near down", "single", 0.3),
        ("far up", "single", 0.3), ("far down", "single", 0.3),
        ("near 4 up", "some", 0.3), ("near 4 down", "some", 0.3),
        ("near 12 up", "some", 0.3), ("near 12 down", "some", 0.3),
        ("far 24 up", "many", 0.3), ("far 24 down", "many", 0.3),
        ("far 72 up", "many", 0.3), ("far 72 down", "many", 0.3),
        ("noise 12 up", "noise", 0.06), ("noise 48 up", "noise", 0.03), ("noise 48 down", "noise", 0.03),
        ("still", "still", 0.15),
        ("shape", "shape", 0.3),
    )
)  # fmt: skip
GROUPS: Final = tuple(dict.fromkeys(look.group for look in LOOKS))


def looks(next_row: Floats, near: Floats, far: Floats, *, still: Floats, shape: Floats) -> Floats:
    """All statistics of the newest rows, shape (rows, looks); `still` and `shape` have these rows only, the others the rows before, too."""
    keep = len(still)
    signed = [np.clip(each, -SINGLE, SINGLE) for each in (next_row, near, far)]
    signed += [sums(near, rows=4), lasting(near, rows=12), lasting(far, rows=24), lasting(far, rows=72)]
    columns = [column[-keep:] * sign for column in signed for sign in (1.0, -1.0)]
    long_noise = restlessness(next_row, rows=48)[-keep:]
    columns += [restlessness(next_row, rows=12)[-keep:], long_noise, -long_noise, still, shape]
    return np.stack(columns, axis=1)


def together(surprise: Floats) -> Floats:
    """One number of the surprises of all statistics, shape (rows, looks): root of the squares over groups.

    Within a group the statistics say nearly the same, so the highest counts, less what choosing it costs. Groups that agree add up;
    what is as likely as not (half a decade) adds nothing.
    """
    squares = np.zeros(len(surprise))
    for group in GROUPS:
        members = [k for k, look in enumerate(LOOKS) if look.group == group]
        highest = surprise[:, members].max(axis=1) - np.log10(len(members))
        squares += np.maximum(highest - ORDINARY, 0.0) ** 2
    return np.sqrt(squares)
