"""The shipped detector, driven minute by minute through its own doors: no other module of the simulator knows it.

Configuration is the product's default. Nothing of the detector is written again here: counts go in as the engine's tick puts them in
(`ExposureState`, `ShareBoard`), minutes close in `Detectors.observe`, and `Detectors.fired` says which stream reached the threshold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import identity

from correlator.detection.baseline import BaselineModel, History, Rate, empty_model, fit
from correlator.detection.bounds import MINUTES_PER_MONTH, minimum_detectable_drop
from correlator.detection.config import DetectionConfig
from correlator.detection.delay import DelayLaw, learn_law, learn_segment_laws
from correlator.detection.exposure import Arrival, ClickCount, ExposureState, Leaf
from correlator.detection.minutes import CONVERSION_SHARE, Detectors, fleet_threshold
from correlator.detection.sequential import EMPTY
from correlator.detection.shares import ShareBoard, ShareKey, hourly_spread, share_name, share_scope
from correlator.detection.streams import Layout, StreamBoard, StreamKey, stream_name

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
CONFIG: Final = DetectionConfig()
#: Everything converts within a millisecond: the idealised world has no delay.
AT_ONCE: Final = DelayLaw(ages_ms=[1.0, 2.0], shares=[1.0, 1.0])


class Replicas:
    """Worlds of one leaf each under the shipped configuration, advanced together; the baseline is known to be `base_rate`."""

    def __init__(self, runs: int, *, base_rate: float, start: int) -> None:
        self._leaves = [Leaf(f"r{run}", "", "") for run in range(runs)]
        rate = Rate(base_rate, 0.0, "history")
        self._rate = rate
        self._model = msgspec.structs.replace(empty_model(now=start), misfit=0.0, law=AT_ONCE)
        board = StreamBoard(dead_zone=CONFIG.dead_zone, plan=_apart)
        exposure = ExposureState(closed=start, horizon_ms=round(CONFIG.exposure_horizon_h * HOUR_MS))
        for leaf in self._leaves:
            exposure.leaf_index(leaf)
        self._detectors = Detectors(exposure, board, ShareBoard())
        self._threshold = fleet_threshold(CONFIG.false_alarms_per_month) - float(np.log(CONVERSION_SHARE))

    def run(self, clicks: Array, conversions: Array) -> Mask:
        """Minutes in which each run raised an alarm, runs x minutes; a run starts afresh after its alarm."""
        return np.stack([self._minute(clicks[:, t], conversions[:, t]) for t in range(clicks.shape[1])], axis=1)

    def _minute(self, clicks: Array, conversions: Array) -> Mask:
        exposure, streams, _ = self._detectors
        start = exposure.closed
        exposure.add_clicks(
            [ClickCount(leaf, start, count) for leaf, count in zip(self._leaves, clicks.tolist(), strict=True)]
        )
        exposure.add_arrivals(
            [
                Arrival(leaf, start, start)
                for leaf, count in zip(self._leaves, conversions.tolist(), strict=True)
                for _ in range(int(count))
            ]
        )
        end = start + MINUTE_MS
        readings = self._detectors.observe(end, model=self._model, rate=lambda leaf: self._rate, masked=set)
        fired: Mask = readings.conversions >= self._threshold
        for run in np.flatnonzero(fired).tolist():
            streams.reset({run}, at=end)
        return fired


def _apart(leaves: Sequence[Leaf], spend: Array) -> Layout:
    """Every leaf a world of its own: one stream, which has all the weight."""
    keys: list[StreamKey] = [(("campaign", leaf.campaign),) for leaf in leaves]
    return Layout(keys, identity(len(leaves), format="csr"), np.zeros(len(leaves)))


class Alarm(NamedTuple):
    """A stream that fired: the minute's end, its kind, what it is called, and the rows of the leaves it stands for."""

    minute: int
    kind: str
    stream: str
    rows: tuple[int, ...]
    scope: dict[str, str]


class Watch:
    """One world under the shipped configuration: learned from a past, filled with the day before, then fed minute by minute.

    Leaves are rows. Minutes count from `start` (minutes since the epoch). A stream that fired starts afresh at once: how long an
    incident keeps its leaves out of the detectors is decided by the product's recovery, which needs its store and is not played here.
    """

    def __init__(
        self,
        leaves: Sequence[tuple[str, str, str]],
        *,
        start: int,
        targets: dict[str, float],
        special_days: Collection[int] = (),
    ) -> None:
        self._leaves = [Leaf(*leaf) for leaf in leaves]
        self._start = start
        self.targets = targets
        self._special_days = special_days
        self._model = empty_model(now=start * MINUTE_MS)
        self._known: dict[Leaf, Rate] = {}
        self.detectors = Detectors(self._empty(0), StreamBoard(dead_zone=CONFIG.dead_zone), ShareBoard())

    @property
    def model(self) -> BaselineModel:
        """The baseline in force."""
        return self._model

    def learn(
        self, *, hours: Array, clicks: Array, conversions: Array, delays_of: Ints, delays_min: Array, ages_min: Array
    ) -> None:
        """The baseline from leaves x hours (hours since the epoch), and the delay laws from delays by leaf and their clicks' ages."""
        law = learn_law(delays_min * MINUTE_MS, ages_min * MINUTE_MS)
        of = [self._leaves[row] for row in delays_of.tolist()]
        segments = learn_segment_laws(
            [leaf.campaign for leaf in of],
            [leaf.page for leaf in of],
            delays_min * MINUTE_MS,
            ages_min * MINUTE_MS,
            parent=law,
        )
        row, at = np.nonzero(clicks)
        history = History(self._leaves, row, hours[at].astype(np.int64), clicks[row, at], conversions[row, at])
        now = (int(hours[-1]) + 1) * HOUR_MS
        usual, spreads = self._model.shares, self._model.share_spreads
        self._model = fit(
            history, laws={"order": law}, law=law, segments=segments, now=now, special_days=self._special_days
        )
        self._model = msgspec.structs.replace(self._model, shares=usual, share_spreads=spreads)
        self._known = {
            leaf: self._model.rate(leaf, targets=self.targets, minimum_conversions=CONFIG.minimum_conversions)
            for leaf in self._leaves
        }

    def expect_shares(self, past: Sequence[tuple[str, str, str, str, Array, Array]]) -> None:
        """What shares usually are: kind, subject, route, device, hits and trials by the hour of the past, as the product's query sums them."""
        known: dict[str, tuple[float, float]] = {}
        spreads: dict[str, float] = {}
        for *key, hits, trials in past:
            name, asked = share_name(ShareKey(*key)), trials > 0
            known[name] = (float(hits.sum() + 0.5) / float(trials.sum() + 1), float(trials.sum()))
            spread = hourly_spread(
                float(hits.sum()),
                float(trials.sum()),
                hours=float(asked.sum()),
                scatter=float((hits[asked] ** 2 / trials[asked]).sum()),
                squares=float((trials**2).sum()),
            )
            if spread is not None:
                spreads[name] = spread
        self._model = msgspec.structs.replace(self._model, shares=known, share_spreads=spreads)

    def fill(self, *, minute: int, first: int, clicks: Array, rows: Ints, clicked: Array, happened: Array) -> None:
        """The state at `minute` from what came before: clicks (leaves x minutes from `first` on) and conversions that have happened."""
        exposure = self._empty(minute)
        edges = exposure.edges
        starts = (self._start + first + np.arange(clicks.shape[1])) * MINUTE_MS + MINUTE_MS // 2
        bucket = np.searchsorted(edges, starts, side="right") - 1
        inside = bucket >= 0
        sums = np.zeros((len(clicks), len(edges)))
        np.add.at(sums.T, bucket[inside], clicks[:, inside].T)
        found = [
            ClickCount(self._leaves[row], int(edges[at]), float(sums[row, at])) for row, at in np.argwhere(sums > 0)
        ]
        exposure.add_clicks(found)
        exposure.settle(self._arrivals(rows, clicked, happened))
        self.detectors = self.detectors._replace(exposure=exposure)

    def minute(
        self,
        clicks: Array,
        *,
        rows: Ints,
        clicked: Array,
        happened: Array,
        shares: Sequence[tuple[str, str, str, str, float, float]] = (),
    ) -> list[Alarm]:
        """One minute more: clicks by leaf, conversions that became known in it, shares (kind, subject, route, device, hits, trials)."""
        exposure, _, board = self.detectors
        at = exposure.closed
        # Two neighbouring buckets around the middle: the mean age is that of clicks spread over the minute.
        exposure.add_clicks(
            [
                ClickCount(self._leaves[row], at + offset, count / 2)
                for row, count in enumerate(clicks.tolist())
                if count
                for offset in (20_000, 30_000)
            ]
        )
        exposure.add_arrivals(self._arrivals(rows, clicked, happened))
        for kind, subject, route, device, hits, trials in shares:
            board.add(ShareKey(kind, subject, route, device), hits=hits, trials=trials)
        readings = self.detectors.observe(
            at + MINUTE_MS, model=self._model, rate=lambda leaf: self._known[leaf], masked=set
        )
        return self._alarms(readings.conversions.copy(), readings.shares.copy())

    def minimum_drop(self, expected_per_minute: float, *, rows: Sequence[int]) -> float | None:
        """The smallest drop that the stream of these leaves states that it can find within two hours at this pace.

        None where it states that it can't see an outage, or where no stream consists of these leaves.
        """
        streams = self.detectors.streams
        streams.adopt(self._leaves)
        wanted = sorted(rows)
        own = [p for p in range(len(streams.layout.keys)) if sorted(streams.members(p)) == wanted]
        if not own:
            return None
        months = MINUTES_PER_MONTH / CONFIG.false_alarms_per_month / CONVERSION_SHARE
        weight = float(np.exp(streams.layout.log_weights[own[0]]))
        return minimum_detectable_drop(expected_per_minute, mean_run_length=months / weight)

    def _alarms(self, conversions: Array, shares: Array) -> list[Alarm]:
        exposure, streams, board = self.detectors
        found: list[Alarm] = []
        threshold = fleet_threshold(CONFIG.false_alarms_per_month)
        now = (exposure.closed // MINUTE_MS) - self._start
        while (fired := self.detectors.fired(conversions, shares, threshold=threshold)) is not None:
            if fired.kind == "shares":
                key = board.keys[fired.position]
                board.reset(key)
                shares[fired.position] = EMPTY
                found.append(Alarm(now, key.kind, share_name(key), self._rows_of(key), share_scope(key)))
                continue
            rows, key_of = set(streams.members(fired.position)), streams.layout.keys[fired.position]
            found.append(Alarm(now, "conversions", stream_name(key_of), tuple(sorted(rows)), dict(key_of)))
            for position in range(len(streams.layout.keys)):
                if rows.intersection(streams.members(position)):
                    conversions[position] = EMPTY
            streams.reset(rows, at=exposure.closed)
        return found

    def _rows_of(self, key: ShareKey) -> tuple[int, ...]:
        scope = share_scope(key)
        return tuple(
            row
            for row, leaf in enumerate(self._leaves)
            if all(value == getattr(leaf, name) for name, value in scope.items())
        )

    def _arrivals(self, rows: Ints, clicked: Array, happened: Array) -> list[Arrival]:
        epoch = self._start * MINUTE_MS
        return [
            Arrival(self._leaves[row], epoch + int(at * MINUTE_MS), epoch + int(click * MINUTE_MS))
            for row, click, at in zip(rows.tolist(), clicked.tolist(), happened.tolist(), strict=True)
        ]

    def _empty(self, minute: int) -> ExposureState:
        horizon = round(CONFIG.exposure_horizon_h * HOUR_MS)
        state = ExposureState(closed=(self._start + minute) * MINUTE_MS, horizon_ms=horizon)
        for leaf in self._leaves:
            state.leaf_index(leaf)
        return state
