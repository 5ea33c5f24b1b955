"""What the simple rules see of a realistic world: every campaign's clicks and conversions by the minute, and what is usual of both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from app.evaluate.incidents import Incident
from app.evaluate.naive import Counts
from app.evaluate.rates import DAY_MIN, HISTORY_DAYS
from app.evaluate.realistic import Told, World
from app.evaluate.rule_alarms import delays_by_rule

Array = npt.NDArray[np.float64]


class Series:
    """Clicks and conversions of every campaign by the minute they become known, for the rules; clicks of the last day count."""

    def __init__(self, world: World, *, since: int, end: int) -> None:
        self._of = world.rates.fleet.campaign_of
        self._since = since
        shape = (len(world.rates.fleet.campaigns), end - since)
        self._clicks, self._conversions = np.zeros(shape), np.zeros(shape)

    def add(self, told: Told) -> None:
        at = told.minute - self._since
        self._clicks[:, at] = np.bincount(self._of, told.clicks, len(self._clicks))
        recent = told.rows[told.clicked >= told.minute - DAY_MIN]
        self._conversions[:, at] = np.bincount(self._of[recent], minlength=len(self._clicks))

    def counts(self, world: World) -> Counts:
        """With what four weeks of history say is usual: a rate by campaign, and a profile by hour of the week."""
        minutes = self._since + np.arange(self._clicks.shape[1])
        clicks, profile = _usual(world, minutes)
        rate = (profile.sum(1) / np.maximum(clicks.sum(1), 1e-9))[:, None]
        return Counts(self._clicks, self._conversions, clicks, self._clicks * rate, profile)

    def delays(
        self, world: World, what: Incident, thresholds: Mapping[str, Mapping[str, float]]
    ) -> dict[str, dict[str, float | None]]:
        """By the first campaign that holds a part of the incident."""
        own = np.unique(self._of[what.inside])
        counts = Counts(*(values[own] for values in self.counts(world)))
        found = delays_by_rule(counts, int(what.onset) - self._since, thresholds)
        return {
            rule: {which: min((d for d in delays if d is not None), default=None) for which, delays in levels.items()}
            for rule, levels in found.items()
        }


def _usual(world: World, minutes: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Clicks, and conversions within a day of their click, that the minutes of the week usually have; campaigns x minutes."""
    fleet = world.rates.fleet
    within = np.asarray([float(s.delay.arrived(DAY_MIN)) for s in fleet.segments])
    count = len(fleet.campaigns)
    weeks = (count, HISTORY_DAYS // 7, 168)
    clicks, conversions = np.zeros((count, HISTORY_DAYS * 24)), np.zeros((count, HISTORY_DAYS * 24))
    np.add.at(clicks, fleet.campaign_of, world.past.clicks)
    np.add.at(conversions, fleet.campaign_of, (world.past.conversions + world.past.to_come) * within[:, None])
    hour = (minutes // 60) % 168
    return clicks.reshape(weeks).mean(1)[:, hour] / 60, conversions.reshape(weeks).mean(1)[:, hour] / 60
