"""Exposure as state: clicks per leaf in age buckets, from which the conversions expected in a minute follow (design §7.1).

A leaf is campaign x device x page. Buckets are aligned to event time and grow coarser with age (10 s, 1 min, 10 min, 1 h, 6 h), so the
state is small, merging buckets is exact, and late clicks find their place. Beside the clicks stand the conversions by the time of
*their click*, which is what the cohort hypothesis tests. The state is advanced minute by minute of event time; rows that come after
their minute was closed are made up for in the next one, so that nothing is lost and nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.clock import HOUR_MS, MINUTE_MS
from correlator.detection.delay import DelayLaw, LeafLaws, one_law

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Factor of the conversion rate by instants of clicks, in milliseconds.
Season = Callable[[Array], Array]

#: (bucket width, up to which age), fine to coarse. Every width divides the next, so coarse edges are fine edges as well.
TIERS: tuple[tuple[int, int], ...] = (
    (10_000, 10 * MINUTE_MS),
    (MINUTE_MS, HOUR_MS),
    (10 * MINUTE_MS, 6 * HOUR_MS),
    (HOUR_MS, 48 * HOUR_MS),
    (6 * HOUR_MS, 31 * 24 * HOUR_MS),
)
FINE_MS = TIERS[0][0]


class Leaf(NamedTuple):
    """The smallest segment that is watched. Platform and account follow from the qualified campaign."""

    campaign: str
    device: str
    page: str


class ClickCount(NamedTuple):
    """First non-bot hits of one leaf in the bucket that starts at `ts`."""

    leaf: Leaf
    ts: int
    clicks: float


class Arrival(NamedTuple):
    """One conversion of a leaf: when it happened and when its click happened."""

    leaf: Leaf
    ts: int
    click_ts: int


class Minute(NamedTuple):
    """What one closed minute of event time brought, by leaf."""

    end: int
    observed: Array
    expected: Array  # in conversions per unit of baseline rate: multiply by the leaf's rate


class _Counts(msgspec.Struct, frozen=True):
    """An array as bytes of the smallest type that holds each of its values exactly: a checkpoint is written twice a minute."""

    type: str
    data: bytes

    @classmethod
    def of(cls, values: Array) -> _Counts:
        top = float(values.max(initial=0.0))
        for kind, most in (("<u1", 0xFF), ("<u2", 0xFFFF)):
            if top <= most:
                small = values.astype(kind)
                if np.array_equal(small, values):
                    return cls(kind, small.tobytes())
        return cls("<f8", values.astype("<f8").tobytes())

    def values(self, shape: tuple[int, int]) -> Array:
        return np.frombuffer(self.data, dtype=self.type).reshape(shape).astype(np.float64)


class _Saved(msgspec.Struct, frozen=True):
    leaves: list[tuple[str, str, str]]
    edges: bytes
    clicks: _Counts
    converted: _Counts
    since: bytes
    closed: int
    waiting: list[tuple[int, int, int]]
    late: list[tuple[int, int, float]]


def bucket_edges(now: int, horizon_ms: int) -> Ints:
    """Starts of the buckets at `now`, oldest first; the last bucket ends `FINE_MS` after the last edge."""
    edges: list[Ints] = []
    end = now - now % FINE_MS + FINE_MS
    for position, (width, up_to) in enumerate(TIERS):
        coarser = width if up_to >= horizon_ms else TIERS[position + 1][0]
        oldest = now - min(up_to, horizon_ms)
        start = oldest - oldest % coarser
        edges.append(np.arange(start, end, width, dtype=np.int64))
        end = start
        if up_to >= horizon_ms:
            break
    return np.concatenate(edges[::-1])


class ExposureState:
    """Clicks and conversions by leaf and bucket; see the module's docstring."""

    def __init__(self, *, closed: int, horizon_ms: int) -> None:
        self.horizon_ms = horizon_ms
        self.closed = closed
        self.leaves: list[Leaf] = []
        self.edges = bucket_edges(closed, horizon_ms)
        self.clicks = np.zeros((0, len(self.edges)))
        self.converted = np.zeros((0, len(self.edges)))
        #: A leaf starts afresh here after an incident: older clicks and their conversions no longer count.
        self.since = np.zeros(0, dtype=np.int64)
        self._index: dict[Leaf, int] = {}
        self._waiting: list[tuple[int, int, int]] = []  # (leaf, ts, click_ts), not yet in a closed minute
        self._late: list[tuple[int, int, float]] = []  # (leaf, ts, clicks) older than the last closed minute

    def leaf_index(self, leaf: Leaf) -> int:
        """The leaf's row, made when it is new."""
        self._adopt([leaf])
        return self._index[leaf]

    def _adopt(self, leaves: Iterable[Leaf]) -> None:
        """Rows for those leaves that have none yet: all at once, because each growth copies the whole state."""
        new = [leaf for leaf in dict.fromkeys(leaves) if leaf not in self._index]
        if not new:
            return
        self._index.update((leaf, len(self.leaves) + place) for place, leaf in enumerate(new))
        self.leaves += new
        rows = np.zeros((len(new), len(self.edges)))
        self.clicks, self.converted = np.vstack([self.clicks, rows]), np.vstack([self.converted, rows])
        self.since = np.append(self.since, np.zeros(len(new), dtype=np.int64))

    def add_clicks(self, counts: list[ClickCount]) -> None:
        """Rows loaded since the last tick. Clicks older than the horizon or their leaf's fresh start are left out."""
        if counts:
            self._make_room(max(c.ts for c in counts))
        self._adopt(count.leaf for count in counts)
        for leaf, ts, clicks in counts:
            row = self._index[leaf]
            if ts < self.edges[0] or ts < self.since[row]:
                continue
            self.clicks[row, self._bucket(ts)] += clicks
            if ts < self.closed:
                self._late.append((row, ts, clicks))

    def add_arrivals(self, arrivals: list[Arrival]) -> None:
        """Conversions loaded since the last tick; each waits for its minute to close."""
        self._adopt(arrival.leaf for arrival in arrivals)
        self._waiting += [(self._index[leaf], ts, click_ts) for leaf, ts, click_ts in arrivals]

    def settle(self, arrivals: list[Arrival]) -> None:
        """Take clicks and conversions up to `closed` as dealt with: for a state that is filled from a scan."""
        self._late.clear()
        self._adopt(arrival.leaf for arrival in arrivals)
        for leaf, ts, click_ts in arrivals:
            row = self._index[leaf]
            if ts >= self.closed:
                self._waiting.append((row, ts, click_ts))
            elif click_ts >= self.edges[0]:
                self.converted[row, self._bucket(click_ts)] += 1

    def close_minute(self, end: int, law: DelayLaw | LeafLaws, *, season: Season = np.ones_like) -> Minute:
        """Advance to `end`: conversions that happened before it and were not counted yet, and what was expected meanwhile.

        Args:
            end: instant in milliseconds of event time.
            law: one delay law, or each leaf's own.
            season: factor of the conversion rate by the time of the *click*: a conversion of now is the child of an earlier hour.
        """
        laws, factor = self._laws(law), season(self._middles())
        expected = self._expected_between(self.closed, end, laws, factor) + self._expected_of_late(laws, factor)
        observed = self._take_arrivals(end)
        self.closed = end
        self._late.clear()
        self._coarsen()
        return Minute(end, observed, expected)

    def expected_so_far(self, law: DelayLaw | LeafLaws, *, season: Season = np.ones_like) -> Array:
        """Conversions expected until the last closed minute by leaf and bucket of click time, per unit of baseline rate."""
        laws = self._laws(law)
        shares = laws.mean_shares(self.closed - self._ends(), self.closed - self.edges.astype(np.float64))
        so_far: Array = self.clicks * (shares * season(self._middles()))[laws.of]
        return so_far

    def _laws(self, law: DelayLaw | LeafLaws) -> LeafLaws:
        return one_law(law, len(self.leaves)) if isinstance(law, DelayLaw) else law

    def _middles(self) -> Array:
        return (self.edges + self._ends()) / 2

    def widths_minutes(self) -> Array:
        widths: Array = (self._ends() - self.edges) / MINUTE_MS
        return widths

    def start_afresh(self, rows: Ints, at: int) -> None:
        """Forget clicks before `at` and their conversions: after an incident their expectation no longer holds."""
        old = self.edges < at
        self.since[rows] = at
        self.clicks[np.ix_(rows, old)] = 0.0
        self.converted[np.ix_(rows, old)] = 0.0
        chosen = set(rows.tolist())
        self._waiting = [(r, ts, c) for r, ts, c in self._waiting if r not in chosen or c >= at]

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(
            _Saved(
                leaves=[(leaf.campaign, leaf.device, leaf.page) for leaf in self.leaves],
                edges=self.edges.tobytes(),
                clicks=_Counts.of(self.clicks),
                converted=_Counts.of(self.converted),
                since=self.since.tobytes(),
                closed=self.closed,
                waiting=self._waiting,
                late=self._late,
            )
        )

    @classmethod
    def decode(cls, data: bytes, *, horizon_ms: int) -> ExposureState:
        """The state as `encode` kept it.

        Raises:
            msgspec.DecodeError: it was kept by another version.
        """
        saved = msgspec.msgpack.decode(data, type=_Saved)
        state = cls(closed=saved.closed, horizon_ms=horizon_ms)
        state.leaves = [Leaf(*leaf) for leaf in saved.leaves]
        state._index = {leaf: row for row, leaf in enumerate(state.leaves)}
        state.edges = np.frombuffer(saved.edges, dtype=np.int64).copy()
        shape = (len(state.leaves), len(state.edges))
        state.clicks = saved.clicks.values(shape)
        state.converted = saved.converted.values(shape)
        state.since = np.frombuffer(saved.since, dtype=np.int64).copy()
        state._waiting, state._late = list(saved.waiting), list(saved.late)
        return state

    def _expected_between(self, start: int, end: int, laws: LeafLaws, factor: Array) -> Array:
        ends, starts = self._ends(), self.edges.astype(np.float64)
        shares = laws.mean_shares(end - ends, end - starts) - laws.mean_shares(start - ends, start - starts)
        expected = np.zeros(len(self.leaves))
        for position, share in enumerate(shares * factor):
            rows = laws.of == position if len(shares) > 1 else slice(None)
            expected[rows] = self.clicks[rows] @ share
        return expected

    def _expected_of_late(self, laws: LeafLaws, factor: Array) -> Array:
        """What late clicks should have brought in minutes that were closed without them."""
        missed = np.zeros(len(self.leaves))
        for row, ts, count in self._late:
            bucket = self._bucket(ts)
            edge, end = self.edges[bucket], self._ends()[bucket]
            arrived = laws.laws[laws.of[row]].mean_share(self.closed - end, self.closed - edge)
            missed[row] += count * float(arrived) * float(factor[bucket])
        return missed

    def _take_arrivals(self, end: int) -> Array:
        observed = np.zeros(len(self.leaves))
        later: list[tuple[int, int, int]] = []
        for row, ts, click_ts in self._waiting:
            if ts >= end:
                later.append((row, ts, click_ts))
            elif click_ts >= self.edges[0] and click_ts >= self.since[row]:
                observed[row] += 1
                self.converted[row, self._bucket(min(click_ts, end))] += 1
        self._waiting = later
        return observed

    def _bucket(self, ts: int) -> int:
        return min(int(np.searchsorted(self.edges, ts, side="right")) - 1, len(self.edges) - 1)

    def _ends(self) -> Array:
        return np.append(self.edges[1:], self.edges[-1] + FINE_MS).astype(np.float64)

    def _make_room(self, newest: int) -> None:
        """Fine buckets up to `newest`, which may lie in a minute that is not closed yet."""
        if newest < self.edges[-1] + FINE_MS:
            return
        extra = np.arange(self.edges[-1] + FINE_MS, newest + 1, FINE_MS, dtype=np.int64)
        self.edges = np.concatenate([self.edges, extra])
        padding = np.zeros((len(self.leaves), len(extra)))
        self.clicks, self.converted = np.hstack([self.clicks, padding]), np.hstack([self.converted, padding])

    def _coarsen(self) -> None:
        """Merge aged buckets and drop those past the horizon; sums stay exact because coarse edges are fine edges too."""
        last = max(int(self.edges[-1]), self.closed - FINE_MS)
        self._make_room(last)
        wanted = bucket_edges(self.closed, self.horizon_ms)
        kept = np.intersect1d(wanted, self.edges)
        newer = self.edges[self.edges > wanted[-1]]
        edges = np.concatenate([kept, newer])
        if len(edges) == len(self.edges):
            return
        at = np.searchsorted(self.edges, edges)
        first = int(at[0])
        self.clicks = np.add.reduceat(self.clicks[:, first:], at - first, axis=1)
        self.converted = np.add.reduceat(self.converted[:, first:], at - first, axis=1)
        self.edges = edges
