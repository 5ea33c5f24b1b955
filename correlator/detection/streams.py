"""Streams: every leaf and every parent of leaves is watched at once (theory.md 2.9).

A pooled stream with ten times the conversions is ten times as fast, a leaf is not diluted: so campaign x device x page, its pairs, each
campaign, device, page, platform and account, and everything together each have a detector. All of them share one budget of false
alarms: the weighted mean of their detectors is itself an e-detector, so one threshold holds for the fleet. Levels share the weight
evenly, and so do the streams of a level; streams with the same leaves are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from core.identity import is_qualified, split_qualified
from correlator.detection.bounds import DROPS
from correlator.detection.exposure import Leaf
from correlator.detection.sequential import (
    EMPTY,
    advance,
    cohort_log_values,
    drop_log_ratios,
    log_mean,
    mixture,
    usable_drops,
)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Dimensions by which leaves are pooled, narrow to wide.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("campaign", "device", "page"),
    ("campaign", "device"),
    ("device", "page"),
    ("campaign",),
    ("device",),
    ("page",),
    ("platform",),
    ("account",),
    (),
)
StreamKey = tuple[tuple[str, str], ...]

_DIMENSIONS: dict[str, Callable[[Leaf], str]] = {
    "campaign": lambda leaf: leaf.campaign,
    "device": lambda leaf: leaf.device,
    "page": lambda leaf: leaf.page,
    "platform": lambda leaf: split_qualified(leaf.campaign)[0] if is_qualified(leaf.campaign) else "",
    "account": lambda leaf: ":".join(split_qualified(leaf.campaign)[:2]) if is_qualified(leaf.campaign) else "",
}


def dimension(leaf: Leaf, name: str) -> str:
    """The leaf's value of a dimension; platform and account come from the qualified campaign."""
    return _DIMENSIONS[name](leaf)


@cache
def stream_name(key: StreamKey) -> str:
    """Remembered: every checkpoint names thousands, always the same."""
    return ",".join(f"{name}={value}" for name, value in key) or "all"


class Layout(NamedTuple):
    """Which leaf belongs to which stream."""

    keys: list[StreamKey]
    member: csr_matrix  # streams x leaves, ones
    log_weights: Array


def lay_out(leaves: Sequence[Leaf]) -> Layout:
    """All distinct streams over `leaves`; the weight of a duplicate goes to the widest stream with the same leaves."""
    groups: dict[tuple[int, ...], StreamKey] = {}
    weights: dict[tuple[int, ...], float] = {}
    for level in LEVELS:
        by_key: dict[StreamKey, list[int]] = {}
        for row, leaf in enumerate(leaves):
            by_key.setdefault(tuple((name, dimension(leaf, name)) for name in level), []).append(row)
        for key, rows in by_key.items():
            members = tuple(rows)
            groups[members] = key
            weights[members] = weights.get(members, 0.0) + 1 / len(LEVELS) / len(by_key)
    rows_at = [row for members in groups for row in members]
    starts = np.concatenate([[0], np.cumsum([len(members) for members in groups])]).astype(np.int64)
    member = csr_matrix((np.ones(len(rows_at)), rows_at, starts), shape=(len(groups), len(leaves)))
    return Layout(list(groups.values()), member, np.log(np.asarray(list(weights.values()))))


class Input(NamedTuple):
    """One closed minute by leaf, in conversions, and the exposure so far by leaf and bucket of click time."""

    observed: Array
    expected: Array
    relative_error: Array  # of each leaf's baseline
    cohort_observed: Array
    cohort_expected: Array
    widths_minutes: Array
    onset_allowed: Mask  # leaf x bucket: clicks since the leaf's fresh start


class StreamBoard:
    """The detectors of all streams. `active` leaves count; those inside an open incident are taken out of every stream."""

    def __init__(self, *, dead_zone: float) -> None:
        self.dead_zone = dead_zone
        self.layout = lay_out([])
        self._log_values: dict[StreamKey, Array] = {}
        self._since: dict[StreamKey, int] = {}

    def adopt(self, leaves: Sequence[Leaf]) -> None:
        """Lay the streams out anew when leaves were added; detectors keep their state by key."""
        if self.layout.member.shape[1] != len(leaves):
            self.layout = lay_out(leaves)

    def step(
        self, minute: Input, active: Mask, *, dispersion: float, misfit: float, bucket_starts: npt.NDArray[np.int64]
    ) -> Array:
        """Advance every stream by one closed minute; log values of the mixture over drop sizes and both hypotheses."""
        keys, member, _ = self.layout
        masked = member.multiply(active[None, :]).tocsr()
        forgiven = 1 - self.dead_zone
        observed, expected = masked @ minute.observed, masked @ minute.expected * forgiven
        usable = usable_drops(self._errors(masked, minute, misfit))
        previous = np.asarray([self._log_values.get(key, np.full(len(DROPS), EMPTY)) for key in keys]).reshape(
            -1, len(DROPS)
        )
        values = advance(previous, drop_log_ratios(observed, expected, dispersion=dispersion))
        self._log_values = dict(zip(keys, values, strict=True))
        cohort = cohort_log_values(
            masked @ minute.cohort_observed,
            masked @ minute.cohort_expected * forgiven,
            minute.widths_minutes,
            active=self._onsets(bucket_starts),
            dispersion=dispersion,
        )
        return log_mean(mixture(values, usable), mixture(cohort, usable))

    def members(self, position: int) -> list[int]:
        """Leaves of the stream at `position`."""
        member = self.layout.member
        rows: list[int] = member.indices[member.indptr[position] : member.indptr[position + 1]].tolist()
        return rows

    def reset(self, leaves: set[int], *, at: int) -> None:
        """Start the streams that contain any of these leaves again: their alarm is being told as one incident."""
        for position, key in enumerate(self.layout.keys):
            if leaves.intersection(self.members(position)):
                self._log_values.pop(key, None)
                self._since[key] = at

    def _errors(self, masked: csr_matrix, minute: Input, misfit: float) -> Array:
        """3 x SE of each stream's expected count, relative, plus the wobble no profile explains (theory.md 2.4)."""
        expected = masked @ minute.expected
        variance = masked @ (minute.expected * minute.relative_error) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.sqrt(variance) / expected
        errors: Array = np.where(expected > 0, 3 * relative + misfit, np.inf)
        return errors

    def _onsets(self, starts: npt.NDArray[np.int64]) -> Mask:
        since = np.asarray([self._since.get(key, 0) for key in self.layout.keys], dtype=np.int64)
        allowed: Mask = starts[None, :] >= since[:, None]
        return allowed

    def state(self) -> tuple[dict[str, list[float]], dict[str, int]]:
        """What a checkpoint keeps, by stream name."""
        values = {stream_name(key): row.tolist() for key, row in self._log_values.items()}
        return values, {stream_name(key): at for key, at in self._since.items()}

    def restore(self, values: dict[str, list[float]], since: dict[str, int]) -> None:
        """Take up a checkpoint's state for the streams of the present layout."""
        for key in self.layout.keys:
            name = stream_name(key)
            if name in values:
                self._log_values[key] = np.asarray(values[name])
            if name in since:
                self._since[key] = since[name]
