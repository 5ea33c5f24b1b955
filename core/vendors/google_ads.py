"""One Google Ads account through the official client (API v26): spend by hour, campaign states, pausing.

Credentials are a service-account file; its `token_uri` is where tokens come from. Needed access: the OAuth scope below and, on the
account, "Standard" for pausing or "Read only" for reading. Quota: every search or mutate call is one operation of the project's day.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import google.auth.exceptions
import grpc
from google.ads.googleads.client import GoogleAdsClient
from google.ads.googleads.errors import GoogleAdsException
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from google.protobuf.field_mask_pb2 import FieldMask

from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.identity import qualified, split_qualified
from core.vendors.base import CampaignState, DeliveryStatus, SpendRow
from core.vendors.config import AccountConfig
from core.zones import hour_bucket, local_day

VERSION: Final = "v26"
SCOPE: Final = "https://www.googleapis.com/auth/adwords"
#: A token call may take this long; it is made at most once an hour.
TOKEN_TIMEOUT_S: Final = 10.0

SPEND_QUERY: Final = """
SELECT campaign.id, segments.date, segments.hour, segments.device, customer.currency_code,
       metrics.cost_micros, metrics.clicks, metrics.impressions, metrics.conversions
FROM campaign
WHERE segments.date BETWEEN '{since}' AND '{until}'"""

CAMPAIGN_QUERY: Final = """
SELECT campaign.id, campaign.name, campaign.status, campaign_budget.amount_micros, customer.currency_code
FROM campaign
WHERE campaign.status != 'REMOVED'{only}"""

LABEL_QUERY: Final = """
SELECT campaign.id, label.name
FROM campaign_label
WHERE campaign.status != 'REMOVED'{only}"""

#: gRPC codes after which the same call may succeed. https://developers.google.com/google-ads/api/docs/best-practices/understand-api-errors
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)
_FAILURE_KEY: Final = f"google.ads.googleads.{VERSION}.errors.googleadsfailure-bin"
#: Fields of the error code's oneof that say "try again" whatever the gRPC code.
_RETRYABLE_ERRORS: Final = frozenset({"internal_error", "database_error"})


class GoogleAdsAccount:
    """`core.vendors.base.AdPlatform` for Google Ads. May be used from several threads."""

    platform = "google"

    def __init__(self, config: AccountConfig) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.account = config.account
        self._config = config
        self._zone = ZoneInfo(config.timezone)
        self._source = f"google_ads:{config.account}"
        self._token_is_new = True

    # --- reading -------------------------------------------------------------------------------------------------------------

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        return self._campaigns(only="", deadline_s=deadline_s)

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform.

        Raises:
            Permanent: the campaign is removed or not of this account.
        """
        found = self._campaigns(only=f" AND campaign.id = {self._own_id(campaign)}", deadline_s=deadline_s)
        if not found:
            raise Permanent(self._source, f"campaign {campaign} is removed or not of this account")
        return found[0]

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> list[SpendRow]:
        """Cost by campaign, device and hour for the days that touch [since, until) in the account's time zone."""
        query = SPEND_QUERY.format(since=self._day(since_ms), until=self._day(max(since_ms, until_ms - 1)))
        rows = self._search(query, deadline_s=deadline_s)
        return [self._spend_row(row) for row in rows]

    def _campaigns(self, *, only: str, deadline_s: float) -> list[CampaignState]:
        ends = time.monotonic() + deadline_s
        labels: dict[int, list[str]] = {}
        for row in self._search(LABEL_QUERY.format(only=only), deadline_s=deadline_s):
            labels.setdefault(row.campaign.id, []).append(row.label.name)
        rows = self._search(CAMPAIGN_QUERY.format(only=only), deadline_s=max(0.1, ends - time.monotonic()))
        return [self._state(row, labels.get(row.campaign.id, [])) for row in rows]

    def _state(self, row: Any, labels: list[str]) -> CampaignState:
        return CampaignState(
            campaign=self._qualified(row.campaign.id),
            name=row.campaign.name,
            status=_status(self._client.enums.CampaignStatusEnum.CampaignStatus.Name(row.campaign.status)),
            currency=row.customer.currency_code,
            daily_budget_micros=row.campaign_budget.amount_micros,
            labels=tuple(sorted(labels)),
        )

    def _spend_row(self, row: Any) -> SpendRow:
        hour = hour_bucket(date.fromisoformat(row.segments.date), row.segments.hour, zone=self._zone)
        return SpendRow(
            campaign=self._qualified(row.campaign.id),
            bucket_ms=hour.start,
            bucket_s=hour.length_s,
            cost_micros=row.metrics.cost_micros,
            currency=row.customer.currency_code,
            clicks=row.metrics.clicks,
            impressions=row.metrics.impressions,
            device=_device(self._client.enums.DeviceEnum.Device.Name(row.segments.device)),
            platform_conversions=row.metrics.conversions,
        )

    # --- writing -------------------------------------------------------------------------------------------------------------

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it. Repeating it is harmless."""
        service = self._service("CampaignService")
        operation = self._client.get_type("CampaignOperation")
        operation.update.resource_name = service.campaign_path(self.account, self._own_id(campaign))
        operation.update.status = self._client.enums.CampaignStatusEnum.CampaignStatus.Value(status.upper())
        operation.update_mask.CopyFrom(FieldMask(paths=["status"]))
        request = self._client.get_type("MutateCampaignsRequest")
        request.customer_id = self.account
        request.operations.append(operation)
        with self._errors():
            self._authenticate()
            service.mutate_campaigns(request=request, timeout=deadline_s, retry=None)

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        for service in self._services.values():
            service.transport.close()
        self._services.clear()

    # --- the wire ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _services(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _credentials(self) -> Any:
        path = Path(self._config.credentials_file)
        try:
            factory: Any = Credentials.from_service_account_file  # the library has no type information here
            return factory(str(path), scopes=[SCOPE])
        except (OSError, ValueError, google.auth.exceptions.GoogleAuthError) as error:
            # The error's own text may quote the file's content; the kind of error is enough to mend it.
            raise Permanent(self._source, f"credentials_file {path} cannot be read: {type(error).__name__}") from None

    @cached_property
    def _client(self) -> Any:
        return GoogleAdsClient(
            credentials=self._credentials,
            endpoint=self._config.endpoint or None,
            login_customer_id=self._config.login_account or None,
            version=VERSION,
        )

    def _service(self, name: str) -> Any:
        if name not in self._services:
            self._services[name] = self._client.get_service(name)
        return self._services[name]

    def _search(self, query: str, *, deadline_s: float) -> list[Any]:
        with self._errors():
            self._authenticate()
            stream = self._service("GoogleAdsService").search_stream(
                customer_id=self.account, query=query, timeout=deadline_s, retry=None
            )
            return [row for batch in stream for row in batch.results]

    def _authenticate(self) -> None:
        """Fetch a token here, not inside gRPC, which would report refused credentials as UNAVAILABLE."""
        self._token_is_new = not self._credentials.valid
        if not self._token_is_new:
            return
        self._credentials.refresh(_with_timeout(Request(), TOKEN_TIMEOUT_S))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SourceError:
            raise
        except google.auth.exceptions.GoogleAuthError as error:
            raise self._from_auth(error) from None
        except GoogleAdsException as error:
            raise self._from_failure(error.failure, error.error.code()) from None
        except (GoogleAPICallError, RetryError, grpc.RpcError) as error:
            raise self._from_grpc(error) from None

    def _from_auth(self, error: google.auth.exceptions.GoogleAuthError) -> SourceError:
        if isinstance(error, google.auth.exceptions.TransportError) or getattr(error, "retryable", False):
            return Transient(self._source, "the token endpoint does not answer")
        # The answer of a token endpoint may quote the assertion, so only its first argument's kind is told.
        return Permanent(self._source, "the credentials were refused: check the service account and its access")

    def _from_grpc(self, error: Any) -> SourceError:
        call = getattr(error, "response", None) or error
        code = call.code() if hasattr(call, "code") else None
        trailing = call.trailing_metadata() if hasattr(call, "trailing_metadata") else None
        for key, value in trailing or ():
            if key == _FAILURE_KEY:
                errors = importlib.import_module(f"google.ads.googleads.{VERSION}.errors.types.errors")
                return self._from_failure(errors.GoogleAdsFailure.deserialize(value), code)
        name = code.name if code is not None else type(error).__name__
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return QuotaExceeded(self._source, "quota exceeded")
        kind = Transient if code is None or code in _RETRYABLE else Permanent
        return kind(self._source, f"gRPC {name}")

    def _from_failure(self, failure: Any, code: Any) -> SourceError:
        """Google's own account of what went wrong decides before the gRPC code does."""
        first = failure.errors[0]
        message = type(first).pb(first) if hasattr(type(first), "pb") else first
        kind = message.error_code.WhichOneof("error_code") or "unknown_error"
        field = message.error_code.DESCRIPTOR.fields_by_name.get(kind)
        number = getattr(message.error_code, kind, 0)
        word = field.enum_type.values_by_number[number].name if field is not None else "UNKNOWN"
        detail = f"{word}: {message.message}"
        if kind == "quota_error" and word != "ACCESS_PROHIBITED":
            delay = message.details.quota_error_details.retry_delay.ToTimedelta().total_seconds()
            return QuotaExceeded(self._source, detail, retry_after_s=delay or None)
        if kind == "authentication_error" and not self._token_is_new:
            # A token may be revoked before it expires: the next attempt fetches another, and only then is it the credentials.
            self._credentials.token = None
            return Transient(self._source, detail)
        if kind in _RETRYABLE_ERRORS or code in _RETRYABLE:
            return Transient(self._source, detail)
        return Permanent(self._source, detail)

    # --- names ---------------------------------------------------------------------------------------------------------------

    def _qualified(self, identifier: int) -> str:
        return qualified(self.platform, self.account, str(identifier))

    def _own_id(self, campaign: str) -> str:
        """The numeric ID of a qualified campaign of this very account.

        Raises:
            Permanent: anything else; an action must never reach another account's campaign.
        """
        try:
            platform, account, identifier = split_qualified(campaign)
        except ValueError as error:
            raise Permanent(self._source, str(error)) from None
        if (platform, account) != (self.platform, self.account) or not identifier.isdigit():
            raise Permanent(self._source, f"campaign {campaign} is not of account {self.account}")
        return identifier

    def _day(self, ms: int) -> str:
        return local_day(ms, zone=self._zone).isoformat()


def _with_timeout(request: Request, timeout_s: float) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return request(*args, **{**kwargs, "timeout": timeout_s})

    return call


def _status(name: str) -> DeliveryStatus:
    known: dict[str, DeliveryStatus] = {"ENABLED": "enabled", "PAUSED": "paused", "REMOVED": "removed"}
    return known.get(name, "unknown")


def _device(name: str) -> str:
    lowered = name.lower()
    return lowered if lowered in ("mobile", "desktop", "tablet") else "other"
