"""Visits through a real redirect worker to the real shop: what a browser does, and what each fault of a release does to it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.demo import world as w
from app.demo.ad_account import AdAccount, CampaignSetup
from app.demo.ad_account import Behaviour as PlatformBehaviour
from app.demo.ad_control import ControlServer, control_routes
from app.demo.ad_delivery import Delivery, DeliveryConfig
from app.demo.browser import Browser, Visit
from app.demo.processes import Child, python
from app.demo.shop import Behaviour, Deployment, ShopConfig
from app.demo.user_agents import BROWSERS, DeviceName
from app.demo.wire import Wire
from app.ports import free_port
from core.clock import now_ms
from core.control.engine import open_control
from core.journal.reader import iter_lines, list_segments
from core.records import Click, Touch
from redirect.config import RedirectConfig
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.worker import run_worker

VERSIONS = {w.WEB: "1.0.0", w.ORDERS: "2.0.0", w.MEDIA: "3.0.0"}


class Monitor:
    """The product's API as far as a shop calls it: takes conversions and spans, keeps them."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.spans: list[tuple[str, str, Any]] = []
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path == "/api/v1/conversions":
                    monitor.orders += json.loads(body)
                elif self.path == "/v1/traces":
                    monitor.take_spans(gzip.decompress(body))
                self.send_response(207 if self.path.startswith("/api") else 200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take_spans(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            resource = {a.key: a.value.string_value for a in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [(resource["service.name"], resource["service.version"], span) for span in scope.spans]


def _serve_redirect(listener: socket.socket, config: RedirectConfig, data_dir: Path) -> None:
    run_worker(sockets=[listener], config=config, data_dir=data_dir, control_url="", index=0)


class Street:
    """Everything around a visit: redirect, shop, monitor, and the browsers."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.monitor = Monitor()
        self.ports = {"shop": free_port(), "redirect": free_port()}
        self.world = w.draw_world(5, site=f"{w.SHOP_HOST}:{self.ports['shop']}")
        self.config = RedirectConfig(
            port=self.ports["redirect"],
            allowed_destinations=(self.world.site,),
            sites=(self.world.site,),
            trusted_proxies=("127.0.0.1/32",),
        )
        self.links = LinkStore(open_control("", data_dir), allowed_destinations=self.config.allowed_destinations)
        for link in self.world.links:
            self.links.add(_definition(self.world, link), author="test")

    def browser(self) -> Browser:
        redirect = Wire("localhost", address="127.0.0.1", port=self.ports["redirect"])
        shop = Wire(self.world.site, address="127.0.0.1", port=self.ports["shop"])
        return Browser(redirect=redirect, shop=shop, site=self.world.site)

    def deploy(self, service: str, behaviour: Behaviour, *, version: str = "9.0.0") -> None:
        body = msgspec.json.encode(Deployment(service=service, version=version, behaviour=behaviour))
        url = f"http://127.0.0.1:{self.ports['shop']}/_ci/deploy"
        httpx.post(url, content=body, trust_env=False).raise_for_status()

    def link(self, platform: str, page: w.Page) -> w.Link:
        return next(x for x in self.world.links if x.campaign.platform == platform and x.page == page)

    def visit(self, link: w.Link, *, token: str, device: DeviceName = "mobile", patience_s: float = 30.0) -> Visit:
        return Visit(
            link=link, device=device, user_agent=BROWSERS[device][0].user_agent, address="198.51.100.7", orders=True, lands=True,
            starts_form=True, field_refused=False, delay_s=0.05, patience_s=patience_s, cost_of_order_micros=1_000_000,
            token=token.rjust(50, "1"),
        )  # fmt: skip

    def go(self, *visits: Visit) -> Browser:
        browser, before = self.browser(), len(self.monitor.orders)

        async def all_of_them() -> None:
            await asyncio.gather(*(browser.paid(visit) for visit in visits))
            await asyncio.sleep(0.1)  # the background call of parallel tracking is not waited for by a page

        asyncio.run(all_of_them())
        self.orders_after(
            before, more=browser.counts["orders"]
        )  # the shop reports in batches: none is left to the next test
        return browser

    def records(self, kind: type[Any]) -> list[Any]:
        found = [line.record for s in list_segments(self.data_dir / "journal") for line in iter_lines(s.path)]
        return [record for record in found if isinstance(record, kind)]

    def orders_after(self, count: int, *, more: int) -> list[dict[str, Any]]:
        until = time.monotonic() + 5
        while len(self.monitor.orders) < count + more and time.monotonic() < until:
            time.sleep(0.05)
        return self.monitor.orders[count:]


def _definition(world: w.World, link: w.Link) -> LinkDefinition:
    return LinkDefinition(
        slug=link.slug, destination=f"http://{world.site}{link.page.path}", platform=link.campaign.platform,
        campaign=link.campaign.campaign, parallel_tracking=link.campaign.parallel,
    )  # fmt: skip


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    data_dir = tmp_path_factory.mktemp("street")
    street = Street(data_dir)
    listener = socket.create_server(("127.0.0.1", street.ports["redirect"]))
    worker = multiprocessing.get_context("spawn").Process(
        target=_serve_redirect, args=(listener, street.config, data_dir), daemon=True
    )
    worker.start()
    origin = f"http://127.0.0.1:{street.monitor.port}"
    config = ShopConfig(
        seed=5, port=street.ports["shop"], api=origin, otlp=origin, key="k", versions=VERSIONS,
        redirect=f"http://localhost:{street.ports['redirect']}",
    )  # fmt: skip
    shop = Child("shop", python("app.demo.shop"), log=data_dir / "shop.log", said=config)
    try:
        for url in (
            f"http://127.0.0.1:{street.ports['shop']}/_ci/state",
            f"http://127.0.0.1:{street.ports['redirect']}/healthz",
        ):
            _wait_for(url)
        yield street
    finally:
        shop.stop()
        worker.terminate()
        worker.join(10)
        street.monitor.server.shutdown()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(autouse=True)
def healthy(street: Street) -> None:
    for service, version in VERSIONS.items():
        street.deploy(service, Behaviour(), version=version)


@pytest.mark.parametrize("page", [page for page in w.PAGES if not page.side], ids=lambda page: page.kind)
@pytest.mark.parametrize("platform", ["google", "meta", "microsoft"])
def test_a_paid_click_ends_in_an_order_under_the_click_id_of_the_journal(
    street: Street, platform: str, page: w.Page
) -> None:
    before = len(street.monitor.orders)
    link = street.link(platform, page)
    browser = street.go(street.visit(link, token=f"a{page.kind}{platform}".encode().hex()))
    assert (browser.counts["landed"], browser.counts["orders"]) == (1, 1)
    (order,) = street.orders_after(before, more=1)
    clicks = [click for click in street.records(Click) if click.click_id == order["click_id"]]
    assert [(c.campaign, c.page, c.parallel) for c in clicks] == [
        (link.campaign.campaign, order["page"], platform == "google")
    ]
    names = [touch.name for touch in street.records(Touch) if touch.click_id == order["click_id"]]
    assert names == ["page_view", "form_start", "form_submit"]


def test_a_bad_release_fails_orders_of_its_page_on_its_device_only(street: Street) -> None:
    page, other = w.PAGES[1], w.PAGES[2]
    broken = Behaviour(fail_route=page.submit_route, fail_device="mobile", fail_share=1.0)
    street.deploy(w.ORDERS, broken, version="2.0.1")
    assert street.go(street.visit(street.link("meta", page), token="b1")).counts["order_failed"] == 1
    assert street.go(street.visit(street.link("meta", page), token="b2", device="desktop")).counts["orders"] == 1
    assert street.go(street.visit(street.link("meta", other), token="b3")).counts["orders"] == 1
    failed = street.records(Touch)
    assert [t.attributes for t in failed if t.name == "form_error"] == [{"status": "500"}]


def test_a_failed_order_leaves_a_server_span_with_its_exception_and_its_click(street: Street) -> None:
    page = w.PAGES[0]
    street.deploy(
        w.ORDERS, Behaviour(fail_route=page.submit_route, fail_device="mobile", fail_share=1.0), version="2.0.2"
    )
    street.go(street.visit(street.link("google", page), token="c1"))
    until = time.monotonic() + 5
    spans: list[Any] = []
    while not spans and time.monotonic() < until:
        time.sleep(0.1)
        spans = [s for service, version, s in street.monitor.spans if (service, version) == (w.ORDERS, "2.0.2")]
    (span,) = spans
    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
    assert attributes["http.route"] == page.submit_route
    assert attributes["http.response.status_code"] == 500
    assert attributes["clicktrace.click_id"] in {click.click_id for click in street.records(Click)}
    assert "Mobile" in attributes["user_agent.original"]
    assert [event.name for event in span.events] == ["exception"]
    assert span.status.code == 2


def test_impatient_visitors_leave_a_slow_page_and_patient_ones_order(street: Street) -> None:
    page = w.PAGES[2]
    street.deploy(w.WEB, Behaviour(slow_route=page.route, slow_seconds=1.2), version="1.0.1")
    browser = street.go(
        street.visit(street.link("meta", page), token="d1", patience_s=0.1),
        street.visit(street.link("meta", page), token="d2", patience_s=30.0),
    )
    assert (browser.counts["left_waiting"], browser.counts["orders"]) == (1, 1)


def test_without_the_tag_orders_go_on_without_click_id_and_events_stop(street: Street) -> None:
    touches, before = len(street.records(Touch)), len(street.monitor.orders)
    street.deploy(w.WEB, Behaviour(tag_missing=True), version="1.0.2")
    browser = street.go(street.visit(street.link("meta", w.PAGES[0]), token="e1"))
    assert browser.counts["orders"] == 1
    (order,) = street.orders_after(before, more=1)
    assert "click_id" not in order
    assert len(street.records(Touch)) == touches


def test_a_link_that_answers_503_loses_sequential_buyers_and_keeps_parallel_ones(street: Street) -> None:
    meta, google = street.link("meta", w.PAGES[1]), street.link("google", w.PAGES[1])
    stored = [street.links.find(link.slug) for link in (meta, google)]
    for link in stored:
        street.links.edit(link.link_id, {"answer": "unavailable"}, author="ops")
    time.sleep(1.2)
    try:
        lost = street.go(street.visit(meta, token="f1")).counts
        kept = street.go(street.visit(google, token="f2")).counts
    finally:
        for link in stored:
            street.links.edit(link.link_id, {"answer": "redirect"}, author="ops")
        time.sleep(1.2)
    assert (lost["lost_at_redirect"], lost["orders"], lost["wasted_micros"]) == (1, 0, 1_000_000)
    assert (kept["background_call_failed"], kept["orders"]) == (1, 1)


def test_a_machine_is_a_hit_without_any_event(street: Street) -> None:
    link = street.link("meta", w.PAGES[0])
    hits, touches = len(street.records(Click)), len(street.records(Touch))
    browser = street.browser()
    asyncio.run(browser.machine(link, user_agent="Mozilla/5.0 (X11; Linux x86_64)", address="203.0.113.9", lands=True))
    assert len(street.records(Click)) == hits + 1
    assert street.records(Click)[-1].network == "203.0.113.0/24"
    assert len(street.records(Touch)) == touches


def test_a_platform_that_paused_a_campaign_shows_it_no_more_and_charges_what_it_showed(street: Street) -> None:
    campaign = next(c for c in street.world.campaigns if c.platform == "meta")
    identifier = campaign.campaign.rpartition(":")[2]
    setup = CampaignSetup(id=identifier, name=campaign.name, cpc_micros=campaign.cpc_micros)
    account = AdAccount(platform="meta", account=w.ACCOUNTS["meta"], currency=w.CURRENCY, campaigns=[setup],
                        behaviour=PlatformBehaviour(), clock=now_ms)  # fmt: skip
    control = ControlServer(control_routes(account), port=0)
    control.start()
    config = DeliveryConfig(control_ports={"meta": control.port}, api_port=street.monitor.port, key="k")

    async def story() -> list[bool]:
        delivery = Delivery(street.world, config)
        running = asyncio.create_task(delivery.run())
        await asyncio.sleep(0.8)
        shown = [delivery.click(campaign, "mobile") for _ in range(5)]
        await asyncio.sleep(0.8)
        account.set_status(identifier, "paused")
        await asyncio.sleep(0.8)
        shown.append(delivery.click(campaign, "mobile"))
        running.cancel()
        return shown

    try:
        assert asyncio.run(story()) == [True] * 5 + [False]
        assert account.true_cost_micros(identifier) == pytest.approx(5 * campaign.cpc_micros, rel=0.03)
    finally:
        control.stop()
