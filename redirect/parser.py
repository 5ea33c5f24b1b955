"""HTTP/1.1 messages the thorough way: llhttp, strict, with our limits. Whatever `redirect.plain_request` does not recognise comes here.

llhttp answers what RFC 9112 §6.3 asks about framing: a repeated or unequal Content-Length, one beside Transfer-Encoding, a coding that
does not end in `chunked`, obsolete folding, white space before a colon and a bare LF are errors, and an error ends the connection.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

import httptools
import msgspec

from redirect import reasons
from redirect import request as fields
from redirect.request import EMPTY_FIELDS, SLOT_OF, Request, slot_of

#: A Host header as RFC 3986 §3.2 spells it: no user, no path, no list.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_SINGLE_HEADERS: Final = frozenset((fields.HOST, fields.ORIGIN, fields.USER_AGENT))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds; what they mean stands in `redirect.config`."""

    header_timeout_s: float = 10.0
    request_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 10.0
    max_header_bytes: int = 16_384
    max_target_bytes: int = 8_192
    max_body_bytes: int = 65_536
    max_connections: int = 20_000


class RequestError(Exception):
    """What was sent is no request we answer otherwise; the connection ends with this status and outcome."""

    def __init__(self, status: int, outcome: str) -> None:
        self.status = status
        self.outcome = outcome
        super().__init__(outcome)


class Parser:
    """The messages of one connection. `take` is called with each complete request, from within `feed`.

    The request is reused: `take` must be done with it when it returns.
    """

    def __init__(self, limits: Limits, *, take: Callable[[Request], None], go_on: Callable[[], None]) -> None:
        self.in_request = False
        self.headers_done = False
        #: The client asked for another protocol: what follows its request is not HTTP/1.1 any more.
        self.upgraded = False
        self.request = Request()
        self._limits = limits
        self._take = take
        self._go_on = go_on
        self._fed = 0
        self._target_size = 0
        self._body_size = 0
        self._parser: Any = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Go on with the next bytes, no more of them than `max_header_bytes`: one big read must not smuggle bigger headers in.

        Raises:
            RequestError: the connection is over.
        """
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgraded = True
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, RequestError):
                raise error.__context__ from None
            raise RequestError(400, reasons.MALFORMED) from None
        if self.in_request and self._fed >= self._limits.max_header_bytes:
            self._check_size()

    def forget(self) -> None:
        """llhttp holds bound methods of ours, and we one of the connection's: all would wait for the cycle collector."""
        self._parser = None

    def _check_size(self) -> None:
        if not self.headers_done:
            raise RequestError(431, reasons.HEADERS_TOO_LARGE)
        if self._fed > self._limits.max_header_bytes + 2 * self._limits.max_body_bytes:
            # Twice: chunked bodies have overhead, and trailers must not grow without end either.
            raise RequestError(413, reasons.BODY_TOO_LARGE)

    # --- called by llhttp ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        request = self.request
        request.target = b""
        request.body = b""
        request.fields = EMPTY_FIELDS.copy()
        request.started = time.perf_counter()
        self.in_request = True
        self.headers_done = False
        self._target_size = 0
        self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._target_size += len(url)
        if self._target_size > self._limits.max_target_bytes:
            raise RequestError(414, reasons.URI_TOO_LONG)
        request = self.request
        request.target = request.target + url if request.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.headers_done:
            return  # a trailer: what comes after the body must not pose as a header (RFC 9110 §6.5.1)
        slot = SLOT_OF.get(name)
        if slot is None:
            slot = slot_of(name)
            # Of the codings only this one frames a message; another one before it we could not undo.
            if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
                raise RequestError(400, reasons.MALFORMED)
        if slot:
            held = self.request.fields
            if held[slot]:
                value = _combine(slot, held[slot], value)
            held[slot] = value

    def on_headers_complete(self) -> None:
        self.headers_done = True
        self.request.method = self._parser.get_method()
        if self.request.fields[fields.EXPECT]:
            self._go_on()

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._limits.max_body_bytes:
            raise RequestError(413, reasons.BODY_TOO_LARGE)
        self.request.body += body

    def on_message_complete(self) -> None:
        self.in_request = False
        self._fed = 0
        version, host = self._parser.get_http_version(), self.request.fields[fields.HOST]
        old = version == "1.0"
        if not (old or version == "1.1") or not (host or old) or (host and not is_host(host)):
            raise RequestError(400, reasons.MALFORMED)
        # Nobody speaks 1.0 to keep a connection; proxies that do get the length of an answer wrong more often than not.
        self.request.keep_alive = self._parser.should_keep_alive() and not old
        self._take(self.request)


def is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _combine(slot: int, first: bytes, second: bytes) -> bytes:
    """A header sent twice: lists are joined; what must be single makes the request ambiguous."""
    if slot in _SINGLE_HEADERS:
        raise RequestError(400, reasons.MALFORMED)
    return first + (b"; " if slot == fields.COOKIE else b", ") + second
