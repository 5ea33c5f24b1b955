"""HTTP to outside parties: time-outs always, retries with jitter inside a deadline, errors of `core.errors` only, no secrets in them."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final

import httpx

from core.clock import Clock, now_ms
from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.retry import RetryPolicy, call
from core.version import VERSION

CONNECT_TIMEOUT_S: Final = 5.0
#: Statuses after which the same request may succeed (RFC 9110; 425 RFC 8470).
RETRYABLE_STATUSES: Final = frozenset({408, 425, 500, 502, 503, 504})

#: Anything shorter is part of ordinary words, too.
SHORTEST_CREDENTIAL: Final = 8
_OF_THE_BODY: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_SECRETS: Final = re.compile(
    r"(?i)((?:access_token|refresh_token|client_secret|api_key|apikey|token|secret|password|signature)"
    r"[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+|(bearer\s+)[\w.~+/=-]+"
)

#: Given an answer that is not a success, the error it stands for, or None for the general rule.
Classify = Callable[[httpx.Response], SourceError | None]


@cache
def trust() -> ssl.SSLContext:
    """The authorities we trust, read once: reading them costs 25 ms, and every source has a client of its own."""
    return httpx.create_ssl_context()


def redact(text: str) -> str:
    """The text with whatever looks like a credential masked."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}***", text)


class _Until(httpx.SyncByteStream):
    """A body that is read until a moment of the monotonic clock, whether it has ended or not."""

    def __init__(self, body: httpx.SyncByteStream, *, ends: float) -> None:
        self._body = body
        self._ends = ends

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            if time.monotonic() > self._ends:
                raise httpx.ReadTimeout("the answer did not end in time")
            yield chunk

    def close(self) -> None:
        self._body.close()


def answer_within(client: httpx.Client, request: httpx.Request, *, left_s: float) -> httpx.Response:
    """The whole answer. The library's time-out holds for each read by itself, so it never ends an answer that comes byte by byte.

    Raises:
        httpx.HTTPError: among them a time-out, no later than twice `left_s`.
    """
    ends = time.monotonic() + left_s
    request.extensions["timeout"] = httpx.Timeout(left_s, connect=min(CONNECT_TIMEOUT_S, left_s)).as_dict()
    response = client.send(request, stream=True)
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Until(response.stream, ends=ends)
    try:
        response.read()
    finally:
        response.close()
    return response


class HttpClient:
    """A client for one outside party. May be used from several threads.

    Args:
        source: the party's name in errors and logs.
        base_url: every path is below it.
        headers: sent with every request; credentials belong here, never into a URL, which proxies and logs keep.
        policy: how often a request is tried again.
        classify: the party's own error format, asked before the general rule.
        transport: another one than the network, for tests.
    """

    def __init__(
        self,
        source: str,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        policy: RetryPolicy | None = None,
        classify: Classify | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = now_ms,
    ) -> None:
        self._source = source
        self._policy = policy or RetryPolicy()
        self._classify = classify
        self._clock = clock
        self._client = httpx.Client(
            base_url=base_url,
            verify=trust(),
            headers={"User-Agent": f"clicktrace/{VERSION}", **(headers or {})},
            transport=transport,
            follow_redirects=False,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> httpx.Response:
        """One request with its retries; answers 2xx responses, and 304 where the headers made the request conditional.

        Args:
            deadline_s: everything, retries and waits included, ends by then.
            repeatable: False when a second delivery would do harm; then only a refused connection is tried again.

        Raises:
            Transient: time-out, connection error, 408, 425 or 5xx, after the last attempt.
            QuotaExceeded: 429.
            Permanent: every other status.
        """

        def attempt(left_s: float) -> httpx.Response:
            try:
                request = self._client.build_request(method, path, params=params, data=data, json=json, headers=headers)
                response = answer_within(self._client, request, left_s=left_s)
            except httpx.ConnectError as error:
                raise self._unreachable(error) from None
            except httpx.TransportError as error:
                raise self._broken(error, repeatable=repeatable) from None
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                raise Permanent(self._source, f"{method} {path}: {type(error).__name__}") from None
            if response.is_success or (response.status_code == 304 and _conditional(headers)):
                return response
            error_found = self.error_of(response)
            if error_found.retryable and not repeatable:
                raise Permanent(self._source, error_found.detail)
            raise error_found

        return call(attempt, policy=self._policy, deadline_s=deadline_s)

    def error_of(self, response: httpx.Response) -> SourceError:
        """The error that an answer stands for."""
        response = _without_credential(response)
        own = self._classify(response) if self._classify else None
        if own is not None:
            return own
        detail = f"{response.request.method} {response.request.url.path}: {response.status_code} {redact(response.text[:200])}"
        if response.status_code == 429:
            return QuotaExceeded(self._source, detail, retry_after_s=retry_after_s(response, now=self._clock()))
        if response.status_code in RETRYABLE_STATUSES:
            return Transient(self._source, detail)
        return Permanent(self._source, detail)

    def close(self) -> None:
        self._client.close()

    def _unreachable(self, error: httpx.ConnectError) -> SourceError:
        found = Transient(self._source, f"cannot connect: {redact(str(error))}")
        found.unsent = True
        return found

    def _broken(self, error: httpx.TransportError, *, repeatable: bool) -> SourceError:
        kind = Transient if repeatable else Permanent
        word = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
        return kind(self._source, f"the connection failed: {word}")


def _without_credential(response: httpx.Response) -> httpx.Response:
    """The answer without what we signed in with, should it quote that: its words end in logs, in the journal and in messages."""
    credential = response.request.headers.get("authorization", "").rpartition(" ")[2].encode()
    if len(credential) < SHORTEST_CREDENTIAL or credential not in response.content:
        return response
    told = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
    content = response.content.replace(credential, b"***")
    return httpx.Response(response.status_code, headers=told, content=content, request=response.request)


def _conditional(headers: Mapping[str, str] | None) -> bool:
    return any(name.lower() == "if-none-match" for name in headers or ())


def retry_after_s(response: httpx.Response, *, now: int) -> float | None:
    """Retry-After in seconds, given as seconds or as a date; None when absent or nonsense."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now / 1000)
    except (ValueError, TypeError):
        return None
