"""The ad platforms' side of a click: shown or not, and what it costs.

Google and Meta are the sandboxes' control ports: told of every click once a second, asked which campaigns deliver. Microsoft has no client
in the product yet, so its spend is counted here and pushed by the buyers' own script to `POST /api/v1/spend`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec

from app.demo import world as w
from app.demo.order_feed import rfc3339
from app.demo.user_agents import DeviceName
from app.demo.wire import Unanswered, Wire

EXCHANGE_EVERY_S = 0.5
PUSH_EVERY_S = 20.0
HOUR_S = 3600


class DeliveryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Control ports by platform, and where the buyers' script pushes."""

    control_ports: dict[str, int]
    api_port: int
    key: str
    #: Clicks of this hour before the visitors came, by `<campaign>|<device>`: the hour is reported as a whole.
    earlier_clicks: dict[str, int] = {}


class Delivery:
    """Which campaigns are shown, and what was spent. Single-threaded; call `run` as a task."""

    def __init__(self, world: w.World, config: DeliveryConfig) -> None:
        self.counts: Counter[str] = Counter()
        self._campaigns = {c.campaign: c for c in world.campaigns}
        self._ports = {
            name: Wire("localhost", address="127.0.0.1", port=port) for name, port in config.control_ports.items()
        }
        self._api = Wire("localhost", address="127.0.0.1", port=config.api_port)
        self._key = config.key
        self._paused: set[str] = set()
        self._untold: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in self._ports}
        self._own = Counter({tuple(key.split("|")): n for key, n in config.earlier_clicks.items()})
        self._own_hour = int(time.time()) // HOUR_S

    def click(self, campaign: w.DemoCampaign, device: DeviceName) -> bool:
        """A visitor wants to click an advertisement: whether the platform shows it. A shown one costs."""
        if campaign.campaign in self._paused:
            return False
        self.counts["spend_micros"] += campaign.cpc_micros
        if campaign.platform in self._untold:
            self._untold[campaign.platform][(campaign.campaign, device)] += 1
        else:
            self._roll_hour()
            self._own[(campaign.campaign, device)] += 1
        return True

    async def run(self) -> None:
        pushed = time.monotonic()
        while True:
            await asyncio.sleep(EXCHANGE_EVERY_S)
            for platform in self._ports:
                await self._exchange(platform)
            if time.monotonic() - pushed > PUSH_EVERY_S:
                pushed = time.monotonic()
                await self._push_own_spend()

    async def _exchange(self, platform: str) -> None:
        """Tell the sandbox the clicks since the last time; learn which of its campaigns are paused."""
        clicks, self._untold[platform] = self._untold[platform], Counter()
        body = [{"campaign": campaign, "device": device, "clicks": n} for (campaign, device), n in clicks.items()]
        port = self._ports[platform]
        try:
            if body:
                await port.request("POST", "/control/clicks", headers={}, body=msgspec.json.encode(body))
                clicks = Counter()
            answer = await port.request("GET", "/control/delivery", headers={})
        except Unanswered:
            self._untold[platform] += clicks
            self.counts["platform_unanswered"] += 1
            return
        delivering = set(msgspec.json.decode(answer.body)["delivering"])
        own = {c for c, campaign in self._campaigns.items() if campaign.platform == platform}
        self._paused = (self._paused - own) | (own - delivering)
        self.counts[f"{platform}_paused"] = len(self._paused & own)

    def _roll_hour(self) -> None:
        hour = int(time.time()) // HOUR_S
        if hour != self._own_hour:
            self._own_hour = hour
            self._own.clear()

    async def _push_own_spend(self) -> None:
        bucket = rfc3339(self._own_hour * HOUR_S)
        body = [
            {"platform": "microsoft", "campaign": campaign, "bucket": bucket, "bucket_s": HOUR_S, "device": device, "clicks": n,
             "cost": f"{n * self._campaigns[campaign].cpc_micros / 1e6:.2f}", "currency": w.CURRENCY}
            for (campaign, device), n in self._own.items()
        ]  # fmt: skip
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            answer = await self._api.request("POST", "/api/v1/spend", headers=headers, body=msgspec.json.encode(body))
            self.counts["spend_pushed" if answer.status in (200, 207) else "spend_push_refused"] += 1
        except Unanswered:
            self.counts["spend_push_unanswered"] += 1
