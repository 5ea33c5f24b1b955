"""The world by the minute: clicks counted, conversions drawn from the law of the click's age, incidents laid over both.

Clicks of a segment's minute are negative binomial. How many of them convert is a binomial draw; when each of those converts is drawn
from the segment's delay law. That is the event law summed over a minute's clicks, without drawing the clicks that never convert:
`events.py` draws every single one, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.incidents import Incident
from app.evaluate.rates import Rates

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Share of the hits that get no redirect, and that are no new human click, when all is well.
USUALLY_LOST, USUALLY_INVALID = 0.001, 0.03
#: Bots come as many times the usual clicks as this, times the incident's size; the filter names this share of them.
BOTS: Final = 3.0
BOTS_SEEN: Final = 0.3
#: An hourly batch of conversions comes this long after the hour it tells of.
BATCH_DELAY_MIN: Final = 5.0
#: Devices whose clicks a mix shift doubles at size 1; the others' fall by as much of the whole.
MIX_GAIN: Final = 1.0


class Conversions(NamedTuple):
    """One entry a conversion that was going to happen; times in minutes of the live part."""

    segment: Ints
    clicked: Array
    happens: Array
    known: Array
    failed: Mask  # the order could not be placed
    tracked: Mask  # its click is known

    def pick(self, at: slice | Ints) -> Conversions:
        """Some of them."""
        return Conversions(
            self.segment[at], self.clicked[at], self.happens[at], self.known[at], self.failed[at], self.tracked[at]
        )

    def also(self, other: Conversions) -> Conversions:
        """These, then the others."""
        return Conversions(
            np.concatenate([self.segment, other.segment]),
            np.concatenate([self.clicked, other.clicked]),
            np.concatenate([self.happens, other.happens]),
            np.concatenate([self.known, other.known]),
            np.concatenate([self.failed, other.failed]),
            np.concatenate([self.tracked, other.tracked]),
        )


class Drawn(NamedTuple):
    """Segments x minutes from `start` on, and the conversions of those minutes' clicks, whenever they happen."""

    start: int
    clicks: Array
    hits: Array
    lost: Array
    invalid: Array
    conversions: Conversions

    @property
    def end(self) -> int:
        return self.start + int(self.clicks.shape[1])


def between(parts: Sequence[Drawn]) -> Drawn:
    """Neighbouring stretches as one."""
    conversions = parts[0].conversions
    for part in parts[1:]:
        conversions = conversions.also(part.conversions)
    return Drawn(
        parts[0].start,
        np.hstack([part.clicks for part in parts]),
        np.hstack([part.hits for part in parts]),
        np.hstack([part.lost for part in parts]),
        np.hstack([part.invalid for part in parts]),
        conversions,
    )


def draw(
    rates: Rates, *, start: int, end: int, random: np.random.Generator, incidents: Sequence[Incident] = ()
) -> Drawn:
    """What the clicks of the minutes [start, end) bring.

    1. Clicks, with what incidents add or move.
    2. Hits that get lost on the way, and those the filter takes out.
    3. Which clicks convert, and when.
    4. Which of those conversions fail, lose their click or are told late.
    """
    minutes = np.arange(start, end, dtype=np.int64)
    people = _negative_binomial(random, _mixed(rates.clicks(minutes), rates, minutes, incidents), rates)
    bots, seen = _bots(random, people, minutes, incidents)
    lost = random.binomial(people, _lost_share(rates, minutes, incidents)).astype(np.int64)
    invalid = random.binomial(people - lost, USUALLY_INVALID) + seen
    probability = rates.converting(minutes) * _kept_by_click(rates, minutes, incidents)
    counted = people - lost
    parallel = np.asarray([rates.fleet.campaigns[s.campaign].parallel for s in rates.fleet.segments])
    matched = _converting(random, rates, start, counted, probability, tracked=True)
    unseen = _converting(random, rates, start, np.where(parallel[:, None], lost, 0), probability, tracked=False)
    conversions = matched.also(unseen)
    if rates.habits.batched:
        conversions = conversions._replace(known=np.ceil(conversions.happens / 60) * 60 + BATCH_DELAY_MIN)
    clicks = (counted + bots).astype(np.float64)
    return Drawn(
        start,
        clicks,
        clicks + lost + invalid,
        lost.astype(np.float64),
        invalid.astype(np.float64),
        _at_arrival(random, conversions, incidents),
    )


def _negative_binomial(random: np.random.Generator, mean: Array, rates: Rates) -> Ints:
    """Counts with the variance `click_dispersion` times the mean."""
    extra = rates.habits.click_dispersion - 1
    if extra <= 0:
        return random.poisson(mean).astype(np.int64)
    return random.poisson(random.gamma(np.maximum(mean, 1e-12) / extra, extra)).astype(np.int64)


def _converting(
    random: np.random.Generator, rates: Rates, start: int, clicks: Ints, probability: Array, *, tracked: bool
) -> Conversions:
    number = random.binomial(clicks, probability)
    segment, minute = np.nonzero(number)
    times = number[segment, minute]
    segment, minute = np.repeat(segment, times), np.repeat(minute, times)
    clicked = start + minute + random.random(len(minute))
    uniform = random.random(len(minute))
    delay = np.zeros(len(minute))
    for law in {s.delay for s in rates.fleet.segments}:
        own = np.asarray([s.delay == law for s in rates.fleet.segments])[segment]
        delay[own] = law.draw(uniform[own])
    happens = clicked + delay
    return Conversions(
        segment.astype(np.int64), clicked, happens, happens.copy(), np.zeros(len(minute), dtype=np.bool_),
        np.full(len(minute), tracked),
    )  # fmt: skip


def _mixed(clicks: Array, rates: Rates, minutes: Ints, incidents: Sequence[Incident]) -> Array:
    """A shift of the mix: the device that converts worst gains what the others lose, cell by cell nothing else changes."""
    for incident in incidents:
        if incident.cause.law != "mix":
            continue
        by_device: dict[str, list[float]] = {}
        for segment in rates.fleet.segments:
            by_device.setdefault(segment.device, []).append(segment.rate)
        worst = min(by_device, key=lambda device: float(np.mean(by_device[device])))
        gains = np.asarray([segment.device == worst for segment in rates.fleet.segments])
        moved = incident.strength(minutes + 0.5)[None, :]
        clicks = np.where(gains[:, None], clicks * (1 + MIX_GAIN * 4 * moved), clicks * (1 - 0.5 * moved))
    return clicks


def _bots(random: np.random.Generator, people: Ints, minutes: Ints, incidents: Sequence[Incident]) -> tuple[Ints, Ints]:
    """Bots taken for people, and those that the filter names."""
    share = np.zeros(people.shape)
    for incident in incidents:
        if incident.cause.law == "bots":
            share += BOTS * incident.strength(minutes + 0.5)[None, :] * incident.inside[:, None]
    usual = people.mean(1, keepdims=True)
    all_bots = random.poisson(usual * share)
    seen = random.binomial(all_bots, BOTS_SEEN)
    return (all_bots - seen).astype(np.int64), seen.astype(np.int64)


def _lost_share(rates: Rates, minutes: Ints, incidents: Sequence[Incident]) -> Array:
    share = np.full((len(rates.fleet.segments), len(minutes)), USUALLY_LOST)
    for incident in incidents:
        if incident.cause.law == "hits":
            more = incident.strength(minutes + 0.5)[None, :] * incident.inside[:, None]
            share = 1 - (1 - share) * (1 - more)
    return share


def _kept_by_click(rates: Rates, minutes: Ints, incidents: Sequence[Incident]) -> Array:
    """What cohort-type incidents leave of the rate of clicks of these minutes."""
    kept = np.ones((len(rates.fleet.segments), len(minutes)))
    for incident in incidents:
        if incident.cause.law == "cohort":
            kept *= 1 - incident.strength(minutes + 0.5)[None, :] * incident.inside[:, None]
    return kept


def _at_arrival(random: np.random.Generator, conversions: Conversions, incidents: Sequence[Incident]) -> Conversions:
    """What happens to conversions when they would happen: they fail, lose their click, or are told when the feed is back."""
    failed, tracked, known = conversions.failed.copy(), conversions.tracked.copy(), conversions.known.copy()
    tried = np.ones(len(failed), dtype=np.bool_)
    for incident in incidents:
        if incident.cause.law not in ("arrival", "lag"):
            continue
        hit = incident.inside[conversions.segment]
        hit &= random.random(len(hit)) < incident.strength(conversions.happens)
        if incident.cause.law == "lag":
            known[hit] = np.maximum(known[hit], incident.end)
        elif not incident.cause.attempts:
            tried &= ~hit
        elif incident.cause.loses_sales:
            failed |= hit
        else:
            tracked &= ~hit
    return conversions._replace(failed=failed, tracked=tracked, known=known).pick(np.flatnonzero(tried))
