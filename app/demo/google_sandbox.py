"""A Google Ads account on the wire: the service's gRPC methods over TLS with the client package's own messages.

It knows GoogleAdsService.SearchStream and Search (the GAQL the product asks in) and CampaignService.MutateCampaigns, answers errors as
the real service does (GoogleAdsFailure in trailing metadata, quota as RESOURCE_EXHAUSTED with a retry delay) and issues OAuth tokens to
its own service account. Whoever talks to it needs `ca.pem` as GRPC_DEFAULT_SSL_ROOTS_FILE_PATH and `service-account.json`.

    python -m app.demo.google_sandbox --port 7001 --control-port 7002 --dir DIR [--campaigns FILE]
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import trustme
from google.ads.googleads.v26.errors.types.errors import GoogleAdsError, GoogleAdsFailure
from google.ads.googleads.v26.services.types.campaign_service import (
    MutateCampaignResult,
    MutateCampaignsRequest,
    MutateCampaignsResponse,
)
from google.ads.googleads.v26.services.types.google_ads_service import (
    GoogleAdsRow,
    SearchGoogleAdsRequest,
    SearchGoogleAdsResponse,
    SearchGoogleAdsStreamRequest,
    SearchGoogleAdsStreamResponse,
)

from app.demo import gaql, sandbox_process
from app.demo.ad_account import AdAccount, Behaviour, CampaignSetup
from app.demo.ad_control import ControlServer, control_routes
from app.demo.google_reports import BrokenRule, GoogleReports
from app.demo.google_tokens import TokenIssuer
from core.clock import now_ms, parse_rfc3339, to_datetime

FAILURE_KEY = "google.ads.googleads.v26.errors.googleadsfailure-bin"
_STATUSES = {"enabled": "ENABLED", "paused": "PAUSED", "removed": "REMOVED"}
_EPOCH_DAY = "1970-01-01"


class Failure(Exception):
    """A call answered with an error: the gRPC code, the field of the error code's oneof, and its word."""

    def __init__(
        self, code: grpc.StatusCode, kind: str, word: str, message: str, *, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.code = code
        quota = {"rate_name": "Operations per project per day", "retry_delay": timedelta(seconds=retry_after_s)}
        details = {"quota_error_details": quota} if retry_after_s else {}
        self.error = GoogleAdsError(error_code={kind: word}, message=message, details=details)


@cache
def process_ca() -> trustme.CA:
    """The authority that gRPC trusts in this process. For tests and tools that run client and sandbox together.

    gRPC reads its trust roots once, at the first TLS channel, so every sandbox of a process must share one authority.
    """
    ca = trustme.CA()
    directory = tempfile.mkdtemp(prefix="clicktrace-ca-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    file = Path(directory) / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(file)
    return ca


class GoogleSandbox:
    """One account behind the vendor's wire protocols. A context manager; `directory` receives what a client needs."""

    def __init__(
        self,
        directory: Path,
        *,
        account: str = "1234567890",
        campaigns: Iterable[CampaignSetup] = (),
        currency: str = "USD",
        timezone: str = "UTC",
        behaviour: Behaviour | None = None,
        port: int = 0,
        control_port: int = 0,
        clock: Any = now_ms,
        ca: trustme.CA | None = None,
    ) -> None:
        self.account = AdAccount(
            platform="google",
            account=account,
            currency=currency,
            campaigns=campaigns,
            behaviour=behaviour or Behaviour(),
            clock=clock,
        )
        self.reports = GoogleReports(account=account, currency=currency)
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.issuer = TokenIssuer(directory / "service-account.json")
        self.credentials_file = self.issuer.credentials_file
        self._zone = ZoneInfo(timezone)
        self._ca = ca or trustme.CA()
        self._grpc = grpc.server(ThreadPoolExecutor(max_workers=8))
        routes = control_routes(self.account) | {("POST", "/token"): self.issuer.answer}
        self._control = ControlServer(routes, port=control_port)
        self._wanted_port = port
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"localhost:{self.port}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._control.port}"

    def __enter__(self) -> GoogleSandbox:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(str(self.ca_file))
        self.issuer.write(token_uri=f"{self.control_url}/token")
        self._grpc.add_generic_rpc_handlers(_handlers(self))
        leaf = self._ca.issue_cert("localhost", "127.0.0.1")
        chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
        credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
        self.port = self._grpc.add_secure_port(f"127.0.0.1:{self._wanted_port}", credentials)
        self._grpc.start()
        self._control.start()

    def stop(self) -> None:
        self._grpc.stop(grace=1).wait(3)
        self._control.stop()

    def check(self, context: Any, customer_id: str) -> None:
        """Answer as the service does before it looks at a request.

        Raises:
            Failure: outage, quota, wrong token, wrong customer.
        """
        behaviour = self.account.behaviour
        if behaviour.outage:
            context.abort(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        if not self.issuer.accepts(dict(context.invocation_metadata()).get("authorization", "")):
            raise Failure(
                grpc.StatusCode.UNAUTHENTICATED,
                "authentication_error",
                "OAUTH_TOKEN_INVALID",
                "Request had invalid authentication credentials.",
            )
        if behaviour.quota_errors > 0:
            behaviour.quota_errors -= 1
            raise Failure(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "quota_error",
                "RESOURCE_EXHAUSTED",
                "Too many requests. Retry later.",
                retry_after_s=behaviour.retry_after_s,
            )
        if behaviour.server_errors > 0:
            behaviour.server_errors -= 1
            raise Failure(
                grpc.StatusCode.INTERNAL, "internal_error", "INTERNAL_ERROR", "An internal error has occurred."
            )
        if customer_id != self.account.account:
            raise Failure(
                grpc.StatusCode.PERMISSION_DENIED,
                "authorization_error",
                "USER_PERMISSION_DENIED",
                "User doesn't have permission to access customer.",
            )

    def on_the_wire(self, serialize: Callable[[Any], Any]) -> Callable[[Any], bytes]:
        """The messages as bytes; with `garbage`, as bytes that are no message."""

        def serialized(message: Any) -> bytes:
            content = bytes(serialize(message))
            if self.account.behaviour.garbage > 0:
                self.account.behaviour.garbage -= 1
                return content[: len(content) // 2] + b"\xff\xff"
            return content

        return serialized

    # --- services ------------------------------------------------------------------------------------------------------------

    def rows(self, text: str) -> list[GoogleAdsRow]:
        """The rows that answer a GAQL query.

        Raises:
            Failure: the query is not understood.
        """
        try:
            query = gaql.parse(text)
            lag_s = self.account.behaviour.report_lag_s
            further = self.reports.rows(query, now=self.account.clock(), lag_s=lag_s, zone=self._zone)
            if further is not None:
                return list(further)
            if query.resource == "campaign_label":
                return list(self._label_rows(query))
            if query.resource not in ("campaign", "ad_group"):
                raise ValueError(f"no resource {query.resource} in this sandbox")
            if any(field.startswith("metrics.") for field in query.fields):
                return self._spoilt(list(self._spend_rows(query)))
            return list(self._campaign_rows(query))
        except BrokenRule as rule:
            raise Failure(grpc.StatusCode.INVALID_ARGUMENT, rule.kind, rule.word, "The query breaks a rule.") from None
        except ValueError as error:
            raise Failure(
                grpc.StatusCode.INVALID_ARGUMENT, "query_error", "UNEXPECTED_INPUT", f"Error in query: {error}"
            ) from None

    def _spoilt(self, rows: list[GoogleAdsRow]) -> list[GoogleAdsRow]:
        for row in rows[: self.account.behaviour.malformed_rows]:
            row.segments.date = "soon"
        return rows

    def _wanted(self, query: gaql.Query) -> list[CampaignSetup]:
        hidden = {value.lower() for value in query.values("campaign.status", "!=")}
        only = query.values("campaign.id", "=")
        return [
            campaign
            for campaign in self.account.campaigns()
            if campaign.status not in hidden and (not only or campaign.id in only)
        ]

    def _campaign_rows(self, query: gaql.Query) -> Iterator[GoogleAdsRow]:
        for campaign in self._wanted(query):
            yield GoogleAdsRow(
                campaign={
                    "resource_name": self.resource_name(campaign.id),
                    "id": int(campaign.id),
                    "name": campaign.name,
                    "status": _STATUSES[campaign.status],
                },
                campaign_budget={"amount_micros": campaign.daily_budget_micros},
                customer={"currency_code": self.account.currency},
            )

    def _label_rows(self, query: gaql.Query) -> Iterator[GoogleAdsRow]:
        for campaign in self._wanted(query):
            for label in campaign.labels:
                yield GoogleAdsRow(campaign={"id": int(campaign.id)}, label={"name": label})

    def _spend_rows(self, query: gaql.Query) -> Iterator[GoogleAdsRow]:
        since, until = [*query.values("segments.date", "BETWEEN"), _EPOCH_DAY, _EPOCH_DAY][:2]
        start = parse_rfc3339(datetime.fromisoformat(since).replace(tzinfo=self._zone).isoformat())
        end_day = datetime.fromisoformat(until).replace(hour=23, minute=59, second=59, tzinfo=self._zone)
        wanted = {campaign.id for campaign in self._wanted(query)}
        # The clock may show an hour twice; a report by hour has one row for both.
        by_ad_group = query.resource == "ad_group"
        rows: dict[tuple[str, str, datetime, str], list[int]] = {}
        for report in self.account.reports(start, parse_rfc3339(end_day.isoformat()) + 1000):
            if report.campaign not in wanted or (by_ad_group and not report.ad_group):
                continue
            ad_group = report.ad_group if by_ad_group else ""
            hour = to_datetime(report.hour).astimezone(self._zone).replace(minute=0, tzinfo=None, fold=0)
            sums = rows.setdefault((report.campaign, ad_group, hour, report.device), [0, 0, 0])
            for at, number in enumerate((report.cost_micros, report.clicks, report.impressions)):
                sums[at] += number
        for (campaign, ad_group, hour, device), (cost_micros, clicks, impressions) in rows.items():
            conversions = self.reports.credited(campaign, ad_group, hour, device, zone=self._zone)
            yield GoogleAdsRow(
                campaign={"resource_name": self.resource_name(campaign), "id": int(campaign)},
                ad_group={"id": int(ad_group or 0)},
                segments={"date": hour.date().isoformat(), "hour": hour.hour, "device": device.upper()},
                customer={"currency_code": self.account.currency},
                metrics={
                    "cost_micros": cost_micros,
                    "clicks": clicks,
                    "impressions": impressions,
                    "conversions": conversions,
                },
            )

    def mutate(self, request: MutateCampaignsRequest) -> MutateCampaignsResponse:
        """Set campaign statuses; any other change is not permitted here.

        Raises:
            Failure: unknown campaign, or another field than the status.
        """
        response = MutateCampaignsResponse()
        for operation in request.operations:
            campaign = self.account.campaign(operation.update.resource_name.rpartition("/")[2])
            if campaign is None or operation.update.resource_name != self.resource_name(campaign.id):
                raise Failure(
                    grpc.StatusCode.NOT_FOUND, "mutate_error", "RESOURCE_NOT_FOUND", "Resource was not found."
                )
            if list(operation.update_mask.paths) != ["status"]:
                raise Failure(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "authorization_error",
                    "ACTION_NOT_PERMITTED",
                    "This sandbox changes campaign status only.",
                )
            word = operation.update.status.name.lower()
            if word not in ("enabled", "paused"):
                raise Failure(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "campaign_error",
                    "CANNOT_MODIFY_FOR_REMOVED_CAMPAIGN",
                    f"Status {word} is not accepted.",
                )
            if not request.validate_only:
                self.account.set_status(campaign.id, word)
            response.results.append(MutateCampaignResult(resource_name=operation.update.resource_name))
        return response

    def resource_name(self, identifier: str) -> str:
        return f"customers/{self.account.account}/campaigns/{identifier}"


def _handlers(sandbox: GoogleSandbox) -> tuple[grpc.GenericRpcHandler, ...]:
    """The methods under the names of the vendor's service definitions."""

    def search_stream(request: SearchGoogleAdsStreamRequest, context: Any) -> Iterator[SearchGoogleAdsStreamResponse]:
        with _failures(context):
            sandbox.check(context, request.customer_id)
            rows = sandbox.rows(request.query)
        size = sandbox.account.behaviour.page_size
        for start in range(0, len(rows), size):
            yield SearchGoogleAdsStreamResponse(results=rows[start : start + size], request_id="sandbox")

    def search(request: SearchGoogleAdsRequest, context: Any) -> SearchGoogleAdsResponse:
        with _failures(context):
            sandbox.check(context, request.customer_id)
            rows = sandbox.rows(request.query)
        size, start = sandbox.account.behaviour.page_size, int(request.page_token or 0)
        more = str(start + size) if start + size < len(rows) else ""
        return SearchGoogleAdsResponse(
            results=rows[start : start + size], next_page_token=more, total_results_count=len(rows)
        )

    def mutate(request: MutateCampaignsRequest, context: Any) -> MutateCampaignsResponse:
        with _failures(context):
            sandbox.check(context, request.customer_id)
            return sandbox.mutate(request)
        raise AssertionError("the context was aborted")

    service = "google.ads.googleads.v26.services"
    return (
        grpc.method_handlers_generic_handler(
            f"{service}.GoogleAdsService",
            {
                "SearchStream": grpc.unary_stream_rpc_method_handler(
                    search_stream,
                    request_deserializer=SearchGoogleAdsStreamRequest.deserialize,
                    response_serializer=sandbox.on_the_wire(SearchGoogleAdsStreamResponse.serialize),
                ),
                "Search": grpc.unary_unary_rpc_method_handler(
                    search,
                    request_deserializer=SearchGoogleAdsRequest.deserialize,
                    response_serializer=sandbox.on_the_wire(SearchGoogleAdsResponse.serialize),
                ),
            },
        ),
        grpc.method_handlers_generic_handler(
            f"{service}.CampaignService",
            {
                "MutateCampaigns": grpc.unary_unary_rpc_method_handler(
                    mutate,
                    request_deserializer=MutateCampaignsRequest.deserialize,
                    response_serializer=MutateCampaignsResponse.serialize,
                )
            },
        ),
    )


class _failures:
    """Turns a Failure into the service's own form: the code, and a GoogleAdsFailure in the trailing metadata."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Failure):
            failure = GoogleAdsFailure(errors=[error.error], request_id="sandbox")
            self._context.set_trailing_metadata(
                ((FAILURE_KEY, GoogleAdsFailure.serialize(failure)), ("request-id", "sandbox"))
            )
            self._context.abort(error.code, str(error))


def main() -> None:
    """Run until SIGTERM; `ready.json` in the directory says where."""
    arguments = sandbox_process.arguments(__doc__ or "")
    sandbox = GoogleSandbox(
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
                "platform": "google",
                "account": arguments.account,
                "endpoint": sandbox.endpoint,
                "control": sandbox.control_url,
                "credentials_file": str(sandbox.credentials_file),
                "ca_file": str(sandbox.ca_file),
            },
        )


if __name__ == "__main__":
    main()
