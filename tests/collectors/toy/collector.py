"""A toy shop's orders (README.md beside this file)."""

from __future__ import annotations

import msgspec

from collectors import fact_ids
from collectors.base import Fetched
from collectors.bearer_api import BearerApi, Deadline, fetched, rows_of
from collectors.windows import Window
from core.clock import parse_rfc3339, to_rfc3339
from core.money import to_micros
from core.records import Conversion
from tests.collectors.toy.config import ToyConfig, ToyConnection


class Order(msgspec.Struct):
    id: str
    placed: str
    total: str
    currency: str


class Page(msgspec.Struct):
    orders: list[msgspec.Raw]
    next_page: int = 0


class ToySource:
    """One toy shop."""

    def __init__(self, connection: ToyConnection, *, config: ToyConfig) -> None:
        self.name = f"toy:{connection.name}"
        self.config = config
        self._client = connection.client
        endpoint = connection.endpoint or "https://api.toys.example"
        self._api = BearerApi(self.name, endpoint=endpoint, credentials_file=connection.credentials_file)

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """All orders placed in the window, page by page."""
        deadline = Deadline(self.name, deadline_s)
        raws: list[msgspec.Raw] = []
        number = 1
        while number:
            params = {"from": to_rfc3339(window.since), "to": to_rfc3339(window.until), "page": number}
            page, _ = self._api.call("GET", "orders", Page, deadline=deadline, params=params)
            raws, number = raws + page.orders, page.next_page
        orders = rows_of(raws, Order)
        return fetched([self._conversion(order) for order in orders.items], orders.problems, columns=orders.columns)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        return Fetched(records=[])

    def close(self) -> None:
        self._api.close()

    def _conversion(self, order: Order) -> Conversion:
        key = fact_ids.conversion(client=self._client, origin="backend", type="order", conversion_id=order.id)
        return Conversion(
            ts=parse_rfc3339(order.placed),
            source="toy",
            fact_id=key,
            conversion_id=order.id,
            type="order",
            status="confirmed",
            origin="backend",
            value_micros=to_micros(order.total),
            currency=order.currency,
            client=self._client,
        )
