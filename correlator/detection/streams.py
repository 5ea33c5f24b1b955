"""Streams: every leaf and every parent of leaves is watched at once (theory.md 2.9).

A pooled stream with ten times the conversions is ten times as fast, a leaf is not diluted: so campaign x device x page, its pairs, each
campaign, device, page, platform and account, and everything together each have a detector. All of them share one budget of false
alarms: the weighted mean of their detectors is itself an e-detector, so one threshold holds for the fleet. Levels share the weight
evenly; within a level half of it is shared evenly and half by spend, so that money is watched more closely and nothing is watched
less than half as closely as before; streams with the same leaves are one.

Weights may change while detectors run, because a weight belongs to an *onset*: every minute brings a new unit of possible onsets, split
over the streams by weights that are known before that minute's conversions. Then E[sum_k w_k(t) (1 + ...)] still grows by at most one a
minute, which is all that an e-detector promises (Shin, Ramdas, Rinaldo, arXiv 2203.03532: predictable weights). So what a stream holds
already keeps the weight it was gathered with; only what comes after is weighed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from core.clock import DAY_MS, HOUR_MS
from core.identity import is_qualified, split_qualified
from correlator.detection.bounds import DROPS
from correlator.detection.exposure import Leaf
from correlator.detection.sequential import (
    EMPTY,
    LEAST_MISFIT,
    advance,
    cohort_log_values,
    drop_log_ratios,
    log_mean,
    mixture,
    usable_drops,
)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

#: A level may be claimed to be a drop where the effects of a day do not reach it this many standard deviations out: with a budget of a false
#: alarm a month, a day in a hundred is too many.
MISFIT_SIGMAS = 2.5
#: Relative standard deviation of the level of a day in the calendar: holidays and promotions change a rate by a third or so.
SPECIAL_MISFIT = 0.35
#: Clicks as young as this say nothing about the level of their day: they may be those of an incident.
LEVEL_AGE_MS = HOUR_MS
#: The part of a level's weight that its streams share evenly whatever they spend: at most ln 2 nats are lost by a stream that spends
#: nothing, which is less than a minute in the delay of anything worth an alarm.
EVEN_SHARE = 0.5
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


def lay_out(leaves: Sequence[Leaf], spend: npt.ArrayLike | None = None) -> Layout:
    """All distinct streams over `leaves`; the weight of a duplicate goes to the widest stream with the same leaves.

    Args:
        leaves: what is watched.
        spend: of each leaf, in any one unit; the weight of a level is shared evenly when it is left out or nothing is spent.
    """
    spent = np.zeros(len(leaves)) if spend is None else np.asarray(spend, dtype=np.float64)
    groups: dict[tuple[int, ...], StreamKey] = {}
    weights: dict[tuple[int, ...], float] = {}
    for level in LEVELS:
        by_key: dict[StreamKey, list[int]] = {}
        for row, leaf in enumerate(leaves):
            by_key.setdefault(tuple((name, dimension(leaf, name)) for name in level), []).append(row)
        shares = _shares(np.asarray([spent[rows].sum() for rows in by_key.values()]))
        for (key, rows), share in zip(by_key.items(), shares.tolist(), strict=True):
            members = tuple(rows)
            groups[members] = key
            weights[members] = weights.get(members, 0.0) + share / len(LEVELS)
    rows_at = [row for members in groups for row in members]
    starts = np.concatenate([[0], np.cumsum([len(members) for members in groups])]).astype(np.int64)
    member = csr_matrix((np.ones(len(rows_at)), rows_at, starts), shape=(len(groups), len(leaves)))
    return Layout(list(groups.values()), member, np.log(np.asarray(list(weights.values()))))


def _shares(spent: Array) -> Array:
    """Of one level's weight, the part of each of its streams."""
    even = np.full(len(spent), 1 / max(len(spent), 1))
    total = float(spent.sum())
    shares: Array = EVEN_SHARE * even + (1 - EVEN_SHARE) * spent / total if total > 0 else even
    return shares


def _lowest_level(
    observed: Array, expected: Array, strays: Array, starts: Ints, dispersion: float
) -> tuple[Array, Array]:
    """The lower one of the levels of today and yesterday, and how uncertain they are, relative; by stream.

    Conversions of now are children of both days. Each level is Gamma distributed around one with the standard deviation `strays` (streams x
    days), given what the day's clicks brought that are older than `LEVEL_AGE_MS`: younger ones would make a drop part of the level.
    """
    older = starts < starts[-1] - LEVEL_AGE_MS
    level, unknown = np.full(len(observed), np.inf), np.zeros(len(observed))
    days, of_day = np.unique(starts // DAY_MS, return_inverse=True)
    for day in range(max(len(days) - 2, 0), len(days)):
        inside = (of_day == day) & older
        kappa = 1 / np.maximum(strays[:, day], LEAST_MISFIT) ** 2
        due = kappa + expected[:, inside].sum(1) / dispersion
        level = np.minimum(level, (kappa + observed[:, inside].sum(1) / dispersion) / due)
        unknown = np.maximum(unknown, 1 / np.sqrt(due))
    return level, unknown


class Input(NamedTuple):
    """One closed minute by leaf, in conversions, and the exposure so far by leaf and bucket of click time."""

    observed: Array
    expected: Array
    relative_error: Array  # of each leaf's baseline
    cohort_observed: Array
    cohort_expected: Array
    widths_minutes: Array
    onset_allowed: Mask  # leaf x bucket: clicks since the leaf's fresh start
    shared_error: Array | None = None  # and what of it all leaves of a campaign have in common


class _Saved(msgspec.Struct, frozen=True):
    """Arrays as bytes, streams by position: of the first so many leaves; `layout` says of which streams."""

    leaves: int
    layout: bytes
    log_values: bytes
    since: bytes
    spend: bytes
    older_weights: bytes
    weighed_at: int
    stepped: bytes = b""


class StreamBoard:
    """The detectors of all streams. `active` leaves count; those inside an open incident are taken out of every stream."""

    def __init__(self, *, dead_zone: float, plan: Callable[[Sequence[Leaf], Array], Layout] = lay_out) -> None:
        self.dead_zone = dead_zone
        self._plan = plan
        self.layout = lay_out([])
        self._leaves: list[Leaf] = []
        self._campaigns = np.zeros(0, dtype=np.int64)  # number of each leaf's campaign
        self._spend = np.zeros(0)
        self._log_values = np.zeros((0, len(DROPS)))
        self._stepped = np.zeros((0, len(DROPS)))
        self._since = np.zeros(0, dtype=np.int64)
        # Onsets of clicks before `_weighed_at` keep these weights; None until the first minute after a change says when that was.
        self._older_weights = np.zeros(0)
        self._weighed_at: int | None = 0

    def adopt(self, leaves: list[Leaf]) -> None:
        """Lay the streams out anew when leaves were added; detectors keep their state by key. A new leaf has spent nothing yet."""
        if self._leaves != leaves:
            spent = dict(zip(self._leaves, self._spend.tolist(), strict=True))
            self._leaves = list(leaves)
            self._campaigns = np.unique([leaf.campaign for leaf in leaves], return_inverse=True)[1].astype(np.int64)
            self._lay_out(np.asarray([spent.get(leaf, 0.0) for leaf in leaves]))

    def weigh(self, spend: npt.ArrayLike) -> None:
        """Split the weight by what each leaf spends. What the detectors hold already keeps the weight it was gathered with.

        Args:
            spend: by leaf, in the order of `adopt`; in any one unit, none negative. It may rest on anything but the conversions
                of minutes that are not closed yet.
        """
        self._lay_out(np.asarray(spend, dtype=np.float64))

    def _lay_out(self, spend: Array) -> None:
        before, first = self.layout, not self.layout.keys
        self._spend, self.layout = spend, self._plan(self._leaves, spend)
        keys, _, weights = self.layout
        at = {key: position for position, key in enumerate(before.keys)}
        old = np.asarray([at.get(key, -1) for key in keys], dtype=np.int64)
        known, old = old >= 0, old[old >= 0]
        log_values = np.full((len(keys), len(DROPS)), EMPTY)
        # Weight x value stays what it was: only onsets from here on have the new weight.
        log_values[known] = self._log_values[old] + (before.log_weights[old] - weights[known])[:, None]
        stepped = np.full((len(keys), len(DROPS)), EMPTY)
        stepped[known] = self._stepped[old] + (before.log_weights[old] - weights[known])[:, None]
        self._stepped = stepped
        since = np.zeros(len(keys), dtype=np.int64)
        since[known] = self._since[old]
        older = weights.copy()
        older[known] = np.minimum(np.minimum(self._older_weights[old], before.log_weights[old]), weights[known])
        self._log_values, self._since, self._older_weights = log_values, since, older
        self._weighed_at = 0 if first else None

    def step(
        self,
        minute: Input,
        active: Mask,
        *,
        dispersion: float,
        misfit: float,
        bucket_starts: Ints,
        campaign_misfit: float = 0.0,
        special_days: Collection[int] = (),
    ) -> Array:
        """Advance every stream by one closed minute; log values of the mixture over drop sizes and both hypotheses.

        Args:
            minute: what it brought.
            active: leaves outside every open incident.
            dispersion: what log ratios are divided by.
            misfit: relative standard deviation of the effect that a day has on everything.
            bucket_starts: starts of the buckets of click time.
            campaign_misfit: and of the effect that it has on one campaign; a stream of many averages it away.
            special_days: days since the epoch of which a calendar says that their level is anyone's guess.
        """
        member = self.layout.member
        masked = member.multiply(active[None, :]).tocsr()
        observed, expected = masked @ minute.observed, masked @ minute.expected * (1 - self.dead_zone)
        errors, misfits = self._errors(masked, minute), self._misfits(masked, minute, misfit, campaign_misfit)
        guessed = self._guessed(masked, minute)
        days = bucket_starts // DAY_MS
        special = np.isin(np.unique(days), list(special_days))
        values = advance(self._log_values, drop_log_ratios(observed, expected, dispersion=dispersion))
        # While a special day's clicks convert, evidence about the level is none: kept, it would fire as soon as the day is over.
        self._log_values = np.full_like(values, EMPTY) if special.any() else values
        strays = np.hypot(np.hypot(misfits, guessed)[:, None], np.where(special, SPECIAL_MISFIT, 0.0)[None, :])
        by_click = masked @ minute.cohort_observed, masked @ minute.cohort_expected
        level, unknown = _lowest_level(
            *by_click, np.hypot(strays, np.minimum(errors / 3, 1.0)[:, None]), bucket_starts, dispersion
        )
        fell = usable_drops(np.where(expected > 0, 3 * unknown, np.inf))
        stepped = advance(self._stepped, drop_log_ratios(observed, expected * level, dispersion=dispersion))
        # What a detector gathered while it might not speak is about the level, and may not be told when it may.
        self._stepped = np.where(fell, stepped, EMPTY)
        cohort = cohort_log_values(
            *by_click,
            self._onset_weights(minute.widths_minutes, bucket_starts),
            active=self._onsets(bucket_starts),
            dispersion=dispersion,
            dead_zone=self.dead_zone,
            misfit=strays,
            days=days,
        )
        low = usable_drops(errors + 3 * guessed + MISFIT_SIGMAS * misfits)
        arrival = log_mean(mixture(self._log_values, low), mixture(self._stepped, fell))
        return log_mean(arrival, mixture(cohort, usable_drops(errors)))

    def members(self, position: int) -> list[int]:
        """Leaves of the stream at `position`."""
        member = self.layout.member
        rows: list[int] = member.indices[member.indptr[position] : member.indptr[position + 1]].tolist()
        return rows

    def touching(self, leaves: set[int]) -> Ints:
        """Positions of the streams that contain any of these leaves."""
        inside = np.zeros(self.layout.member.shape[1])
        inside[list(leaves)] = 1.0
        return np.flatnonzero(self.layout.member @ inside)

    def reset(self, leaves: set[int], *, at: int) -> None:
        """Start the streams that contain any of these leaves again: their alarm is being told as one incident."""
        positions = self.touching(leaves)
        self._log_values[positions] = EMPTY
        self._stepped[positions] = EMPTY
        self._since[positions] = at

    def _errors(self, masked: csr_matrix, minute: Input) -> Array:
        """3 x SE of each stream's expected count, relative (theory.md 2.4)."""
        expected = masked @ minute.expected
        variance = masked @ (minute.expected * minute.relative_error) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.sqrt(variance) / expected
        errors: Array = np.where(expected > 0, 3 * relative, np.inf)
        return errors

    def _misfits(self, masked: csr_matrix, minute: Input, shared: float, of_campaign: float) -> Array:
        """How far each stream's days stray: what all share, and the campaigns' own effects by their parts of its conversions."""
        if of_campaign <= 0:
            return np.full(masked.shape[0], shared)
        misfits: Array = np.hypot(shared, of_campaign * self._together(masked, minute.expected, minute.expected))
        return misfits

    def _guessed(self, masked: csr_matrix, minute: Input) -> Array:
        """Relative error of each stream that comes from campaigns without a history: launches watched against a target."""
        if minute.shared_error is None or not minute.shared_error.any():
            return np.zeros(masked.shape[0])
        return self._together(masked, minute.expected * minute.shared_error, minute.expected)

    def _together(self, masked: csr_matrix, values: Array, expected: Array) -> Array:
        """Root of the sum over campaigns of the squares of their sums of `values`, in parts of what each stream expects."""
        leaves = np.arange(len(self._leaves) + 1)
        by_campaign = masked @ csr_matrix((values, self._campaigns, leaves))
        size, whole = np.sqrt(by_campaign.power(2).sum(1).A1), masked @ expected
        parts: Array = np.divide(size, whole, out=np.ones_like(whole), where=whole > 0)
        return parts

    def _onsets(self, starts: Ints) -> Mask:
        allowed: Mask = starts[None, :] >= self._since[:, None]
        return allowed

    def _onset_weights(self, widths_minutes: Array, starts: Ints) -> Array:
        """Minutes of onsets in each bucket (streams x buckets, or buckets when all are alike), those of older weights in units of today's."""
        if self._weighed_at is None:
            self._weighed_at = int(starts[-1])
        old = starts < self._weighed_at
        if not old.any():
            self._older_weights = self.layout.log_weights.copy()
            return widths_minutes
        scale = np.exp(self._older_weights - self.layout.log_weights)
        weights: Array = np.where(old[None, :], scale[:, None], 1.0) * widths_minutes[None, :]
        return weights

    def encode(self) -> bytes:
        """What a checkpoint keeps: 60 bytes a stream."""
        return msgspec.msgpack.encode(
            _Saved(
                leaves=len(self._leaves),
                layout=self._fingerprint(),
                log_values=self._log_values.tobytes(),
                stepped=self._stepped.tobytes(),
                since=self._since.tobytes(),
                spend=self._spend.tobytes(),
                older_weights=self._older_weights.tobytes(),
                weighed_at=-1 if self._weighed_at is None else self._weighed_at,
            )
        )

    def restore(self, data: bytes, leaves: list[Leaf]) -> bool:
        """Take up a checkpoint's state; False, and all streams of `leaves` empty, when it is of other streams.

        Args:
            data: from `encode`.
            leaves: as they were then, in that order; new ones after them.

        Raises:
            msgspec.DecodeError: it is no checkpoint of ours.
        """
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self.adopt(leaves[: saved.leaves])
        same = saved.layout == self._fingerprint()
        if same:
            self._spend = np.frombuffer(saved.spend).copy()
            self.layout = self._plan(self._leaves, self._spend)
            self._log_values = np.frombuffer(saved.log_values).reshape(-1, len(DROPS)).copy()
            if saved.stepped:  # a checkpoint from before there was this statistic starts it afresh
                self._stepped = np.frombuffer(saved.stepped).reshape(-1, len(DROPS)).copy()
            self._since = np.frombuffer(saved.since, dtype=np.int64).copy()
            self._older_weights = np.frombuffer(saved.older_weights).copy()
            self._weighed_at = None if saved.weighed_at < 0 else saved.weighed_at
        self.adopt(leaves)
        return same

    def _fingerprint(self) -> bytes:
        """Which streams in which order, and which sizes of drop: what positions in the arrays mean."""
        names = "\n".join([repr(DROPS), *map(stream_name, self.layout.keys)])
        return blake2b(names.encode(), digest_size=16).digest()
