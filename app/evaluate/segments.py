"""Who advertises what in the simulated world: campaigns, devices, pages, and the conversion rate of each combination (theory.md 4.1)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.delays import LAWS, DelayOf

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CAMPAIGNS: Final = 20
DEVICES: Final = ("mobile", "desktop", "tablet")
DEVICE_SHARES: Final = (0.6, 0.32, 0.08)
PAGES: Final = tuple(f"shop.test/{name}" for name in ("oak", "elm", "ash", "yew", "fir"))
#: Clicks a minute of a campaign, log-uniform.
QUIETEST, BUSIEST = 0.5, 1000.0
RATES: Final = (0.005, 0.01, 0.024, 0.05, 0.10)
#: Standard deviation of the log of each multiplicative effect on a leaf's rate.
EFFECT_SD: Final = 0.3
#: Cost per click in dollars, and how many conversions' margin a click costs: campaigns earn about this much of their spend.
CPC_DOLLARS: Final = 1.5
RETURN_ON_SPEND: Final = 1.6


class Campaign(NamedTuple):
    """A campaign: a page of its own among five, clicks tracked in parallel or through the redirect, a budget that may run out."""

    name: str  # qualified: platform:account:number
    page: str
    parallel: bool
    clicks_per_minute: float
    launched_h: float  # hours after the live part begins at which it starts; negative: it has a past
    exhausted_hour: int  # hour of the day at which its budget is spent; 24: never
    amplitude: float  # of the traffic's day, in log units
    peak_hour: float
    weekend: float


class Segment(NamedTuple):
    """A leaf: campaign x device x page."""

    campaign: int
    device: str
    page: str
    share: float  # of its campaign's clicks
    rate: float
    delay: DelayOf


class Fleet(NamedTuple):
    """One advertiser's world as it is when nothing is wrong."""

    seed: int
    start: int  # first live minute, minutes since the epoch; midnight
    campaigns: list[Campaign]
    segments: list[Segment]

    @property
    def rates(self) -> Array:
        return np.asarray([segment.rate for segment in self.segments])

    @property
    def campaign_of(self) -> npt.NDArray[np.int64]:
        return np.asarray([segment.campaign for segment in self.segments], dtype=np.int64)

    @property
    def campaign_rates(self) -> list[float]:
        """Mean rate by campaign."""
        return [
            sum(s.share * s.rate for s in self.segments if s.campaign == number)
            for number in range(len(self.campaigns))
        ]

    @property
    def per_minute(self) -> Array:
        """Mean clicks a minute by segment."""
        return np.asarray([s.share * self.campaigns[s.campaign].clicks_per_minute for s in self.segments])


def draw_fleet(seed: int, *, campaigns: int = CAMPAIGNS) -> Fleet:
    """The fleet with this number; the same number is the same fleet."""
    random = np.random.default_rng([seed, 1])
    start = (20_454 + int(random.integers(0, 364))) * 1440  # any day of a year, so any day of the week
    drawn = [_draw_campaign(random, number) for number in range(campaigns)]
    by_device = np.exp(random.normal(0, EFFECT_SD, len(DEVICES)))
    by_page = {page: float(np.exp(random.normal(0, EFFECT_SD))) for page in PAGES}
    base = float(random.choice(RATES))
    # One law to a segment of the business: conversions of a page come at that page's pace.
    laws = {page: LAWS[int(random.integers(0, len(LAWS)))] for page in PAGES}
    segments = []
    for number, campaign in enumerate(drawn):
        own = base * float(np.exp(random.normal(0, EFFECT_SD)))
        for device, part, factor in zip(DEVICES, DEVICE_SHARES, by_device, strict=True):
            rate = min(own * factor * by_page[campaign.page], 0.3)
            segments.append(Segment(number, device, campaign.page, part, rate, laws[campaign.page]))
    return Fleet(seed, start, drawn, segments)


def _draw_campaign(random: np.random.Generator, number: int) -> Campaign:
    platform = ("google", "meta", "microsoft")[int(random.integers(0, 3))]
    launched = float(random.uniform(0, 72)) if random.random() < 0.05 else -1.0
    return Campaign(
        name=f"{platform}:{1 + number % 2}:{number}",
        page=PAGES[int(random.integers(0, len(PAGES)))],
        parallel=platform == "google",
        clicks_per_minute=float(np.exp(random.uniform(np.log(QUIETEST), np.log(BUSIEST)))),
        launched_h=launched,
        exhausted_hour=int(random.integers(16, 23)) if random.random() < 0.15 else 24,
        amplitude=float(random.uniform(0.2, 0.8)),
        peak_hour=float(random.uniform(11, 21)),
        weekend=float(random.uniform(0.6, 1.3)),
    )
