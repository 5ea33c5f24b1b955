"""The toy shop on the wire, and its case for the suite over all sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.demo.ad_account import Behaviour
from core.clock import parse_rfc3339, to_rfc3339
from core.records import Conversion, Record
from tests.collectors.sandboxes.base import Answer, Request, Sandbox, bearer
from tests.collectors.sandboxes.cases import Case

LAG_S = 600


class ToySandbox(Sandbox):
    token = "toy-token-0123456789abcdef"

    def __init__(self, *, clock: Callable[[], int]) -> None:
        super().__init__(behaviour=Behaviour(report_lag_s=LAG_S, page_size=2), clock=clock)
        self.orders: dict[int, dict[str, Any]] = {}

    def answer(self, request: Request) -> Answer:
        if bearer(request.headers) != self.token:
            return Answer(status=401, body={"error": "unknown token"})
        since, until = (parse_rfc3339(request.query[name]) for name in ("from", "to"))
        until = min(until, self.clock() - round(self.behaviour.report_lag_s * 1000))
        orders = [one for one in self.orders.values() if since <= parse_rfc3339(one["placed"]) < until]
        ends = int(request.query["page"]) * self.behaviour.page_size
        page = {"orders": orders[ends - self.behaviour.page_size : ends]}
        return Answer(body=page | ({"next_page": int(request.query["page"]) + 1} if ends < len(orders) else {}))


class ToyCase(Case):
    section = "toy"
    lag_s = LAG_S
    restates = True

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self.sandbox = ToySandbox(clock=clock)
        self.token_file = directory / "token"
        self.let_in()

    def settings(self) -> dict[str, Any]:
        shop = {
            "name": "shop",
            "client": "acme",
            "endpoint": self.endpoint,
            "credentials_file": str(self.token_file),
        }
        return {"connections": [shop]}

    def add(self, number: int, *, ts: int) -> None:
        order = {"id": f"o-{number}", "placed": to_rfc3339(ts), "total": "59.90", "currency": "EUR", "coupon": "spring"}
        self.sandbox.orders[number] = order

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(each.conversion_id[2:]) for each in records if isinstance(each, Conversion)]

    def restate(self, number: int) -> None:
        self.sandbox.orders[number]["total"] = "49.90"

    def lock_out(self) -> None:
        self.token_file.write_text("toy-token-of-somebody-else")

    def let_in(self) -> None:
        self.token_file.write_text(self.sandbox.token)
