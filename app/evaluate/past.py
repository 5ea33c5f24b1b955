"""Four weeks before the live part, by segment and hour: what a detector may learn from. No incident is in it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.rates import DAY_MIN, HISTORY_DAYS, Rates

Array = npt.NDArray[np.float64]

HOURS: Final = HISTORY_DAYS * 24
#: Conversions whose delay and whose click's age are told apart; more of them change no law.
DELAY_SAMPLE: Final = 30_000


class Past(NamedTuple):
    """Segments x hours, oldest first: clicks, all their conversions and those that have come by the end; and a sample of delays."""

    clicks: Array
    to_come: npt.NDArray[np.int64]  # conversions that have not come yet
    conversions: npt.NDArray[np.int64]
    delays_of: npt.NDArray[np.int64]  # segment of each delay of the sample
    delays_min: Array
    ages_min: Array


def draw_past(rates: Rates) -> Past:
    """The fleet's past; the same fleet has the same."""
    random = np.random.default_rng([rates.fleet.seed, 4])
    middles = -HISTORY_DAYS * DAY_MIN + np.arange(HOURS, dtype=np.int64) * 60 + 30
    mean = rates.clicks(middles) * 60
    extra = max(rates.habits.click_dispersion - 1, 1e-3)
    clicks = random.poisson(random.gamma(np.maximum(mean, 1e-12) / extra, extra))
    ages = _ages()
    arrived = _arrived(rates, ages)
    # The ten-minute effects of an hour partly cancel; one block stands for all six, weakened accordingly.
    chance = _hourly_chance(rates, middles)
    all_conversions = random.binomial(clicks, chance)
    conversions = random.binomial(all_conversions, arrived)
    sample = _delay_sample(rates, all_conversions, ages, random)
    return Past(clicks.astype(np.float64), all_conversions - conversions, conversions, *sample)


def a_day_later(past: Past, rates: Rates, *, days: int, random: np.random.Generator) -> Past:
    """The same past seen after `days` live days, from how it was seen a day before: late conversions have come."""
    ages: Array = np.add(_ages(), (days - 1) * DAY_MIN, dtype=np.float64)
    before, after = _arrived(rates, ages), _arrived(rates, ages + DAY_MIN)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.nan_to_num((after - before) / (1 - before))
    come = random.binomial(past.to_come, np.clip(chance, 0.0, 1.0))
    return past._replace(to_come=past.to_come - come, conversions=past.conversions + come)


def _arrived(rates: Rates, ages: npt.ArrayLike) -> Array:
    """Share of each hour's conversions that has come, segments x hours."""
    return np.stack([segment.delay.arrived(ages) for segment in rates.fleet.segments])


def _ages() -> Array:
    """Ages of the hours' middles at the live part's beginning, in minutes."""
    ages: Array = np.arange(HOURS, 0, -1, dtype=np.float64) * 60 - 30
    return ages


def _hourly_chance(rates: Rates, middles: npt.NDArray[np.int64]) -> Array:
    """The rate's mean over the six ten-minute blocks of each hour."""
    blocks = [rates.converting(middles + 10 * step) for step in range(-3, 3)]
    chance: Array = np.mean(blocks, axis=0)
    return chance


def _delay_sample(
    rates: Rates, conversions: npt.NDArray[np.int64], ages: Array, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Segment, delay and age of the click, of delays no longer than their click's age: those that anyone could have seen by now."""
    segment, hour = np.nonzero(conversions)
    weight = conversions[segment, hour]
    chosen = random.choice(len(weight), min(DELAY_SAMPLE, int(weight.sum())), p=weight / weight.sum())
    delays = np.zeros(len(chosen))
    uniform = random.random(len(chosen))
    for law in {s.delay for s in rates.fleet.segments}:
        own = np.asarray([s.delay == law for s in rates.fleet.segments])[segment[chosen]]
        delays[own] = law.draw(uniform[own])
    ages_of = ages[hour[chosen]]
    seen = delays <= ages_of
    return segment[chosen][seen].astype(np.int64), delays[seen], ages_of[seen]
