"""The simulated world as values: a shop's pages, twelve campaigns on three ad platforms, their links, and the law of their visitors.

Pure: everything is drawn from a seed, nothing here does I/O or reads a clock. History and live traffic obey this one law. It was written
apart from the detector: nothing here is chosen to please it, except that the demo lasts ten minutes and therefore draws its faults among
segments in which anybody could see them in that time (`World.visible_segments`).
"""

from __future__ import annotations

import math
import random
from typing import Literal

import msgspec

from app.demo.user_agents import DeviceName

PageKind = Literal["rendered", "form", "script"]
Platform = Literal["google", "meta", "microsoft"]
DEVICES: tuple[DeviceName, ...] = ("mobile", "desktop", "tablet")

#: Browsers resolve every name below localhost to this machine.
SHOP_HOST = "shop.localhost"
CURRENCY = "USD"
CLIENT = ""
LIVE_CLICKS_PER_S = 60.0
HISTORY_CLICKS_PER_S = 0.5
HISTORY_DAYS = 21

WEB, ORDERS, MEDIA = "trailhead-web", "trailhead-orders", "trailhead-media"

ACCOUNTS: dict[Platform, str] = {"google": "4410273385", "meta": "209947715300", "microsoft": "61840027"}

#: Seconds from click to order: lognormal, median 20, 95 % within 120, cut at 300 so that history ends complete.
DELAY_MEDIAN_S = 20.0
DELAY_SIGMA = math.log(6.0) / 1.645
DELAY_MAX_S = 300.0

#: The way through the shop of a click that does not order, and of all clicks.
LANDING_SHARE = 0.97  # the rest close the tab before the page shows
FORM_START_SHARE = 0.16
FORM_ERROR_SHARE = 0.05  # of those who start the form and do not order: a field was refused
ORDER_FAILURE_SHARE = 0.002  # healthy shops fail too
ORGANIC_PER_CLICK = 1 / 15
#: Mean seconds somebody waits for a page that does not come: at six seconds about a third have left.
PATIENCE_S = 15.0

#: Shares of `DEVICES` among a campaign's clicks, by the device it is aimed at.
_DEVICE_MIX: dict[DeviceName | None, tuple[float, float, float]] = {
    "mobile": (0.86, 0.09, 0.05),
    "desktop": (0.11, 0.84, 0.05),
    None: (0.50, 0.41, 0.09),
}
_DEVICE_RATE: dict[DeviceName, float] = {"mobile": 0.94, "desktop": 1.08, "tablet": 1.0}
_PLATFORM_SHARE: dict[Platform, float] = {"google": 0.45, "meta": 0.35, "microsoft": 0.20}
_NAMES: dict[Platform, tuple[str, ...]] = {
    "google": ("Brand search", "Hiking packs search", "Boots shopping", "Courses search", "Layering video"),
    "meta": ("Prospecting carousel", "Retargeting basket", "Lookalike reels", "Autumn stories"),
    "microsoft": ("Packs search", "Boots audience", "Courses syndication"),
}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A landing page. `route` and `submit_route` are what the shop's spans call them."""

    kind: PageKind
    path: str
    route: str
    submit_path: str
    submit_route: str
    rate_factor: float
    #: A side page gets a tenth of every campaign's clicks.
    side: bool = False


PAGES: tuple[Page, ...] = (
    Page(kind="rendered", path="/packs/daybreak", route="/packs/{model}", submit_path="/packs/daybreak/buy",
         submit_route="/packs/{model}/buy", rate_factor=1.0),
    Page(kind="form", path="/courses/navigation", route="/courses/{course}", submit_path="/courses/navigation/booking",
         submit_route="/courses/{course}/booking", rate_factor=0.95),
    Page(kind="script", path="/boots/fit-finder", route="/boots/fit-finder", submit_path="/api/fit-orders",
         submit_route="/api/fit-orders", rate_factor=1.05),
    Page(kind="rendered", path="/guides/layering", route="/guides/{topic}", submit_path="/guides/layering/buy",
         submit_route="/guides/{topic}/buy", rate_factor=0.9, side=True),
)  # fmt: skip


class DemoCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign. Rates are orders per click; money is micros of `CURRENCY`."""

    campaign: str
    platform: Platform
    name: str
    share: float
    #: The device it is aimed at, None = everybody.
    aimed_at: DeviceName | None
    base_rate: float
    cpc_micros: int
    margin_micros: int
    order_value_micros: int
    break_even: float

    @property
    def parallel(self) -> bool:
        return self.platform == "google"

    @property
    def device_mix(self) -> tuple[float, float, float]:
        """Shares of `DEVICES` among its clicks."""
        return _DEVICE_MIX[self.aimed_at]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """`main` is the campaign's link to its main page."""

    slug: str
    campaign: DemoCampaign
    page: Page
    share: float
    main: bool


class World(msgspec.Struct, frozen=True, kw_only=True):
    """`site` is the shop's host and port, as it stands in addresses."""

    seed: int
    site: str
    campaigns: tuple[DemoCampaign, ...]
    links: tuple[Link, ...]
    #: Multiplies the rate of one cell (slug, device): cells differ for reasons nobody knows.
    quirks: dict[str, float]

    def page_id(self, page: Page) -> str:
        """Host and path: how a page is written wherever pages are counted."""
        return f"{self.site}{page.path}"

    def rate(self, link: Link, device: DeviceName) -> float:
        """Orders per click of a cell, before the season."""
        factors = link.page.rate_factor * _DEVICE_RATE[device] * self.quirks[f"{link.slug}|{device}"]
        return min(0.12, max(0.04, link.campaign.base_rate * factors))

    def segment(self, page: Page, device: DeviceName) -> tuple[float, float]:
        """(share of all clicks, mean rate) of a page on a device."""
        cells = [(link.share * link.campaign.device_mix[DEVICES.index(device)], self.rate(link, device))
                 for link in self.links if link.page == page]  # fmt: skip
        share = sum(weight for weight, _ in cells)
        return share, sum(weight * rate for weight, rate in cells) / share if share else 0.0

    def visible_segments(self, *, orders_per_minute: float = 25.0) -> list[tuple[Page, DeviceName]]:
        """Pages and devices with at least so many expected orders a minute of live traffic, reached by campaigns aimed at that device.

        Below that a loss of 60 % carries under 6 nats in a minute (theory.md 2.1), and nobody finds it within two.
        """
        found = []
        for page in PAGES:
            for device in DEVICES:
                share, rate = self.segment(page, device)
                visible = share * rate * LIVE_CLICKS_PER_S * 60 >= orders_per_minute
                if visible and self.aimed(page, device):
                    found.append((page, device))
        return found

    def aimed(self, page: Page, device: DeviceName) -> list[DemoCampaign]:
        """Campaigns whose main page this is and that are aimed at the device: a fault there hits most of their clicks."""
        return [
            link.campaign for link in self.links if link.page == page and link.main and link.campaign.aimed_at == device
        ]


def hour_of_week(ts_ms: float) -> float:
    """Hours since Monday 00:00 UTC, 0 to 168; the epoch was a Thursday."""
    return (ts_ms / 3_600_000 + 72) % 168


def rate_season(hours: float) -> float:
    """Factor on the rates at an hour of the week: evenings order more, weekends a little less."""
    return (1 + 0.12 * math.cos(2 * math.pi * (hours % 24 - 20) / 24)) * (1 - 0.04 * _weekend(hours))


def volume_season(hours: float) -> float:
    """Factor on the clicks at an hour of the week, about 1 on average."""
    return 0.95 * math.exp(0.45 * math.cos(2 * math.pi * (hours % 24 - 19) / 24)) * (1 - 0.08 * _weekend(hours))


def _weekend(hours: float) -> float:
    """0 in the middle of the week, 1 in the middle of the weekend, smooth between."""
    return 0.5 * (1 + math.cos(2 * math.pi * (hours - 144) / 168))


def delay_s(rng: random.Random) -> float:
    """Seconds from click to order."""
    while True:
        drawn = rng.lognormvariate(math.log(DELAY_MEDIAN_S), DELAY_SIGMA)
        if drawn <= DELAY_MAX_S:
            return drawn


def draw_world(seed: int, *, site: str = SHOP_HOST) -> World:
    """The world of a seed: which campaign runs to which pages, at what rates and prices."""
    rng = random.Random(f"world {seed}")
    main = [page for page in PAGES if not page.side]
    #: Two pages are mostly seen on phones, one on desks.
    devices: list[DeviceName] = ["mobile", "mobile", "desktop"]
    rng.shuffle(devices)
    campaigns: list[DemoCampaign] = []
    ways: list[tuple[DemoCampaign, Page, float, bool]] = []
    for platform, names in _NAMES.items():
        pages = rng.sample(main, len(main))
        for i, name in enumerate(names):
            page = pages[i % len(pages)]
            # Every platform aims one campaign at each main page's device; the others are for everybody.
            aimed_at = devices[main.index(page)] if i < len(pages) else None
            campaign = _draw_campaign(rng, platform, name, aimed_at=aimed_at)
            campaigns.append(campaign)
            ways += _draw_ways(rng, campaign, page)
    links = _links(ways)
    quirks = {f"{link.slug}|{device}": math.exp(rng.gauss(0, 0.06)) for link in links for device in DEVICES}
    return World(seed=seed, site=site, campaigns=tuple(campaigns), links=tuple(links), quirks=quirks)


def _draw_campaign(rng: random.Random, platform: Platform, name: str, *, aimed_at: DeviceName | None) -> DemoCampaign:
    digits = {"google": 11, "meta": 17, "microsoft": 9}[platform]
    number = rng.randrange(10 ** (digits - 1), 10**digits)
    rate = rng.uniform(0.065, 0.095)
    cpc = rng.randrange(140_000, 420_000, 1_000)
    break_even = rate * rng.uniform(0.54, 0.60)
    margin = round(cpc / break_even)
    return DemoCampaign(
        campaign=f"{platform}:{ACCOUNTS[platform]}:{number}",
        platform=platform,
        name=name,
        share=_PLATFORM_SHARE[platform] / len(_NAMES[platform]) * rng.uniform(0.85, 1.15),
        aimed_at=aimed_at,
        base_rate=rate,
        cpc_micros=cpc,
        margin_micros=margin,
        order_value_micros=int(margin / rng.uniform(0.22, 0.35)) // 10_000 * 10_000,
        break_even=cpc / margin,
    )


def _draw_ways(rng: random.Random, campaign: DemoCampaign, page: Page) -> list[tuple[DemoCampaign, Page, float, bool]]:
    """The pages of a campaign and their parts of its clicks; campaigns for everybody have a second page, all have the side page."""
    side = next(other for other in PAGES if other.side)
    if campaign.aimed_at:
        return [(campaign, page, 0.92, True), (campaign, side, 0.08, False)]
    second = rng.choice([other for other in PAGES if other not in (page, side)])
    return [(campaign, page, 0.6, True), (campaign, second, 0.25, False), (campaign, side, 0.15, False)]


def _links(ways: list[tuple[DemoCampaign, Page, float, bool]]) -> list[Link]:
    total = sum(campaign.share * part for campaign, _, part, _ in ways)
    return [
        Link(slug=_slug(campaign, page), campaign=campaign, page=page, share=campaign.share * part / total, main=main)
        for campaign, page, part, main in ways
    ]


def _slug(campaign: DemoCampaign, page: Page) -> str:
    words = campaign.name.lower().split()
    return f"{words[0]}-{words[1]}-{campaign.platform[:2]}-{page.path.split('/')[1]}"
