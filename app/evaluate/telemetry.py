"""What services, redirect and browsers report by the minute while the world runs (theory.md 4.1): shares that tell of a fault early.

Every share of services and browsers strays by itself, in slow waves of its own, and a quarter of its trials come in pairs that share
their fate (a visitor's second request): what a detector learns from the past is neither exact nor constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from app.evaluate.counts import USUALLY_INVALID, USUALLY_LOST, Drawn
from app.evaluate.incidents import Incident
from app.evaluate.rates import DAY_MIN, Rates
from app.evaluate.segments import DEVICES

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SERVICE: Final = "shop"
ROUTES: Final = ("GET /p", "POST /order")
#: Usual shares of requests that fail, and that are slow.
USUAL_ERRORS, USUAL_SLOW = 0.003, 0.005
#: Share of the requests that a page of latency makes slow, times how much of it is inside the scope.
SLOWED: Final = 0.7
#: Usual shares of clicks without a page view, of landings that nothing follows, of begun forms that are not submitted.
USUAL_UNLANDED, USUAL_BOUNCED, USUAL_UNSUBMITTED = 0.1, 0.45, 0.6
#: Part of the slow visits that is left before the page tells of itself.
LEFT_EARLY: Final = 0.15
#: Part of what fails in one browser that never reaches the server: the form is not submitted.
STUCK_IN_BROWSER: Final = 0.5
#: Minutes from the click or the form's beginning until it can be said that nothing came.
UNLANDED_AFTER, BOUNCED_AFTER, UNSUBMITTED_AFTER = 2, 6, 6
SMOOTHED_MIN: Final = 31
#: How far the log of a share's odds strays (standard deviation).
STRAYS: Final = {"errors": 0.3, "slow": 0.3, "unlanded": 0.1, "bounced": 0.1, "unsubmitted": 0.1}
#: Periods of its waves in minutes: a day, some hours, some days.
WAVES_MIN: Final = (1440.0, 310.0, 3900.0)
#: Minutes from which no report of services or browsers comes.
GAPS: Final = 0.02
PAST_DAYS: Final = 28
USUAL: Final = {
    "lost": USUALLY_LOST,
    "invalid": USUALLY_INVALID,
    "errors": USUAL_ERRORS,
    "slow": USUAL_SLOW,
    "unlanded": USUAL_UNLANDED,
    "bounced": USUAL_BOUNCED,
    "unsubmitted": USUAL_UNSUBMITTED,
}


class Share(NamedTuple):
    """One share by the minute: what is counted, of whom, and how often among how many."""

    kind: str  # a key of USUAL
    subject: str
    route: str
    device: str
    hits: Array
    trials: Array

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.kind, self.subject, self.route, self.device


def shares_of(rates: Rates, drawn: Drawn, incidents: Sequence[Incident], *, random: np.random.Generator) -> list[Share]:
    """Every share over the drawn minutes."""
    found: list[Share] = []
    for name, own in _campaigns(rates):
        hits = drawn.hits[own].sum(0)
        found.append(Share("lost", name, "", "", drawn.lost[own].sum(0), hits))
        found.append(Share("invalid", name, "", "", drawn.invalid[own].sum(0), hits))
    heard = np.asarray(random.random(drawn.clicks.shape[1]) >= GAPS, dtype=np.bool_)
    found += _services(rates, drawn, incidents, heard, random)
    found += _browsers(rates, drawn, incidents, heard, random)
    return found


def past_of(rates: Rates, shares: Sequence[Share], *, random: np.random.Generator) -> list[Share]:
    """The same shares by the hour of the four weeks before the live part, when all was well."""
    minutes = np.arange(-PAST_DAYS * DAY_MIN + 30, 0, 60)
    found = []
    for share in shares:
        pace = share.trials.mean() * 60
        swing = rates.clicks(minutes).sum(0)
        trials = random.poisson(pace * swing / swing.mean()).astype(np.float64)
        found.append(share._replace(hits=_pairs(random, trials, _usual(rates, share, minutes)), trials=trials))
    return found


def _services(
    rates: Rates, drawn: Drawn, incidents: Sequence[Incident], heard: Mask, random: np.random.Generator
) -> list[Share]:
    """Errors and delays by route and device, and of all devices together (device '')."""
    minutes = np.arange(drawn.start, drawn.end)
    slow = _slow(rates, drawn, incidents)
    found: list[Share] = []
    for device in DEVICES:
        inside = _of_device(rates, device)
        visits = drawn.clicks[inside].sum(0)
        waits = np.nan_to_num((drawn.clicks * slow)[inside].sum(0) / np.maximum(visits, 1.0))
        orders, failed, stuck = _orders(rates, drawn, inside, incidents, random)
        asked = ((ROUTES[0], visits, np.zeros_like(visits), waits), (ROUTES[1], orders - stuck, failed - stuck, np.zeros_like(visits)))  # fmt: skip
        for route, requests, bad, share in asked:
            errors = Share("errors", SERVICE, route, device, bad * heard, requests * heard)
            delays = Share("slow", SERVICE, route, device, bad, requests * heard)
            well = np.maximum(errors.trials - errors.hits, 0)
            found.append(errors._replace(hits=errors.hits + _pairs(random, well, _usual(rates, errors, minutes))))
            chance = np.clip(_usual(rates, delays, minutes) + share, 0, 1)
            found.append(delays._replace(hits=_pairs(random, delays.trials, chance)))
    return found + [_together(found, kind, route) for kind in ("errors", "slow") for route in ROUTES]


def _browsers(
    rates: Rates, drawn: Drawn, incidents: Sequence[Incident], heard: Mask, random: np.random.Generator
) -> list[Share]:
    """What browsers report: landings and bounces by campaign and by page and device, forms by page and device."""
    minutes = np.arange(drawn.start, drawn.end)
    middles = minutes + 0.5
    silent = np.zeros(drawn.clicks.shape)
    gone = np.zeros(drawn.clicks.shape)
    for incident in incidents:
        strength = incident.strength(middles)[None, :] * incident.inside[:, None]
        if incident.cause.name == "tracking outage":
            silent = np.maximum(silent, strength)
        if incident.cause.name == "page latency":
            gone = np.maximum(gone, strength)
    early = np.maximum(silent, LEFT_EARLY * _slow(rates, drawn, incidents))
    trials = drawn.clicks * heard
    usual = Share("unlanded", "", "", "", trials, trials)
    unlanded = _pairs(random, trials, 1 - (1 - _usual(rates, usual, minutes)) * (1 - early))
    landed = trials - unlanded
    usual = usual._replace(kind="bounced")
    bounced = _pairs(random, landed, 1 - (1 - _usual(rates, usual, minutes)) * (1 - gone))
    found: list[Share] = []
    for subject, page, device, own in _groups(rates):
        found.append(
            _later(Share("unlanded", subject, page, device, unlanded[own].sum(0), trials[own].sum(0)), UNLANDED_AFTER)
        )
        found.append(_later(Share("bounced", subject, page, device, bounced[own].sum(0), landed[own].sum(0)), BOUNCED_AFTER))  # fmt: skip
        if page:
            orders, _, stuck = _orders(rates, drawn, own, incidents, random)
            # Who gives up comes in the same hours as who orders.
            pace = np.convolve(orders, np.ones(SMOOTHED_MIN) / SMOOTHED_MIN, "same")
            given_up = random.poisson(pace * USUAL_UNSUBMITTED / (1 - USUAL_UNSUBMITTED))
            begun = Share("unsubmitted", "", page, device, (given_up + stuck) * heard, (orders + given_up) * heard)
            found.append(_later(begun, UNSUBMITTED_AFTER))
    return found


def _campaigns(rates: Rates) -> Iterator[tuple[str, Mask]]:
    for number, campaign in enumerate(rates.fleet.campaigns):
        yield campaign.name, rates.fleet.campaign_of == number


def _groups(rates: Rates) -> Iterator[tuple[str, str, str, Mask]]:
    """(campaign, page, device, its segments): campaigns, then pages by device."""
    for name, own in _campaigns(rates):
        yield name, "", "", own
    for page in sorted({segment.page for segment in rates.fleet.segments}):
        for device in DEVICES:
            own = _of_device(rates, device) & np.asarray([segment.page == page for segment in rates.fleet.segments])
            if own.any():
                yield "", page, device, own


def _of_device(rates: Rates, device: str) -> Mask:
    return np.asarray([segment.device == device for segment in rates.fleet.segments], dtype=np.bool_)


def _together(found: Sequence[Share], kind: str, route: str) -> Share:
    own = [share for share in found if (share.kind, share.route) == (kind, route)]
    return Share(
        kind, SERVICE, route, "", np.sum([s.hits for s in own], axis=0), np.sum([s.trials for s in own], axis=0)
    )


def _usual(rates: Rates, share: Share, minutes: npt.NDArray[np.int64]) -> Array:
    """What the share is when all is well, at these minutes: its own level, which strays."""
    level = USUAL[share.kind]
    if share.kind not in STRAYS:
        return np.full(len(minutes), level)
    # By kind and route, not by device or campaign: browsers and services have good and bad hours for everybody.
    own = np.random.default_rng([rates.fleet.seed, 17, crc32(f"{share.kind} {share.route}".encode())])
    waves = np.zeros(len(minutes))
    for period in WAVES_MIN:
        waves += np.sin(2 * np.pi * (minutes / period + own.random())) * np.sqrt(2 / len(WAVES_MIN))
    odds = level / (1 - level) * np.exp(STRAYS[share.kind] * waves)
    strayed: Array = odds / (1 + odds)
    return strayed


def _pairs(random: np.random.Generator, trials: Array, chance: Array) -> Array:
    """How many of the trials are hit when half of them come in pairs that share their fate: one and a half times a binomial's variance."""
    count = trials.astype(np.int64)
    pairs = count // 4
    hits: Array = (random.binomial(count - 2 * pairs, chance) + 2 * random.binomial(pairs, chance)).astype(np.float64)
    return hits


def _later(share: Share, minutes: int) -> Share:
    """The same share told so many minutes later, when it is known what did not come."""
    hits, trials = np.zeros_like(share.hits), np.zeros_like(share.trials)
    hits[minutes:], trials[minutes:] = share.hits[:-minutes], share.trials[:-minutes]
    return share._replace(hits=hits, trials=trials)


def _slow(rates: Rates, drawn: Drawn, incidents: Sequence[Incident]) -> Array:
    """Share of the visits that meet a slow page, segments x minutes."""
    minutes = np.arange(drawn.start, drawn.end) + 0.5
    slow = np.zeros(drawn.clicks.shape)
    for incident in incidents:
        if incident.cause.name == "page latency":
            slow = np.maximum(slow, SLOWED * incident.inside[:, None] * (incident.strength(minutes) > 0)[None, :])
    return slow


def _orders(
    rates: Rates, drawn: Drawn, inside: Mask, incidents: Sequence[Incident], random: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Attempts to order by the minute they happen, those that fail, and those of them that get stuck in the browser. Of clicks in these
    minutes only."""
    conversions = drawn.conversions
    own = inside[conversions.segment] & (conversions.happens < drawn.end)
    at = (conversions.happens[own] - drawn.start).astype(np.int64)
    length = drawn.clicks.shape[1]
    orders = np.bincount(at, minlength=length).astype(np.float64)
    failed = np.bincount(at, conversions.failed[own], length).astype(np.float64)
    stuck = np.zeros(length)
    if any(incident.cause.name == "form errors in one browser" for incident in incidents):
        stuck = random.binomial(failed.astype(np.int64), STUCK_IN_BROWSER).astype(np.float64)
    return orders, failed, stuck
