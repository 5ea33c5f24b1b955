"""The visitors: sixty clicks a second in real time, through the real redirect, to the real shop, with a browser's manners.

One process, one event loop. Told what to do by JSON lines on standard input (`VisitorsConfig` first, then `Order`s), it reports its counters
on standard output once a second.

    python -m app.demo.visitors
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Coroutine
from typing import Any

import msgspec

from app.demo import world as w
from app.demo.ad_delivery import Delivery, DeliveryConfig
from app.demo.browser import Browser, Visit
from app.demo.user_agents import BROWSERS, FLOOD_USER_AGENTS, DeviceName
from app.demo.wire import Wire

STEP_S = 0.05
REPORT_EVERY_S = 1.0
#: Visits under way at once; a shop that hangs must not take this process's memory.
MAX_VISITS = 30_000
FLOOD_NETWORKS = 24
FLOOD_LANDING_SHARE = 0.25


class VisitorsConfig(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    site: str
    shop_port: int
    redirect_port: int
    delivery: DeliveryConfig


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the traffic, from the script. `flood_per_s` are hits of machines on the given slugs."""

    clicks_per_s: float = w.LIVE_CLICKS_PER_S
    flood_per_s: float = 0.0
    flood_slugs: tuple[str, ...] = ()
    stop: bool = False


class Crowd:
    """Draws visits by the world's law and sends each on its way."""

    def __init__(self, config: VisitorsConfig) -> None:
        self.world = w.draw_world(config.seed, site=config.site)
        self.order = Order(clicks_per_s=0.0)
        self.delivery = Delivery(self.world, config.delivery)
        self._rng = random.Random()
        self._day_factor = random.Random(f"day {config.seed}").lognormvariate(0, 0.02)
        redirect = Wire(f"localhost:{config.redirect_port}", address="127.0.0.1", port=config.redirect_port)
        shop = Wire(config.site, address="127.0.0.1", port=config.shop_port)
        self.browser = Browser(redirect=redirect, shop=shop, site=config.site)
        self._visits: set[asyncio.Task[None]] = set()
        self._links = {link.slug: link for link in self.world.links}
        self._shares = [link.share for link in self.world.links]
        self._flood_networks = [_address(self._rng)[: -len(".1")] for _ in range(FLOOD_NETWORKS)]

    async def run(self) -> None:
        last = time.monotonic()
        while not self.order.stop:
            await asyncio.sleep(STEP_S)
            now = time.monotonic()
            elapsed, last = min(1.0, now - last), now
            for _ in range(self._arrivals(self.order.clicks_per_s * elapsed)):
                self._send(self._paid)
            for _ in range(self._arrivals(self.order.clicks_per_s * w.ORGANIC_PER_CLICK * elapsed)):
                self._send(self._organic)
            for _ in range(self._arrivals(self.order.flood_per_s * elapsed)):
                self._send(self._machine)
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def _arrivals(self, mean: float) -> int:
        """A Poisson number: counts unit-rate gaps until the mean is used up."""
        count, at = 0, self._rng.expovariate(1)
        while at < mean:
            count, at = count + 1, at + self._rng.expovariate(1)
        return count

    def _send(self, kind: Any) -> None:
        if len(self._visits) >= MAX_VISITS:
            self.browser.counts["turned_away"] += 1
            return
        coroutine: Coroutine[Any, Any, None] | None = kind()
        if coroutine is not None:
            visit = asyncio.create_task(coroutine)
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)

    def _paid(self) -> Coroutine[Any, Any, None] | None:
        """A click on an advertisement, unless the platform does not show it."""
        link = self._rng.choices(self.world.links, self._shares)[0]
        visit = self._draw(link)
        if not self.delivery.click(link.campaign, visit.device):
            self.browser.counts["not_shown"] += 1
            return None
        return self.browser.paid(visit)

    def _organic(self) -> Coroutine[Any, Any, None]:
        return self.browser.organic(self._draw(self._rng.choices(self.world.links, self._shares)[0]))

    def _machine(self) -> Coroutine[Any, Any, None] | None:
        if not self.order.flood_slugs:
            return None
        link = self._links[self._rng.choice(self.order.flood_slugs)]
        address = f"{self._rng.choice(self._flood_networks)}.{self._rng.randrange(1, 255)}"
        lands = self._rng.random() < FLOOD_LANDING_SHARE
        return self.browser.machine(link, user_agent=self._rng.choice(FLOOD_USER_AGENTS), address=address, lands=lands)

    def _draw(self, link: w.Link) -> Visit:
        rng = self._rng
        device: DeviceName = rng.choices(w.DEVICES, link.campaign.device_mix)[0]
        browsers = BROWSERS[device]
        season = w.rate_season(w.hour_of_week(time.time() * 1000)) * self._day_factor
        rate = self.world.rate(link, device)
        orders = rng.random() < rate * season
        lands = orders or rng.random() < w.LANDING_SHARE
        starts = orders or (lands and rng.random() < w.FORM_START_SHARE)
        return Visit(
            link=link,
            device=device,
            user_agent=rng.choices(browsers, [b.share for b in browsers])[0].user_agent,
            address=_address(rng),
            orders=orders,
            lands=lands,
            starts_form=starts,
            field_refused=starts and not orders and rng.random() < w.FORM_ERROR_SHARE,
            delay_s=w.delay_s(rng),
            patience_s=rng.expovariate(1 / w.PATIENCE_S),
            cost_of_order_micros=round(link.campaign.cpc_micros / rate),
            token=f"{rng.getrandbits(200):050x}",
        )


def _address(rng: random.Random) -> str:
    return f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


async def report(crowd: Crowd) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        counts = {**crowd.browser.counts, **crowd.delivery.counts}
        sys.stdout.buffer.write(msgspec.json.encode(counts) + b"\n")
        sys.stdout.buffer.flush()


async def listen(crowd: Crowd) -> None:
    """Take orders until the input ends: whoever started us is gone then, and so are we."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        crowd.order = msgspec.json.decode(line, type=Order)
        if crowd.order.stop:
            break
    crowd.order = Order(stop=True)


async def run(config: VisitorsConfig) -> None:
    crowd = Crowd(config)
    side = [
        asyncio.create_task(report(crowd)),
        asyncio.create_task(crowd.delivery.run()),
        asyncio.create_task(listen(crowd)),
    ]
    await crowd.run()
    for task in side:
        task.cancel()


def first_line() -> bytes:
    """The first line of standard input, byte by byte: a buffered read would swallow the orders behind it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            break
        line += byte
    return line


def main() -> None:
    import uvloop

    config = msgspec.json.decode(first_line(), type=VisitorsConfig)
    uvloop.run(run(config))


if __name__ == "__main__":
    main()
