"""The realistic world: fleets with a past, seasons, delays and telemetry; a clean stretch, or one incident, under the shipped detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.counts import Conversions, Drawn, draw
from app.evaluate.incidents import Incident
from app.evaluate.past import HOURS, Past, a_day_later, draw_past
from app.evaluate.rates import DAY_MIN, Habits, Rates, draw_habits, draw_rates
from app.evaluate.segments import CAMPAIGNS, draw_fleet
from app.evaluate.shipped import Alarm, Watch
from app.evaluate.telemetry import Share, past_of, shares_of

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Error of the conversion rate that the buyer sets for a campaign without a past (standard deviation of its log).
TARGET_ERROR: Final = 0.1


class World(NamedTuple):
    """A fleet with its laws, its past, and a detector that has learned from it."""

    rates: Rates
    past: Past
    watch: Watch


class Told(NamedTuple):
    """What became known in one minute: clicks by segment, conversions, shares."""

    minute: int
    clicks: Array
    rows: Ints
    clicked: Array
    happened: Array
    shares: list[tuple[str, str, str, str, float, float]]


def prepare(seed: int, *, days: int, campaigns: int = CAMPAIGNS, habits: Habits | None = None) -> World:
    """The world with this number, its detector filled with the day before the live part."""
    fleet = draw_fleet(seed, campaigns=campaigns)
    rates = draw_rates(fleet, habits or draw_habits(seed), days=days)
    leaves = [(fleet.campaigns[s.campaign].name, s.device, s.page) for s in fleet.segments]
    watch = Watch(leaves, start=fleet.start, targets=_targets(rates), special_days=rates.special_days)
    world = World(rates, draw_past(rates), watch)
    _learn(world, clicks=np.zeros((len(leaves), 0)), conversions=np.zeros((len(leaves), 0)))
    return world


def live(
    world: World,
    *,
    since: int,
    start: int,
    end: int,
    seed: int,
    incidents: Sequence[Incident] = (),
    kept: list[Drawn] | None = None,
) -> Iterator[Told]:
    """Tell [since, end) minute by minute, drawn by the day. At `start` the detector is filled with what was told before.

    What was drawn is appended to `kept` where it is given.
    """
    random = np.random.default_rng([world.rates.fleet.seed, 5, seed])
    waiting, lead, before = _none(), list[Drawn](), list[Conversions]()
    for day in range(since, end, DAY_MIN):
        drawn = draw(world.rates, start=day, end=min(day + DAY_MIN, end), random=random, incidents=incidents)
        waiting = _joined(waiting, _told(drawn.conversions))
        shares = shares_of(world.rates, drawn, incidents, random=random)
        if day <= start:
            lead.append(drawn)
        if kept is not None:
            kept.append(drawn)
        for minute in range(day, drawn.end):
            if minute == start:
                _expect(world, shares)
                _fill(world, lead, before, start)
            waiting, now = _split(waiting, minute + 1.0)
            if minute < start:
                before.append(now)
            yield _minute(drawn, now, shares, minute)


def observe(world: World, told: Told) -> list[Alarm]:
    """Let the shipped detector see a minute."""
    return world.watch.minute(
        told.clicks, rows=told.rows, clicked=told.clicked, happened=told.happened, shares=told.shares
    )


class Learning:
    """What the live part adds to the past; the detector learns anew every day."""

    def __init__(self, world: World, *, days: int) -> None:
        self.world = world
        count = len(world.rates.fleet.segments)
        self._clicks, self._conversions = np.zeros((count, days * 24)), np.zeros((count, days * 24))
        self._random = np.random.default_rng([world.rates.fleet.seed, 6])

    def add(self, told: Told) -> None:
        """A minute of the live part; on the first of a day the detector learns."""
        if told.minute and told.minute % DAY_MIN == 0:
            self._learn(told.minute // DAY_MIN)
        self._clicks[:, told.minute // 60] += told.clicks
        live_ones = told.clicked >= 0
        np.add.at(self._conversions, (told.rows[live_ones], (told.clicked[live_ones] // 60).astype(np.int64)), 1.0)

    def _learn(self, day: int) -> None:
        later = a_day_later(self.world.past, self.world.rates, days=day, random=self._random)
        self.world = self.world._replace(past=later)
        _learn(self.world, clicks=self._clicks[:, : day * 24], conversions=self._conversions[:, : day * 24])


def _learn(world: World, *, clicks: Array, conversions: Array) -> None:
    """From the newest four weeks, as the product does."""
    start = world.rates.fleet.start // 60
    hours = start - HOURS + np.arange(HOURS + clicks.shape[1])
    world.watch.learn(
        hours=hours[-HOURS:].astype(np.float64),
        clicks=np.hstack([world.past.clicks, clicks])[:, -HOURS:],
        conversions=np.hstack([world.past.conversions.astype(np.float64), conversions])[:, -HOURS:],
        delays_of=world.past.delays_of,
        delays_min=world.past.delays_min,
        ages_min=world.past.ages_min,
    )


def _targets(rates: Rates) -> dict[str, float]:
    """The conversion rate that the buyer expects of every campaign, near its true one."""
    random = np.random.default_rng([rates.fleet.seed, 7])
    found: dict[str, float] = {}
    for number, campaign in enumerate(rates.fleet.campaigns):
        own = [s for s in rates.fleet.segments if s.campaign == number]
        found[campaign.name] = sum(s.share * s.rate for s in own) * float(np.exp(random.normal(0, TARGET_ERROR)))
    return found


def _expect(world: World, shares: Sequence[Share]) -> None:
    past = past_of(world.rates, shares, random=np.random.default_rng([world.rates.fleet.seed, 8]))
    world.watch.expect_shares([(*share.key, share.hits, share.trials) for share in past])


def _told(conversions: Conversions) -> Conversions:
    """Those that are ever told and know their click, in the order they are told."""
    chosen = np.flatnonzero(~conversions.failed & conversions.tracked)
    return conversions.pick(chosen[np.argsort(conversions.known[chosen], kind="stable")])


def _fill(world: World, lead: Sequence[Drawn], before: Sequence[Conversions], start: int) -> None:
    """The detector's state at `start` from the clicks and conversions that were told before."""
    since = lead[0].start
    world.watch.fill(
        minute=start,
        first=since,
        clicks=np.hstack([drawn.clicks for drawn in lead])[:, : start - since],
        rows=np.concatenate([told.segment for told in before]),
        clicked=np.concatenate([told.clicked for told in before]),
        happened=np.concatenate([told.happens for told in before]),
    )


def _split(waiting: Conversions, until: float) -> tuple[Conversions, Conversions]:
    """(still to be told, told before `until`)."""
    at = int(np.searchsorted(waiting.known, until))
    return waiting.pick(slice(at, None)), waiting.pick(slice(at))


def _joined(one: Conversions, other: Conversions) -> Conversions:
    both = one.also(other)
    return both.pick(np.argsort(both.known, kind="stable"))


def _none() -> Conversions:
    empty, no = np.zeros(0), np.zeros(0, dtype=np.bool_)
    return Conversions(np.zeros(0, dtype=np.int64), empty, empty, empty, no, no)


def _minute(drawn: Drawn, told: Conversions, shares: Sequence[Share], minute: int) -> Told:
    at = minute - drawn.start
    return Told(
        minute,
        drawn.clicks[:, at],
        told.segment,
        told.clicked,
        told.happens,
        [
            (s.kind, s.subject, s.route, s.device, float(s.hits[at]), float(s.trials[at]))
            for s in shares
            if s.trials[at] > 0
        ],
    )
