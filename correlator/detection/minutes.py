"""One closed minute through all detectors, without store, journal or clock: what the engine's tick and the simulator both drive.

What was loaded goes into `exposure` and `shares`; `observe` closes the minute and says what every detector holds; `fired` says which stream
reached the fleet's threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from correlator.detection.baseline import BaselineModel, Rate
from correlator.detection.bounds import MINUTES_PER_MONTH
from correlator.detection.exposure import ExposureState, Leaf
from correlator.detection.sequential import fleet_log_value
from correlator.detection.shares import ShareBoard
from correlator.detection.streams import Input, StreamBoard

Array = npt.NDArray[np.float64]

#: Weight of conversions among the two families of detectors.
CONVERSION_SHARE = 0.5


class Fired(NamedTuple):
    """The stream that contributed most to a fleet alarm."""

    kind: str
    position: int


class Readings(NamedTuple):
    """After a closed minute: conversions expected in it by leaf, and the log values of all conversion streams and all shares."""

    expected: Array
    conversions: Array
    shares: Array


class Detectors(NamedTuple):
    """Everything that a minute of event time advances."""

    exposure: ExposureState
    streams: StreamBoard
    shares: ShareBoard

    def observe(
        self,
        end: int,
        *,
        model: BaselineModel,
        rate: Callable[[Leaf], Rate],
        masked: Callable[[], Collection[tuple[str, str, str]]],
        appeared: Callable[[list[Leaf]], None] = lambda leaves: None,
    ) -> Readings:
        """Close the minute that ends at `end`.

        Args:
            end: instant in milliseconds of event time.
            model: the baseline in force.
            rate: a leaf's baseline rate.
            masked: leaves inside an open incident, which are out of every stream; asked after `appeared`.
            appeared: told all leaves when new streams came with them.
        """
        before = len(self.streams.layout.keys)
        leaves = self.exposure.leaves
        laws = model.leaf_laws(leaves)
        minute = self.exposure.close_minute(end, laws, season=model.season)
        self.streams.adopt(leaves)
        if len(self.streams.layout.keys) != before:
            appeared(leaves)
        rates = [rate(leaf) for leaf in leaves]
        value = np.asarray([known.value for known in rates])
        expected = minute.expected * value
        so_far = self.exposure.expected_so_far(laws, season=model.season)
        given = Input(
            observed=minute.observed,
            expected=expected,
            relative_error=np.hypot([0.0 if known.shared else known.error for known in rates], model.profile_error),
            cohort_observed=self.exposure.converted,
            cohort_expected=so_far * value[:, None],
            widths_minutes=self.exposure.widths_minutes(),
            shared_error=np.asarray([known.error if known.shared else 0.0 for known in rates]),
            onset_allowed=self.exposure.edges[None, :] >= self.exposure.since[:, None],
        )
        inside = masked()
        active = np.asarray([tuple(leaf) not in inside for leaf in leaves], dtype=np.bool_)
        conversions = self.streams.step(
            given,
            active,
            dispersion=model.dispersion,
            misfit=model.misfit,
            campaign_misfit=model.campaign_misfit,
            special_days=model.special_days,
            bucket_starts=self.exposure.edges,
        )
        return Readings(expected, conversions, self.shares.step(model.shares, model.share_spreads))

    def fired(self, conversions: Array, shares: Array, *, threshold: float) -> Fired | None:
        """The biggest contributor when the weighted mean over both families reaches the threshold."""
        by_stream = conversions + self.streams.layout.log_weights + np.log(CONVERSION_SHARE)
        by_share = shares + self.shares.log_weights() + np.log(1 - CONVERSION_SHARE)
        total = fleet_log_value(np.concatenate([by_stream, by_share]), np.zeros(by_stream.size + by_share.size))
        if total < threshold:
            return None
        if by_share.size and (not by_stream.size or by_share.max() > by_stream.max()):
            return Fired("shares", int(by_share.argmax()))
        return Fired("conversions", int(by_stream.argmax()))


def fleet_threshold(false_alarms_per_month: float) -> float:
    """log of the minutes between false alarms of the whole fleet."""
    return float(np.log(MINUTES_PER_MONTH / false_alarms_per_month))
