"""What is known around an alarm in the simulated world, as the product's records would tell it: hits, orders, traces, reports, deploys.

Ten-second buckets, as the explanation reads them. A minute's clicks are spread evenly at random over its six buckets; conversions have
their own instants. Click-level proof (which click's own request failed *and* whether that click bought) is not simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.counts import Conversions, Drawn
from app.evaluate.incidents import Incident
from app.evaluate.rates import DAY_MIN, Rates
from app.evaluate.segments import DEVICES
from app.evaluate.telemetry import ROUTES, SERVICE, SLOWED, USUAL_ERRORS, USUAL_SLOW

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUCKETS: Final = 6  # a minute
#: Orders whose click nobody knows, per paid order: organic visitors.
ORGANIC: Final = 0.3
#: Page views of paid clicks that know their click, and form errors of a visit when all is well.
REPORTING, USUAL_FORM_ERRORS = 0.9, 0.002
#: Deploys a day, theirs who broke nothing.
DEPLOYS_A_DAY: Final = 6.0
BYSTANDER_SHARE, BYSTANDER_WITHIN_MIN = 0.5, 30.0
MISSING_MARKERS, LATE_MARKERS, LATE_BY_MIN = 0.1, 0.1, 20.0
LONGEST_LAG_MIN: Final = 15.0
SERVICES: Final = (SERVICE, "search", "mail")


class Deploy(NamedTuple):
    """A change marker; minutes of the live part."""

    at: float
    service: str
    version: str
    change: str
    guilty: bool


class Surroundings(NamedTuple):
    """Segments x buckets from minute `start` on unless said otherwise."""

    start: int
    clicks: Array
    hits: Array
    lost: Array
    lost_parallel: Array
    traced: Array
    failed: Array
    slow: Array
    conversions: Conversions  # known by the end; organic ones have segment -1
    views: Array  # buckets
    views_of_clicks: Array
    form_errors: Array
    requests: dict[tuple[str, str], Array]  # (route, device) -> minutes
    errors: dict[tuple[str, str], Array]
    waits: dict[tuple[str, str], Array]
    deploys: list[Deploy]


def surroundings(
    rates: Rates,
    drawn: Drawn,
    *,
    since: int,
    end: int,
    incidents: Sequence[Incident],
    deploys: Sequence[Deploy],
    random: np.random.Generator,
) -> Surroundings:
    """Everything between the minutes `since` and `end`, both inside `drawn`."""
    part = slice(since - drawn.start, end - drawn.start)
    clicks, lost = _spread(drawn.clicks[:, part], random), _spread(drawn.lost[:, part], random)
    hits = clicks + lost + _spread(drawn.invalid[:, part], random)
    parallel = np.asarray([rates.fleet.campaigns[s.campaign].parallel for s in rates.fleet.segments])
    middles = since + (np.arange(clicks.shape[1]) + 0.5) / BUCKETS
    visits = _slowed(rates, middles, incidents)
    orders, failed = _orders(drawn.conversions, len(clicks), since, end)
    slow = random.binomial(clicks.astype(np.int64), np.clip(USUAL_SLOW + visits, 0, 1)).astype(np.float64)
    broken = random.binomial((clicks + orders).astype(np.int64), USUAL_ERRORS) + failed
    told = _known(drawn.conversions, rates, since, end, incidents, random)
    knows = REPORTING * (1 - _untracked(rates, middles, incidents))
    traced = clicks + orders
    by_device = [np.asarray([s.device == device for s in rates.fleet.segments]) for device in DEVICES]
    return Surroundings(
        since, clicks, hits, lost, np.where(parallel[:, None], lost, 0.0), traced, np.minimum(broken, traced), slow, told,
        clicks.sum(0), random.binomial(clicks.astype(np.int64), knows).sum(0).astype(np.float64),
        random.binomial(clicks.astype(np.int64), USUAL_FORM_ERRORS).sum(0) + failed.sum(0),
        {(r, d): _minutes(x[own]) for r, x in zip(ROUTES, (clicks, orders), strict=True) for d, own in zip(DEVICES, by_device, strict=True)},
        {(r, d): _minutes(x[own]) for r, x in zip(ROUTES, (np.zeros_like(failed), failed), strict=True) for d, own in zip(DEVICES, by_device, strict=True)},
        {(ROUTES[0], d): _minutes(slow[own]) for d, own in zip(DEVICES, by_device, strict=True)},
        [deploy for deploy in deploys if since - 120 <= deploy.at < end],
    )  # fmt: skip


def draw_deploys(incident: Incident, random: np.random.Generator) -> list[Deploy]:
    """Markers around an incident: the guilty one where its cause is a deploy (at times late or missing), bystanders, and the day's others."""
    around = (incident.onset - DAY_MIN / 2, incident.onset + DAY_MIN / 2)
    found = [
        _innocent(float(random.uniform(*around)), number, random) for number in range(random.poisson(DEPLOYS_A_DAY))
    ]
    if not incident.cause.deploy:
        if random.random() < BYSTANDER_SHARE:
            within = float(random.uniform(-BYSTANDER_WITHIN_MIN, BYSTANDER_WITHIN_MIN))
            found.append(_innocent(incident.onset + within, 99, random))
        return sorted(found)
    chance = random.random()
    if chance >= MISSING_MARKERS:
        late = LATE_BY_MIN if chance < MISSING_MARKERS + LATE_MARKERS else 0.0
        redirect = incident.cause.law == "hits"
        at = incident.onset - float(random.uniform(0, LONGEST_LAG_MIN)) + late
        found.append(
            Deploy(at, "redirect" if redirect else SERVICE, "guilty", "config" if redirect else "deploy", True)
        )
    return sorted(found)


def _innocent(at: float, number: int, random: np.random.Generator) -> Deploy:
    return Deploy(at, str(random.choice(SERVICES)), f"v{number}", "deploy", False)


def _spread(minutes: Array, random: np.random.Generator) -> Array:
    """Each minute's count over its buckets."""
    parts = random.multinomial(minutes.astype(np.int64), np.full(BUCKETS, 1 / BUCKETS))
    spread: Array = parts.reshape(len(minutes), -1).astype(np.float64)
    return spread


def _minutes(buckets: Array) -> Array:
    sums: Array = buckets.sum(0).reshape(-1, BUCKETS).sum(1)
    return sums


def _orders(conversions: Conversions, segments: int, since: int, end: int) -> tuple[Array, Array]:
    """Attempts to order and those that fail, by the bucket they happen in."""
    inside = (conversions.happens >= since) & (conversions.happens < end)
    at = ((conversions.happens[inside] - since) * BUCKETS).astype(np.int64)
    orders = np.zeros((segments, (end - since) * BUCKETS))
    failed = np.zeros_like(orders)
    np.add.at(orders, (conversions.segment[inside], at), 1.0)
    np.add.at(failed, (conversions.segment[inside], at), conversions.failed[inside].astype(np.float64))
    return orders, failed


def _known(
    conversions: Conversions,
    rates: Rates,
    since: int,
    end: int,
    incidents: Sequence[Incident],
    random: np.random.Generator,
) -> Conversions:
    """Orders of these minutes that are known by the end: paid ones, and organic ones that no click leads to."""
    inside = (conversions.happens >= since) & (conversions.known < end) & ~conversions.failed
    paid = conversions.pick(np.flatnonzero(inside))
    usual = float((rates.fleet.rates * rates.fleet.per_minute).sum()) * ORGANIC
    number = int(random.poisson(usual * (end - since)))
    times = random.uniform(since, end, number)
    for incident in incidents:
        if incident.cause.law == "lag" and incident.end >= end:
            times = times[random.random(len(times)) >= incident.strength(times)]
    number = len(times)
    nobody = np.full(number, -1, dtype=np.int64)
    organic = Conversions(nobody, times, times, times, np.zeros(number, np.bool_), np.zeros(number, np.bool_))
    return paid.also(organic)


def _slowed(rates: Rates, middles: Array, incidents: Sequence[Incident]) -> Array:
    share = np.zeros((len(rates.fleet.segments), len(middles)))
    for incident in incidents:
        if incident.cause.name == "page latency":
            share += SLOWED * (incident.strength(middles) > 0)[None, :] * incident.inside[:, None]
    return share


def _untracked(rates: Rates, middles: Array, incidents: Sequence[Incident]) -> Array:
    """Share of the visits whose reports do not know their click."""
    share = np.zeros((len(rates.fleet.segments), len(middles)))
    for incident in incidents:
        if incident.cause.name == "tracking outage":
            share = np.maximum(share, incident.strength(middles)[None, :] * incident.inside[:, None])
    return share
