"""How many clicks come and how many of them convert, minute by minute, when nothing is wrong (theory.md 4.1).

Traffic: hour of day, weekend, an AR(1) noise by the hour, budgets that run out, launches. Conversion: an hour-of-week profile that does not
follow the traffic, a weekly drift, effects of the day, holidays and promotions, and an overdispersion that a campaign's segments share
for ten minutes. What is random here is drawn once for a fleet's whole span, so that every reader of a minute sees the same world.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from app.evaluate.segments import Fleet

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HISTORY_DAYS: Final = 28
DAY_MIN: Final = 1440
BLOCK_MIN: Final = 10
#: AR(1) of the log traffic by the hour: correlation and stationary standard deviation.
NOISE_CORRELATION, NOISE_SD = 0.7, 0.1
WEEKLY_DRIFT_SD: Final = 0.02
HOLIDAY_SIZE: Final = 0.4
PROMOTION_SIZE: Final = 0.3
LAUNCH_RAMP_MIN: Final = 240.0


class Habits(NamedTuple):
    """What varies from world to world; a stress fixes one of them."""

    day_sd: float
    dispersion: float  # of conversions in ten minutes of a campaign
    click_dispersion: float
    profile: float  # half-width of the hour-of-week profile of the rate
    holidays: bool = True
    baseline_bias: float = 0.0  # what the live part converts less than its history, everywhere
    unmodelled: float = 0.0  # amplitude of a daily profile that the history does not show
    batched: bool = False  # the feed tells conversions once an hour, some minutes late


class Rates(NamedTuple):
    """The world's laws over history and live part. Minutes count from the live part's first; the history has negative ones."""

    fleet: Fleet
    habits: Habits
    days: int
    noise: Array  # campaigns x hours, from the history's first
    weekly: Array  # hours of the week: factor of the rate
    daily: Array  # campaigns x days: factor of the rate
    random: int  # seed of the ten-minute effects
    special_days: tuple[
        int, ...
    ] = ()  # holidays and promotions, days since the epoch: the buyer has them in a calendar

    def clicks(self, minutes: Ints) -> Array:
        """Expected clicks, segments x minutes."""
        fleet = self.fleet
        hours = (minutes + fleet.start) / 60.0
        at = (minutes + HISTORY_DAYS * DAY_MIN) // 60
        by_campaign = np.stack([self._traffic(c, hours, minutes) for c in range(len(fleet.campaigns))])
        by_campaign *= np.exp(self.noise[:, at])
        shares = np.asarray([segment.share for segment in fleet.segments])
        expected: Array = by_campaign[fleet.campaign_of] * shares[:, None]
        return expected

    def _traffic(self, number: int, hours: Array, minutes: Ints) -> Array:
        campaign = self.fleet.campaigns[number]
        of_day = hours % 24
        day = np.exp(campaign.amplitude * np.cos(2 * np.pi * (of_day - campaign.peak_hour) / 24))
        weekend = np.where((hours // 24 + 3) % 7 >= 5, campaign.weekend, 1.0)
        running = (of_day < campaign.exhausted_hour).astype(np.float64)
        if campaign.launched_h >= 0:
            since = minutes - campaign.launched_h * 60
            running *= np.clip(since / LAUNCH_RAMP_MIN, 0.0, 1.0)
        traffic: Array = campaign.clicks_per_minute * day * weekend * running / np.i0(campaign.amplitude)
        return traffic

    def converting(self, minutes: Ints) -> Array:
        """Probability that a click of each minute converts, segments x minutes."""
        fleet = self.fleet
        of_week = ((minutes + fleet.start) // 60 + 72) % 168
        day = (minutes + HISTORY_DAYS * DAY_MIN) // DAY_MIN
        factor = self.weekly[of_week][None, :] * self.daily[:, day]
        live = minutes >= 0
        factor = factor * np.where(live, 1 - self.habits.baseline_bias, 1.0)
        swing = self.habits.unmodelled * np.sin(2 * np.pi * ((minutes + fleet.start) % DAY_MIN) / DAY_MIN)
        factor = factor * np.where(live, 1 + swing, 1.0) * self._bursts(minutes)
        probability: Array = np.minimum(factor[fleet.campaign_of] * fleet.rates[:, None], 0.9)
        return probability

    def _bursts(self, minutes: Ints) -> Array:
        """Gamma effects of mean one that a campaign's segments share for ten minutes; they make the counts vary `dispersion` times.

        Where less than one conversion is expected in ten minutes the effect's variance ends at one.
        """
        count = len(self.fleet.campaigns)
        if self.habits.dispersion <= 1:
            return np.ones((count, len(minutes)))
        due = np.bincount(self.fleet.campaign_of, self.fleet.rates * self.fleet.per_minute, count) * BLOCK_MIN
        variance = np.minimum((self.habits.dispersion - 1) / np.maximum(due, 1e-9), 1.0)
        blocks = (minutes + HISTORY_DAYS * DAY_MIN) // BLOCK_MIN
        found = np.unique(blocks)
        effects = np.stack(
            [np.random.default_rng([self.random, int(block)]).gamma(1 / variance, variance) for block in found], axis=1
        )
        bursts: Array = effects[:, np.searchsorted(found, blocks)]
        return bursts


def draw_habits(seed: int) -> Habits:
    """How this world varies."""
    random = np.random.default_rng([seed, 2])
    return Habits(
        day_sd=float(random.choice([0.0, 0.05, 0.1, 0.2])),
        dispersion=float(random.choice([1.0, 1.5, 2.0])),
        click_dispersion=float(random.uniform(1.5, 5.0)),
        profile=float(random.uniform(0.1, 0.3)),
    )


def draw_rates(fleet: Fleet, habits: Habits, *, days: int) -> Rates:
    """The laws of a fleet for its history and `days` live ones."""
    random = np.random.default_rng([fleet.seed, 3])
    count, span = len(fleet.campaigns), HISTORY_DAYS + days
    shocks = random.normal(0, NOISE_SD * np.sqrt(1 - NOISE_CORRELATION**2), (count, span * 24))
    noise = np.asarray(lfilter([1.0], [1.0, -NOISE_CORRELATION], shocks, axis=1), dtype=np.float64)
    weeks = random.normal(0, WEEKLY_DRIFT_SD, (count, span // 7 + 2)).cumsum(1)
    drift = np.repeat(weeks - weeks[:, 4:5], 7, axis=1)[:, :span]
    daily = np.exp(drift + random.normal(0, habits.day_sd, (count, span)) - habits.day_sd**2 / 2)
    special = _special_days(random, span) if habits.holidays else np.ones(span)
    known = fleet.start // DAY_MIN - HISTORY_DAYS + np.flatnonzero(special != 1)
    weekly = _weekly(random, habits.profile)
    return Rates(fleet, habits, days, noise, weekly, daily * special, fleet.seed, tuple(known.tolist()))


def _weekly(random: np.random.Generator, width: float) -> Array:
    """A smooth hour-of-day profile with its own day of the week, mean about one; it peaks at another time than the traffic."""
    hours = np.arange(168)
    phase, second = random.uniform(0, 24, 2)
    day = np.cos(2 * np.pi * (hours - phase) / 24) + 0.3 * np.cos(4 * np.pi * (hours - second) / 24)
    of_week = random.normal(0, 0.03, 7)[hours // 24]
    profile = np.exp(width * day / 1.3 + of_week)
    normalised: Array = profile / profile.mean()
    return normalised


def _special_days(random: np.random.Generator, span: int) -> Array:
    """A holiday a month, up or down, and every other month a promotion of three days."""
    factor = np.ones(span)
    for day in np.flatnonzero(random.random(span) < 1 / 30):
        factor[day] *= 1 + HOLIDAY_SIZE * random.choice([-1.0, 1.0])
    for day in np.flatnonzero(random.random(span) < 1 / 60):
        factor[day : day + 3] *= 1 + PROMOTION_SIZE
    return factor
