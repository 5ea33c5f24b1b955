"""One look at a destination, as a visitor who clicked: hop by hop, each connection to an address that the guard checked.

Nothing of the environment is used (no proxy, no .netrc), no cookie is kept, no script runs, no more than `MAX_BODY_BYTES` of the page is
read, and one deadline holds for all of it. `User-Agent` says who we are.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import msgspec

from core.version import VERSION
from redirect.destinations import Destination
from redirect.watch.check import Observation, Word
from redirect.watch.guard import Guard, HopRefused, Target, next_url

USER_AGENT: Final = f"Mozilla/5.0 (compatible; clicktrace-watch/{VERSION})"
CLICK_PARAMETER: Final = "ct_click"
MAX_BODY_BYTES: Final = 65_536
MAX_TITLE: Final = 200
_BODY_S: Final = 2.0
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_TRIED_ADDRESSES: Final = 2
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_HEADERS: Final = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    # A compressed page could unfold to any size; the title is at its beginning.
    "Accept-Encoding": "identity",
    "Connection": "close",
}
#: More headers for one hop, such as the mark that keeps visits of our own redirect out of the counts.
HeadersFor = Callable[[Destination], Mapping[str, str]]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one hop."""

    status: int
    location: str
    certificate_expires: int
    body: bytes
    at: float  # monotonic seconds of its first byte


class _Stopped(Exception):
    """The way ends here, with a finding."""

    def __init__(self, word: Word, detail: str) -> None:
        self.word = word
        self.detail = detail


class Visitor:
    """Looks at destinations.

    Args:
        timeout_s: for one look with all its hops.
        tls: trusted roots; None = the system's.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        timeout_s: float,
        max_hops: int,
        tls: ssl.SSLContext | None = None,
        headers_for: HeadersFor = lambda _destination: {},
    ) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._max_hops = max_hops
        # Once for all: reading the roots costs 20 ms.
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._headers_for = headers_for

    async def look(self, url: str, *, click_id: str) -> Observation:
        """Visit a destination as a click with this ID would."""
        way = _Way(url, click_id)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._walk(way)
        except TimeoutError:
            return way.observed(failure="timed_out", detail=f"No answer within {self._timeout_s:g} s.")
        except HopRefused as error:
            word: Word = "unreachable" if error.reason == "hop_unresolved" else "unsafe_hop"
            return way.observed(failure=word, detail=f"{error.detail} ({error.reason}).")
        except _Stopped as stop:
            return way.observed(failure=stop.word, detail=stop.detail)
        return way.observed()

    async def _walk(self, way: _Way) -> None:
        while True:
            page = await self._hop(await self._guard.admit(way.here))
            way.note(page)
            if page.status not in _REDIRECTS or not page.location:
                return
            if len(way.statuses) > self._max_hops:
                raise _Stopped(
                    "too_many_hops", f"More than {self._max_hops} redirects; the last leads to {page.location[:200]}."
                )
            way.go(next_url(way.here, page.location))

    async def _hop(self, target: Target) -> _Page:
        """One request, at the first of the checked addresses that takes a connection."""
        addresses = target.addresses[:_TRIED_ADDRESSES]
        for address in addresses:
            try:
                return await self._get(target, address)
            except httpx.ConnectError as error:
                if _is_certificate_error(error):
                    host = target.destination.host
                    raise _Stopped("certificate_invalid", f"The certificate of {host} is refused: {error}") from None
                if address == addresses[-1]:
                    raise _Stopped("unreachable", f"{target.destination.authority}: {error}.") from None
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                word: Word = "timed_out" if isinstance(error, httpx.TimeoutException) else "unreachable"
                raise _Stopped(word, f"{target.destination.authority}: {type(error).__name__} {error}.") from None
        raise AssertionError("the guard admits no target without an address")

    async def _get(self, target: Target, address: str) -> _Page:
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
                    body=await _beginning(response),
                )
            finally:
                await response.aclose()


class _Way:
    """Where a look has come so far."""

    def __init__(self, url: str, click_id: str) -> None:
        self.statuses: list[int] = []
        self.here = with_click(url, click_id)
        self._url = url
        self._click_id = click_id
        self._started = time.monotonic()
        self._ttfb_ms = 0
        self._expires: list[int] = []
        self._https_left = False
        self._title = ""

    def go(self, url: str) -> None:
        self.here = url
        self._https_left = self._https_left or (self._url.startswith("https:") and url.startswith("http:"))

    def note(self, page: _Page) -> None:
        self.statuses.append(page.status)
        self._ttfb_ms = round((page.at - self._started) * 1000)
        self._title = title_of(page.body)
        if page.certificate_expires:
            self._expires.append(page.certificate_expires)

    def observed(self, *, failure: Word | None = None, detail: str = "") -> Observation:
        return Observation(
            url=self._url,
            statuses=tuple(self.statuses),
            final_url=without_click(self.here) if self.statuses else "",
            ttfb_ms=self._ttfb_ms,
            certificate_expires=min(self._expires, default=0),
            click_id_survived=f"{CLICK_PARAMETER}={self._click_id}" in _pairs(self.here),
            https_left=self._https_left,
            title=self._title,
            failure=failure or "",
            detail=detail,
        )


def with_click(url: str, click_id: str) -> str:
    """A destination as the redirect sends a visitor there, the fragment left out."""
    head = url.partition("#")[0]
    return f"{head}{'&' if '?' in head else '?'}{CLICK_PARAMETER}={click_id}"


def without_click(url: str) -> str:
    """The URL without `ct_click`."""
    head = url.partition("?")[0]
    kept = [pair for pair in _pairs(url) if pair.partition("=")[0] != CLICK_PARAMETER]
    return f"{head}?{'&'.join(kept)}" if kept else head


def title_of(body: bytes) -> str:
    """The page's title, on one line."""
    found = _TITLE.search(body.decode("utf-8", "replace"))
    return " ".join(html.unescape(found[1]).split())[:MAX_TITLE] if found else ""


def _pairs(url: str) -> list[str]:
    return [pair for pair in url.partition("?")[2].split("&") if pair]


async def _beginning(response: httpx.Response) -> bytes:
    """At most `MAX_BODY_BYTES` of a page; what breaks or stalls after its headers is none of our business."""
    parts: list[bytes] = []
    size = 0
    if response.status_code in _REDIRECTS:
        return b""
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_BODY_S):
            async for chunk in response.aiter_raw():
                parts.append(chunk)
                size += len(chunk)
                if size >= MAX_BODY_BYTES or b"</title" in chunk.lower():
                    break
    return b"".join(parts)[:MAX_BODY_BYTES]


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
