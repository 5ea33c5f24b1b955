"""A Meta ad account on the wire: the Graph endpoints that the product calls, with their paging and error objects.

GET  /v25.0/act_<account>/insights     by campaign, day and hour; actions by ad set and day
POST /v25.0/act_<account>/insights     the same as a job: report_run_id
GET  /v25.0/<report_run_id>            async_status, async_percent_completion
GET  /v25.0/<report_run_id>/insights   its rows
GET  /v25.0/act_<account>/campaigns
GET  /v25.0/<campaign>                 with `fields`
POST /v25.0/<campaign>                 status=ACTIVE | PAUSED

python -m app.demo.meta_sandbox --port 7003 --control-port 7004 --dir DIR [--campaigns FILE]
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from app.demo import sandbox_process
from app.demo.ad_account import AdAccount, Behaviour, CampaignSetup
from app.demo.ad_control import ControlServer, control_routes
from app.demo.meta_jobs import Jobs
from app.demo.meta_reports import MetaReports
from core.clock import now_ms, to_datetime
from core.money import to_decimal

VERSION = "v25.0"
HOURLY = "hourly_stats_aggregated_by_advertiser_time_zone"
_STATUSES = {"enabled": "ACTIVE", "paused": "PAUSED", "removed": "DELETED"}


class GraphError(Exception):
    """An answer of the form {"error": {…}} ("Error Handling" in the Graph API documentation)."""

    def __init__(self, status: int, code: int, message: str, *, kind: str = "OAuthException", subcode: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {
                "message": message,
                "type": kind,
                "code": code,
                **({"error_subcode": subcode} if subcode else {}),
                "fbtrace_id": secrets.token_urlsafe(9),
            }
        }


class MetaSandbox:
    """One account behind the Graph endpoints. A context manager; `directory` receives the access token."""

    def __init__(
        self,
        directory: Path,
        *,
        account: str = "2345678901",
        campaigns: Iterable[CampaignSetup] = (),
        currency: str = "USD",
        timezone: str = "UTC",
        behaviour: Behaviour | None = None,
        port: int = 0,
        control_port: int = 0,
        clock: Any = now_ms,
    ) -> None:
        self.account = AdAccount(
            platform="meta",
            account=account,
            currency=currency,
            campaigns=campaigns,
            behaviour=behaviour or Behaviour(report_lag_s=900.0),
            clock=clock,
        )
        self.directory = directory
        self.credentials_file = directory / "access-token"
        self.token = f"EAAB{secrets.token_hex(24)}"
        self.jobs = Jobs(self.account.behaviour)
        self.reports = MetaReports(currency=currency)
        self._zone = ZoneInfo(timezone)
        self._graph = _Graph(self, port=port)
        self._control = ControlServer(control_routes(self.account), port=control_port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._graph.server_address[1]}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._control.port}"

    def __enter__(self) -> MetaSandbox:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.credentials_file.touch(mode=0o600)
        self.credentials_file.write_text(self.token)
        self._graph.start()
        self._control.start()

    def stop(self) -> None:
        self._graph.stop()
        self._control.stop()

    # --- the API -------------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, params: dict[str, str], *, token: str) -> dict[str, Any]:
        """What the Graph answers.

        Raises:
            GraphError: outage, quota, wrong token, unknown object or parameter.
        """
        self._check(token)
        parts = path.strip("/").split("/")
        if parts[:1] != [VERSION] or len(parts) < 2:
            raise GraphError(400, 2635, f"You are calling a deprecated version of the Ads API. Please use {VERSION}.")
        node, edge = parts[1], "/".join(parts[2:])
        if node == f"act_{self.account.account}" and method == "GET" and edge in ("insights", "campaigns"):
            if edge == "insights":
                self._check_size(params)
            rows = self._insights(params) if edge == "insights" else self._campaigns()
            return self._page(rows, params, path=path)
        if node == f"act_{self.account.account}" and method == "POST" and edge == "insights":
            self._check_size(params)
            return self.jobs.start(params)
        if method == "GET" and edge == "" and (status := self.jobs.status(node)) is not None:
            return status
        if method == "GET" and edge == "insights" and (asked := self.jobs.result(node)) is not None:
            return self._page(self._insights(asked), params, path=path)
        campaign = self.account.campaign(node)
        if campaign is None or edge:
            raise GraphError(
                400,
                100,
                f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist.",
                kind="GraphMethodException",
                subcode=33,
            )
        return self._campaign(campaign) if method == "GET" else self._update(campaign, params)

    def _check(self, token: str) -> None:
        behaviour = self.account.behaviour
        if behaviour.outage:
            raise GraphError(503, 2, "Service temporarily unavailable", kind="OAuthException")
        if token != self.token:
            raise GraphError(401, 190, "Invalid OAuth access token - Cannot parse access token")
        if behaviour.quota_errors > 0:
            behaviour.quota_errors -= 1
            raise GraphError(400, 80000, "There have been too many calls from this ad-account.", subcode=2446079)
        if behaviour.server_errors > 0:
            behaviour.server_errors -= 1
            raise GraphError(500, 1, "An unknown error occurred")

    def _check_size(self, params: dict[str, str]) -> None:
        """The data-per-call limits, which hold for jobs, too."""
        span = json.loads(params["time_range"])
        days = (date.fromisoformat(span["until"]) - date.fromisoformat(span["since"])).days + 1
        if 0 < self.account.behaviour.most_days < days:
            message = "Please reduce the amount of data you're asking for, then retry your request"
            raise GraphError(400, 100, message, kind="CodeException", subcode=1487534)

    def usage_header(self) -> str:
        """X-Business-Use-Case-Usage: minutes until access is regained are counted in whole ones."""
        minutes = round(self.account.behaviour.retry_after_s / 60) if self.account.behaviour.quota_errors else 0
        use = {
            "type": "ads_insights",
            "call_count": 1,
            "total_cputime": 1,
            "total_time": 1,
            "estimated_time_to_regain_access": minutes,
            "ads_api_access_tier": "standard_access",
        }
        return json.dumps({self.account.account: [use]})

    def _campaigns(self) -> list[dict[str, Any]]:
        return [self._campaign(campaign) for campaign in self.account.campaigns() if campaign.status != "removed"]

    def _campaign(self, campaign: CampaignSetup) -> dict[str, Any]:
        return {
            "id": campaign.id,
            "name": campaign.name,
            "status": _STATUSES[campaign.status],
            "effective_status": _STATUSES[campaign.status],
            "account_id": self.account.account,
            "daily_budget": str(campaign.daily_budget_micros // 10_000),
            **({"adlabels": [{"id": "1", "name": name} for name in campaign.labels]} if campaign.labels else {}),
        }

    def _update(self, campaign: CampaignSetup, params: dict[str, str]) -> dict[str, Any]:
        wanted = {"ACTIVE": "enabled", "PAUSED": "paused"}.get(params.get("status", ""))
        if wanted is None:
            raise GraphError(400, 100, "(#100) Param status must be one of {ACTIVE, PAUSED}")
        self.account.set_status(campaign.id, "enabled" if wanted == "enabled" else "paused")
        return {"success": True}

    def _insights(self, params: dict[str, str]) -> list[dict[str, Any]]:
        lag_s = self.account.behaviour.report_lag_s
        told = self.reports.rows(params, now=self.account.clock(), lag_s=lag_s, zone=self._zone)
        if told is not None:
            return self._spoilt(told)
        if params.get("breakdowns") != HOURLY or params.get("level") != "campaign":
            raise GraphError(400, 100, "(#100) Tried accessing a combination of breakdowns this sandbox does not have")
        span = json.loads(params["time_range"])
        since = datetime.fromisoformat(span["since"]).replace(tzinfo=self._zone)
        until = datetime.fromisoformat(span["until"]).replace(tzinfo=self._zone) + timedelta(days=1)
        # The clock may show an hour twice; the breakdown has one row for both.
        hours: dict[tuple[str, datetime], list[int]] = {}
        for report in self.account.reports(round(since.timestamp() * 1000), round(until.timestamp() * 1000)):
            local = to_datetime(report.hour).astimezone(self._zone).replace(minute=0, tzinfo=None, fold=0)
            sums = hours.setdefault((report.campaign, local), [0, 0, 0])
            for at, number in enumerate((report.cost_micros, report.clicks, report.impressions)):
                sums[at] += number
        rows = [self._insight(campaign, hour, *sums) for (campaign, hour), sums in sorted(hours.items())]
        return self._spoilt(rows)

    def _spoilt(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows[: self.account.behaviour.malformed_rows]:
            row["date_start"] = "soon"
        return rows

    def _insight(
        self, campaign: str, local: datetime, cost_micros: int, clicks: int, impressions: int
    ) -> dict[str, Any]:
        return {
            "campaign_id": campaign,
            "account_currency": self.account.currency,
            # Money comes with two places.
            "spend": to_decimal(round(cost_micros, -4)),
            "impressions": str(impressions),
            "inline_link_clicks": str(clicks),
            "date_start": local.date().isoformat(),
            "date_stop": local.date().isoformat(),
            HOURLY: f"{local.hour:02}:00:00 - {local.hour:02}:59:59",
        }

    def _page(self, rows: list[dict[str, Any]], params: dict[str, str], *, path: str) -> dict[str, Any]:
        size = min(int(params.get("limit", "25")), self.account.behaviour.page_size)
        start = int(base64.b64decode(params["after"])) if "after" in params else 0
        end = start + size
        paging: dict[str, Any] = {"cursors": {"before": _cursor(start), "after": _cursor(min(end, len(rows)))}}
        if end < len(rows):
            paging["next"] = f"{self.endpoint}{path}?access_token={self.token}&after={_cursor(end)}"
        return {"data": rows[start:end], "paging": paging}


def _cursor(at: int) -> str:
    return base64.b64encode(str(at).encode()).decode()


class _GraphHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Graph

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._answer(_flat(body.decode()))

    def _answer(self, form: dict[str, str]) -> None:
        url = urlsplit(self.path)
        params = _flat(url.query) | form
        token = params.pop("access_token", "") or self.headers.get("authorization", "").removeprefix("Bearer ")
        usage = self.server.sandbox.usage_header()
        try:
            status, body = 200, self.server.sandbox.answer(self.command, url.path, params, token=token)
        except GraphError as error:
            status, body = error.status, error.body
        except (KeyError, ValueError) as error:
            status, body = 400, GraphError(400, 100, f"(#100) Invalid parameter: {error}").body
        content = json.dumps(body).encode()
        behaviour = self.server.sandbox.account.behaviour
        if behaviour.garbage > 0:
            behaviour.garbage -= 1
            content = content[: len(content) // 2]
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(content)))
        self.send_header("x-business-use-case-usage", usage)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the demo's own log tells the story."""


class _Graph(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sandbox: MetaSandbox, *, port: int) -> None:
        super().__init__(("127.0.0.1", port), _GraphHandler)
        self.sandbox = sandbox
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """May be called in any state, and twice."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(5)
        self.server_close()


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def main() -> None:
    """Run until SIGTERM; `ready.json` in the directory says where."""
    arguments = sandbox_process.arguments(__doc__ or "", account="2345678901")
    sandbox = MetaSandbox(
        arguments.dir,
        account=arguments.account,
        campaigns=sandbox_process.campaigns(arguments.campaigns),
        currency=arguments.currency,
        behaviour=sandbox_process.behaviour(arguments),
        port=arguments.port,
        control_port=arguments.control_port,
    )
    with sandbox:
        sandbox_process.run_until_stopped(
            arguments.dir,
            {
                "platform": "meta",
                "account": arguments.account,
                "endpoint": sandbox.endpoint,
                "control": sandbox.control_url,
                "credentials_file": str(sandbox.credentials_file),
            },
        )


if __name__ == "__main__":
    main()
