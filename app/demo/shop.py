"""The demo's shop: a real web server that a customer could have written, and its two services' faults.

It adds exactly what docs/instrumenting.md tells a customer to add: the snippet's script tag, the middleware that names the click on server
spans, and one POST per confirmed order. It is told to deploy over its control paths (`/_ci/…`), as any release pipeline would; what a
version does wrong is a `Behaviour`.

    python -m app.demo.shop   with a `ShopConfig` as JSON on standard input
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.demo import shop_pages
from app.demo import world as w
from app.demo.click_id_middleware import ClickIdMiddleware
from app.demo.order_feed import OrderFeed
from app.demo.past_facts import ORDER_SECONDS, PAGE_SECONDS
from app.demo.server_spans import Scope, ServerSpanMiddleware, Tracers
from app.demo.user_agents import device_of


class ShopConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop is told at its start. Addresses are origins such as http://localhost:8080."""

    seed: int
    port: int
    api: str
    otlp: str
    redirect: str
    key: str
    versions: dict[str, str]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a version; the default is a healthy one."""

    fail_route: str = ""  # orders by this route fail …
    fail_device: str = ""  # … on this device …
    fail_share: float = 0.0  # … for this share of visitors
    slow_route: str = ""
    slow_seconds: float = 0.0
    tag_missing: bool = False


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    version: str
    behaviour: Behaviour = Behaviour()


class Shop:
    """State of the shop: who runs in which version, and what each version does wrong."""

    def __init__(self, config: ShopConfig) -> None:
        self.world = w.draw_world(config.seed)
        self.snippet_url = f"{config.redirect}/ct.js"
        self.tracers = Tracers(config.otlp, config.key)
        self.orders = OrderFeed(config.api, config.key)
        self.behaviours: dict[str, Behaviour] = {}
        self._rng = random.Random(f"shop {config.seed}")
        self._values = {link.page.path: link.campaign.order_value_micros for link in self.world.links}
        self._site = f"{w.SHOP_HOST}:{config.port}"
        for service, version in config.versions.items():
            self.deploy(Deployment(service=service, version=version))

    def deploy(self, deployment: Deployment) -> None:
        self.tracers.deploy(deployment.service, deployment.version)
        self.behaviours[deployment.service] = deployment.behaviour

    async def show(self, page: w.Page) -> Response:
        web = self.behaviours[w.WEB]
        seconds = self._rng.lognormvariate(_log(PAGE_SECONDS[0]), PAGE_SECONDS[1])
        if web.slow_route == page.route:
            seconds += web.slow_seconds
        await asyncio.sleep(seconds)
        return HTMLResponse(shop_pages.landing(page, snippet_url="" if web.tag_missing else self.snippet_url))

    async def order(self, request: Request, page: w.Page) -> str:
        """Take an order; its number.

        Raises:
            KeyError: the running version trips over a field of the form; or the rare failure that every shop has.
        """
        agent = request.headers.get("user-agent", "")
        await asyncio.sleep(self._rng.lognormvariate(_log(ORDER_SECONDS[0]), ORDER_SECONDS[1]))
        if self._rng.random() < self._failure_share(page, device_of(agent)):
            raise KeyError("postal_code")
        order_id = f"o-{secrets.token_hex(6)}"
        value = int(self._values[page.path] * self._rng.lognormvariate(-0.02, 0.2)) // 10_000 * 10_000
        click_id = "" if self.behaviours[w.WEB].tag_missing else request.cookies.get("ct_click", "")
        self.orders.add(order_id, value_micros=value, click_id=click_id,
                        page=f"{self._site}{page.path}", user_agent=agent)  # fmt: skip
        return order_id

    def _failure_share(self, page: w.Page, device: str) -> float:
        behaviour = self.behaviours[w.ORDERS]
        if behaviour.fail_route == page.submit_route and behaviour.fail_device == device:
            return behaviour.fail_share
        return w.ORDER_FAILURE_SHARE


def _log(median: float) -> float:
    return math.log(median)


def service_of(scope: Scope) -> str | None:
    """Pages belong to the web service, orders to the other; the release pipeline's own calls are not traced."""
    if scope["path"].startswith("/_ci/"):
        return None
    return w.ORDERS if scope["method"] == "POST" else w.WEB


def build_app(shop: Shop) -> Any:
    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        feeding = asyncio.create_task(shop.orders.run())
        yield
        feeding.cancel()
        await shop.orders.close()
        await asyncio.to_thread(shop.tracers.flush)

    app = FastAPI(lifespan=life, openapi_url=None)
    for page in w.PAGES:
        _add_page(app, shop, page)

    @app.get("/thanks/{order_id}")
    async def thanks(order_id: str) -> Response:
        return HTMLResponse(shop_pages.thanks(order_id))

    @app.post("/_ci/deploy")
    async def deploy(request: Request) -> Response:
        shop.deploy(msgspec.json.decode(await request.body(), type=Deployment))
        return Response(status_code=204)

    @app.get("/_ci/state")
    async def state() -> Response:
        return JSONResponse({"orders_taken": shop.orders.taken, "orders_reported": shop.orders.reported})

    return ServerSpanMiddleware(app_with_click_ids(app), tracers=shop.tracers, service_of=service_of)


def app_with_click_ids(app: FastAPI) -> FastAPI:
    app.add_middleware(ClickIdMiddleware)
    return app


def _add_page(app: FastAPI, shop: Shop, page: w.Page) -> None:
    async def show() -> Response:
        return await shop.show(page)

    async def take(request: Request) -> Response:
        order_id = await shop.order(request, page)
        if page.kind == "script":
            return JSONResponse({"order_id": order_id})
        return RedirectResponse(f"/thanks/{order_id}", status_code=303)

    app.add_api_route(page.route, show, methods=["GET"])
    app.add_api_route(page.submit_route, take, methods=["POST"])


def main() -> None:
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ShopConfig)
    app = build_app(Shop(config))
    # A failing order would print its traceback here; the monitor gets it as a span, which is the point.
    # Our own socket: a port that is taken says so in the log, which at this level uvicorn does not.
    with socket.create_server(("127.0.0.1", config.port), backlog=1024) as sock:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on"))
        server.run(sockets=[sock])


if __name__ == "__main__":
    main()
