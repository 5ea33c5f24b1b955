"""The sandboxes' control port: the simulated world's side, which no vendor has. Loopback only.

POST /control/clicks      {"campaign", "device", "clicks", "ts"} or a list of them -> {"accepted", "refused", "refused_campaigns"}
GET  /control/delivery    {"delivering": [qualified campaign IDs]}
GET  /control/campaigns   what every campaign is, delivered and really cost
PUT  /control/campaigns   {"id", "name", "cpc_micros", "daily_budget_micros", "status", "labels"} or a list: add or replace
GET  /control/mutations   changes that came in over the vendor's API, oldest first
POST /control/behaviour   any field of `Behaviour`: report_lag_s, restate_after_s, quota_errors, server_errors, outage …
GET  /healthz
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.demo.ad_account import AdAccount, Behaviour, CampaignSetup, Clicks

#: (method, path) -> answer to a body: (status, JSON-able object).
Route = Callable[[bytes], tuple[int, object]]


class Handler(BaseHTTPRequestHandler):
    """One request. The server object holds the routes, and what no route takes."""

    protocol_version = "HTTP/1.1"
    server: ControlServer

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            status, answer = self.server.dispatch(self.command, self.path, body)
        except (msgspec.MsgspecError, KeyError, ValueError) as error:
            status, answer = 400, {"error": str(error)}
        content = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the demo's own log tells the story."""


class ControlServer(ThreadingHTTPServer):
    """Serves `routes` on loopback in threads; `port` 0 takes a free one."""

    daemon_threads = True

    def __init__(self, routes: dict[tuple[str, str], Route], *, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._routes = routes
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def dispatch(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        route = self._routes.get((method, urlsplit(path).path))
        return route(body) if route else (404, {"error": f"no {method} {path} here"})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """May be called in any state, and twice."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(5)
        self.server_close()


def control_routes(account: AdAccount) -> dict[tuple[str, str], Route]:
    """The routes that both sandboxes share."""

    def clicks(body: bytes) -> tuple[int, object]:
        return 200, account.add_clicks(_one_or_many(body, Clicks))

    def put_campaigns(body: bytes) -> tuple[int, object]:
        for campaign in _one_or_many(body, CampaignSetup):
            account.put(campaign)
        return 200, {"campaigns": len(account.campaigns())}

    def campaigns(_body: bytes) -> tuple[int, object]:
        delivering = set(account.delivering())
        return 200, [
            {
                **msgspec.to_builtins(campaign),
                "campaign": account.qualified(campaign.id),
                "delivering": account.qualified(campaign.id) in delivering,
                "cost_micros": account.true_cost_micros(campaign.id),
            }
            for campaign in account.campaigns()
        ]

    def behave(body: bytes) -> tuple[int, object]:
        changed = {**msgspec.to_builtins(account.behaviour), **msgspec.json.decode(body, type=dict[str, Any])}
        account.behaviour = msgspec.convert(changed, Behaviour)
        return 200, account.behaviour

    return {
        ("POST", "/control/clicks"): clicks,
        ("GET", "/control/delivery"): lambda _body: (200, {"delivering": account.delivering()}),
        ("GET", "/control/campaigns"): campaigns,
        ("PUT", "/control/campaigns"): put_campaigns,
        ("GET", "/control/mutations"): lambda _body: (200, account.mutations()),
        ("POST", "/control/behaviour"): behave,
        ("GET", "/healthz"): lambda _body: (200, {"status": "ok"}),
    }


def _one_or_many(body: bytes, item: type[Any]) -> list[Any]:
    plain = msgspec.json.decode(body)
    return [msgspec.convert(one, item) for one in (plain if isinstance(plain, list) else [plain])]
