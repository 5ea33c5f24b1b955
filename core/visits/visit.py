"""One visit of a page, hop by hop, each connection to an address that the guard checked.

Nothing of the environment is used (no proxy, no .netrc), no cookie is kept, no script runs, no more than `max_body_bytes` of the page is
read, and one deadline holds for all of it. `User-Agent` says who we are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

import httpx
import msgspec

from core.destinations import Destination
from core.version import VERSION
from core.visits.guard import Guard, HopRefused, Target, next_url

#: What can end a visit before its last answer.
Failure = Literal["unreachable", "timed_out", "too_many_hops", "certificate_invalid", "unsafe_hop"]

USER_AGENT: Final = f"Mozilla/5.0 (compatible; clicktrace-watch/{VERSION})"
MAX_BODY_BYTES: Final = 65_536
BODY_S: Final = 2.0
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_TRIED_ADDRESSES: Final = 2
_HEADERS: Final = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    # A compressed page could unfold to any size, and what we look for mostly stands at its beginning.
    "Accept-Encoding": "identity",
    "Connection": "close",
}
#: More headers for one hop, such as the mark that keeps visits of our own redirect out of the counts.
HeadersFor = Callable[[Destination], Mapping[str, str]]
#: Told what came of a page so far: True = nothing more of it is needed.
Enough = Callable[[bytes], bool]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What one visit saw. Times in ms; 0 and "" = not known."""

    url: str
    statuses: tuple[int, ...] = ()  # one per hop, the last answer's at the end
    final_url: str = ""
    ttfb_ms: int = 0  # from the first request to the first byte of the last answer, redirects included
    certificate_expires: int = 0  # the earliest on the way
    https_left: bool = False
    body: bytes = b""  # the beginning of the last page, as it came
    content_type: str = ""
    content_encoding: str = ""  # only of a server that compresses unasked
    failure: Failure | Literal[""] = ""
    detail: str = ""

    @property
    def http_status(self) -> int:
        return self.statuses[-1] if self.statuses else 0


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one hop."""

    status: int
    location: str
    certificate_expires: int
    body: bytes
    content_type: str
    content_encoding: str
    at: float  # monotonic seconds of its first byte


class _Stopped(Exception):
    """The way ends here."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail


class PageVisitor:
    """Visits pages.

    Args:
        timeout_s: for one visit with all its hops.
        tls: trusted roots; None = the system's.
        body_s: what of a page did not come within this time after its headers is not waited for.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        timeout_s: float,
        max_hops: int,
        tls: ssl.SSLContext | None = None,
        headers_for: HeadersFor = lambda _destination: {},
        max_body_bytes: int = MAX_BODY_BYTES,
        body_s: float = BODY_S,
    ) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._max_hops = max_hops
        # Once for all: reading the roots costs 20 ms.
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._headers_for = headers_for
        self._max_body_bytes = max_body_bytes
        self._body_s = body_s

    async def visit(self, url: str, *, enough: Enough = lambda _body: False) -> Visit:
        """Go to a URL and follow its redirects."""
        way = _Way(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._walk(way, enough)
        except TimeoutError:
            return way.seen(failure="timed_out", detail=f"No answer within {self._timeout_s:g} s.")
        except HopRefused as error:
            word: Failure = "unreachable" if error.reason == "hop_unresolved" else "unsafe_hop"
            return way.seen(failure=word, detail=f"{error.detail} ({error.reason}).")
        except _Stopped as stop:
            return way.seen(failure=stop.failure, detail=stop.detail)
        return way.seen()

    async def _walk(self, way: _Way, enough: Enough) -> None:
        while True:
            page = await self._hop(await self._guard.admit(way.here), enough)
            way.note(page)
            if page.status not in _REDIRECTS or not page.location:
                return
            if len(way.statuses) > self._max_hops:
                raise _Stopped(
                    "too_many_hops", f"More than {self._max_hops} redirects; the last leads to {page.location[:200]}."
                )
            way.go(next_url(way.here, page.location))

    async def _hop(self, target: Target, enough: Enough) -> _Page:
        """One request, at the first of the checked addresses that takes a connection."""
        addresses = target.addresses[:_TRIED_ADDRESSES]
        for address in addresses:
            try:
                return await self._get(target, address, enough)
            except httpx.ConnectError as error:
                if _is_certificate_error(error):
                    host = target.destination.host
                    raise _Stopped("certificate_invalid", f"The certificate of {host} is refused: {error}") from None
                if address == addresses[-1]:
                    raise _Stopped("unreachable", f"{target.destination.authority}: {error}.") from None
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                word: Failure = "timed_out" if isinstance(error, httpx.TimeoutException) else "unreachable"
                raise _Stopped(word, f"{target.destination.authority}: {type(error).__name__} {error}.") from None
        raise AssertionError("the guard admits no target without an address")

    async def _get(self, target: Target, address: str, enough: Enough) -> _Page:
        destination = target.destination
        headers = {**_HEADERS, "Host": destination.authority, **self._headers_for(destination)}
        request = httpx.Request(
            "GET",
            target.url_at(address),
            headers=headers,
            extensions={
                "sni_hostname": destination.host.strip("[]"),
                "timeout": httpx.Timeout(self._timeout_s).as_dict(),
            },
        )
        # A transport for each hop: connections are not shared, so one host's TLS session never serves another host at its address.
        # And not a client: that would look into Location by itself.
        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                return _Page(
                    status=response.status_code,
                    location=response.headers.get("location", ""),
                    certificate_expires=_certificate_expires(response),
                    at=time.monotonic(),
                    content_type=response.headers.get("content-type", ""),
                    content_encoding=response.headers.get("content-encoding", ""),
                    body=await _beginning(response, enough, max_bytes=self._max_body_bytes, seconds=self._body_s),
                )
            finally:
                await response.aclose()


class _Way:
    """Where a visit has come so far."""

    def __init__(self, url: str) -> None:
        self.statuses: list[int] = []
        self.here = url.partition("#")[0]
        self._url = url
        self._started = time.monotonic()
        self._ttfb_ms = 0
        self._expires: list[int] = []
        self._https_left = False
        self._page: _Page | None = None

    def go(self, url: str) -> None:
        self.here = url
        self._https_left = self._https_left or (self._url.startswith("https:") and url.startswith("http:"))

    def note(self, page: _Page) -> None:
        self.statuses.append(page.status)
        self._ttfb_ms = round((page.at - self._started) * 1000)
        self._page = page
        if page.certificate_expires:
            self._expires.append(page.certificate_expires)

    def seen(self, *, failure: Failure | Literal[""] = "", detail: str = "") -> Visit:
        return Visit(
            url=self._url,
            statuses=tuple(self.statuses),
            final_url=self.here if self.statuses else "",
            ttfb_ms=self._ttfb_ms,
            certificate_expires=min(self._expires, default=0),
            https_left=self._https_left,
            body=self._page.body if self._page else b"",
            content_type=self._page.content_type if self._page else "",
            content_encoding=self._page.content_encoding if self._page else "",
            failure=failure,
            detail=detail,
        )


async def _beginning(response: httpx.Response, enough: Enough, *, max_bytes: int, seconds: float) -> bytes:
    """At most `max_bytes` of a page; what breaks or stalls after its headers is none of our business."""
    body = bytearray()
    if response.status_code in _REDIRECTS:
        return b""
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(seconds):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= max_bytes or enough(bytes(body)):
                    break
    return bytes(body[:max_bytes])


def _certificate_expires(response: httpx.Response) -> int:
    """When the server's certificate ends, in ms; 0 without TLS."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = tls.getpeercert() if tls is not None else None
    return int(ssl.cert_time_to_seconds(certificate["notAfter"]) * 1000) if certificate else 0


def _is_certificate_error(error: BaseException) -> bool:
    """Whether a connection failed because the certificate was refused; httpx keeps the reason further down."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
