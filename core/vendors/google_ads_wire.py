"""The Google Ads API (v26) over the official client: one account's searches and mutations, its errors as `core.errors`, its quota.

Shapes by the client package's own types and the vendor's pages "Understand API errors", "API limits and quotas" and "Access levels and
permissible use" (developers.google.com/google-ads/api, read Nov 2026). One search or mutate call is one operation of the Cloud
project's day, however many pages it streams.
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import google.auth.exceptions
import grpc
from google.ads.googleads.client import GoogleAdsClient
from google.ads.googleads.errors import GoogleAdsException
from google.api_core.exceptions import GoogleAPICallError, RetryError

from core.clock import DAY_MS, Clock, now_ms
from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.vendors.config import AccountConfig
from core.vendors.google_sign_in import ServiceAccount

VERSION: Final = "v26"
SCOPE: Final = "https://www.googleapis.com/auth/adwords"

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


class GoogleAdsWire:
    """Calls of one account. May be used from several threads; nothing is read or called before the first call."""

    def __init__(self, config: AccountConfig, *, source: str, clock: Clock = now_ms) -> None:
        self.source = source
        self._config = config
        self._clock = clock
        self._sign_in = ServiceAccount(source, config.credentials_file, scope=SCOPE)
        self._client_of: tuple[Any, Any] | None = None
        self._services: dict[str, Any] = {}
        self._operations: deque[int] = deque()
        self._lock = threading.Lock()

    def client(self, *, deadline_s: float) -> Any:
        """The library's client with valid credentials; a new one after the credentials' file changed.

        Raises:
            Permanent, Transient: as `core.vendors.google_sign_in`.
        """
        credentials = self._sign_in.credentials(timeout_s=deadline_s)
        with self._lock:
            if self._client_of is None or self._client_of[0] is not credentials:
                # Not closed: another thread may be in the middle of an answer. The old channels go with their last user.
                self._services.clear()
                self._client_of = (credentials, self._new_client(credentials))
            return self._client_of[1]

    def service(self, name: str, *, deadline_s: float) -> Any:
        client = self.client(deadline_s=deadline_s)
        with self._lock:
            if name not in self._services:
                self._services[name] = client.get_service(name)
            return self._services[name]

    def search(self, query: str, *, deadline_s: float) -> list[Any]:
        """All rows that answer a GAQL query; one operation.

        Raises:
            QuotaExceeded, Transient, Permanent: the service's answer; the time-out is `deadline_s` for all pages together.
        """
        with self.errors():
            service = self.service("GoogleAdsService", deadline_s=deadline_s)
            self.count_operation()
            stream = service.search_stream(
                customer_id=self._config.account, query=query, timeout=deadline_s, retry=None
            )
            return [row for batch in stream for row in batch.results]

    def count_operation(self) -> None:
        with self._lock:
            self._operations.append(self._clock())

    def operations_of_the_day(self) -> int:
        """How many operations this process made in the last 24 hours. The service itself does not tell how many are left."""
        with self._lock:
            while self._operations and self._operations[0] < self._clock() - DAY_MS:
                self._operations.popleft()
            return len(self._operations)

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        with self._lock:
            for service in self._services.values():
                service.transport.close()
            self._services.clear()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the library raises becomes a `core.errors.SourceError`."""
        try:
            yield
        except SourceError:
            raise
        except google.auth.exceptions.GoogleAuthError as error:
            raise self._sign_in.error_of(error) from None
        except GoogleAdsException as error:
            raise self._from_failure(error.failure, error.error.code()) from None
        except (GoogleAPICallError, RetryError, grpc.RpcError) as error:
            raise self._from_grpc(error) from None

    def _new_client(self, credentials: Any) -> Any:
        return GoogleAdsClient(
            credentials=credentials,
            endpoint=self._config.endpoint or None,
            login_customer_id=self._config.login_account or None,
            version=VERSION,
        )

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
            return QuotaExceeded(self.source, "quota exceeded")
        kind = Transient if code is None or code in _RETRYABLE else Permanent
        return kind(self.source, f"gRPC {name}")

    def _from_failure(self, failure: Any, code: Any) -> SourceError:
        """Google's own account of what went wrong decides before the gRPC code does."""
        if not failure.errors:
            return Transient(self.source, f"a failure without a reason, gRPC {code}")
        first = failure.errors[0]
        message = type(first).pb(first) if hasattr(type(first), "pb") else first
        kind = message.error_code.WhichOneof("error_code") or "unknown_error"
        field = message.error_code.DESCRIPTOR.fields_by_name.get(kind)
        number = getattr(message.error_code, kind, 0)
        known = field.enum_type.values_by_number.get(number) if field is not None else None
        word = known.name if known is not None else "UNKNOWN"
        detail = f"{word}: {message.message}"
        if kind == "quota_error" and word != "ACCESS_PROHIBITED":
            delay = message.details.quota_error_details.retry_delay.ToTimedelta().total_seconds()
            return QuotaExceeded(self.source, detail, retry_after_s=delay or None)
        if kind == "authentication_error":
            return self._sign_in.refused(detail)
        if kind in _RETRYABLE_ERRORS or code in _RETRYABLE:
            return Transient(self.source, detail)
        return Permanent(self.source, detail)
