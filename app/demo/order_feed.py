"""Confirmed orders, sent to `POST /api/v1/conversions` in small batches: the shop's third and last addition."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import httpx
import msgspec

from app.demo import world as w

SEND_EVERY_S = 0.5
MAX_BATCH = 200
#: Orders kept while the monitor does not answer. A shop would keep them in its database.
MAX_WAITING = 50_000


class OrderFeed:
    """At least once: an order is sent again until it was answered; its ID makes repeats harmless."""

    def __init__(self, api: str, key: str) -> None:
        self.taken = 0
        self.reported = 0
        self._waiting: list[dict[str, str]] = []
        self._client = httpx.AsyncClient(
            base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=5, trust_env=False
        )

    def add(self, order_id: str, *, value_micros: int, click_id: str, page: str, user_agent: str) -> None:
        order = {
            "conversion_id": order_id, "order_id": order_id, "type": "order", "status": "confirmed", "origin": "backend",
            "value": f"{value_micros / 1e6:.2f}", "currency": w.CURRENCY, "ts": rfc3339(time.time()), "page": page, "user_agent": user_agent,
        }  # fmt: skip
        if click_id:
            order["click_id"] = click_id
        self.taken += 1
        self._waiting.append(order)
        del self._waiting[:-MAX_WAITING]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SEND_EVERY_S)
            await self._send()

    async def close(self) -> None:
        await self._send()
        await self._client.aclose()

    async def _send(self) -> None:
        batch = self._waiting[:MAX_BATCH]
        if not batch:
            return
        try:
            answer = await self._client.post(
                "/api/v1/conversions", content=msgspec.json.encode(batch), headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError:
            return  # sent again with the next batch
        if answer.status_code in (200, 207):
            del self._waiting[: len(batch)]
            self.reported += len(batch)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
