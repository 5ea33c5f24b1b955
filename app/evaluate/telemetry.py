"""What services, redirect and browsers report by the minute while the world runs (theory.md 4.1): shares of hits and requests that fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.counts import USUALLY_INVALID, USUALLY_LOST, Drawn
from app.evaluate.incidents import Incident
from app.evaluate.rates import Rates
from app.evaluate.segments import DEVICES

Array = npt.NDArray[np.float64]

SERVICE: Final = "shop"
ROUTES: Final = ("GET /p", "POST /order")
#: Usual shares of requests that fail, and that are slow.
USUAL_ERRORS, USUAL_SLOW = 0.003, 0.005
#: Share of the requests that a page of latency makes slow, times how much of it is inside the scope.
SLOWED: Final = 0.7
#: Minutes from which no report of the services comes.
GAPS: Final = 0.02


class Share(NamedTuple):
    """One share by the minute: what is counted, of whom, and how often among how many."""

    kind: str  # lost | invalid | errors | slow
    subject: str
    route: str
    device: str
    hits: Array
    trials: Array

    @property
    def usual(self) -> float:
        usual = {"lost": USUALLY_LOST, "invalid": USUALLY_INVALID, "errors": USUAL_ERRORS, "slow": USUAL_SLOW}
        return usual[self.kind]


def shares_of(rates: Rates, drawn: Drawn, incidents: Sequence[Incident], *, random: np.random.Generator) -> list[Share]:
    """Every share over the drawn minutes: lost and invalid hits by campaign, errors and delays by route and device."""
    found: list[Share] = []
    campaigns = rates.fleet.campaign_of
    for number, campaign in enumerate(rates.fleet.campaigns):
        own = campaigns == number
        hits = drawn.hits[own].sum(0)
        found.append(Share("lost", campaign.name, "", "", drawn.lost[own].sum(0), hits))
        found.append(Share("invalid", campaign.name, "", "", drawn.invalid[own].sum(0), hits))
    heard = random.random(drawn.clicks.shape[1]) >= GAPS
    for device in DEVICES:
        inside = np.asarray([segment.device == device for segment in rates.fleet.segments])
        visits = drawn.clicks[inside].sum(0) * heard
        found += _route(
            ROUTES[0], device, visits, np.zeros_like(visits), _slow(rates, drawn, inside, incidents), random
        )
        orders, failed = _orders(drawn, inside)
        found += _route(ROUTES[1], device, orders * heard, failed * heard, np.zeros_like(visits), random)
    return found


def _route(
    route: str, device: str, requests: Array, failed: Array, slow: Array, random: np.random.Generator
) -> list[Share]:
    count = requests.astype(np.int64)
    errors = failed + random.binomial(np.maximum(count - failed.astype(np.int64), 0), USUAL_ERRORS)
    waits = random.binomial(count, np.clip(USUAL_SLOW + slow, 0.0, 1.0))
    return [
        Share("errors", SERVICE, route, device, errors.astype(np.float64), requests),
        Share("slow", SERVICE, route, device, waits.astype(np.float64), requests),
    ]


def _slow(rates: Rates, drawn: Drawn, inside: npt.NDArray[np.bool_], incidents: Sequence[Incident]) -> Array:
    """Share of a device's visits that meet a slow page."""
    minutes = np.arange(drawn.start, drawn.end) + 0.5
    total = np.maximum(drawn.clicks[inside].sum(0), 1.0)
    slow = np.zeros(len(minutes))
    for incident in incidents:
        if incident.cause.name == "page latency":
            part = drawn.clicks[inside & incident.inside].sum(0) / total
            slow = slow + SLOWED * part * (incident.strength(minutes) > 0)
    return slow


def _orders(drawn: Drawn, inside: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Attempts to order by the minute they happen, and those among them that fail. Of clicks in these minutes only."""
    conversions = drawn.conversions
    own = inside[conversions.segment] & (conversions.happens < drawn.end)
    at = (conversions.happens[own] - drawn.start).astype(np.int64)
    length = drawn.clicks.shape[1]
    orders = np.bincount(at, minlength=length).astype(np.float64)
    failed = np.bincount(at, conversions.failed[own], length).astype(np.float64)
    return orders, failed
