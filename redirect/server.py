"""The redirect's HTTP/1.1 server: `asyncio.Protocol` on uvloop, parsed by httptools, one thread a worker.

A loop tick, in the order it happens:

1. every readable connection feeds its parser; each complete request is handled at once (`redirect.handler`), its answer and
   records wait,
2. at the end of the tick all records go to the journal in one write,
3. then all answers leave, one write per connection.

So a click is in the journal before its 302 is on the wire. When the journal cannot take it, the 302 leaves all the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any, Final, Protocol, cast

import httptools
import msgspec
import structlog

from core.clock import Clock, now_ms
from core.errors import JournalError
from redirect import reasons
from redirect import request as fields
from redirect.clicks import ENTROPY_CHARS
from redirect.counters import FIRST_BUCKET, OUTCOME_SLOT, SIGNAL_SLOT, SLOT, Counters, bucket_of
from redirect.handler import World, handle, plain
from redirect.request import EMPTY_FIELDS, SLOT_OF, Request, slot_of

log = structlog.get_logger(__name__)

_ENTROPY_BYTES: Final = 64 * ENTROPY_CHARS
_SWEEP_S: Final = 1.0
#: After an error answer we read on for a moment, so that the client gets the answer instead of a reset.
_LINGER_S: Final = 2.0
_SINGLE_HEADERS: Final = frozenset((fields.HOST, fields.ORIGIN, fields.USER_AGENT))


class Journal(Protocol):
    """What the server needs of `core.journal.writer.JournalWriter`."""

    def append_encoded(self, bodies: Sequence[bytes]) -> None: ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds."""

    header_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    max_header_bytes: int = 16_384
    max_target_bytes: int = 8_192
    max_body_bytes: int = 65_536
    max_connections: int = 20_000


class TrustedProxies:
    """Networks whose forwarding headers are believed."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in networks)

    def trusts(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def visitor(self, forwarded_for: bytes, *, peer: str) -> str:
        """The rightmost address that no trusted proxy has; what stands left of it anybody could have written."""
        for hop in reversed(forwarded_for.decode("latin-1").split(",")):
            address = hop.strip()
            if not self.trusts(address):
                return address if _is_address(address) else peer
        return peer


class RequestError(Exception):
    """Ends the parsing of a connection; raised from a parser callback."""

    def __init__(self, status: int, outcome: str) -> None:
        self.status = status
        self.outcome = outcome
        super().__init__(outcome)


class Server:
    """All connections of one worker and what they share: the journal, the counters, the end of the tick."""

    def __init__(
        self,
        world: World,
        *,
        journal: Journal,
        counters: Counters,
        limits: Limits,
        proxies: TrustedProxies,
        clock: Clock = now_ms,
    ) -> None:
        self.world = world
        self.limits = limits
        self.proxies = proxies
        self.clock = clock
        self.counters = counters
        self.connections: set[Connection] = set()
        self.draining = False
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._bodies: list[bytes] = []
        self._waiting: list[Connection] = []
        self._starts: list[float] = []
        self._entropy = ""
        self._entropy_at = 0
        self._now = 0
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        self._set_date()

    # --- the tick ------------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> bytes:
        """Handle one request; its records and its answer wait for the end of the tick."""
        at = self._entropy_at
        if at + ENTROPY_CHARS > len(self._entropy):
            self._entropy, at = os.urandom(_ENTROPY_BYTES).hex(), 0
        self._entropy_at = at + ENTROPY_CHARS
        try:
            answer = handle(request, world=self.world, now=self.clock(), entropy=self._entropy[at : at + ENTROPY_CHARS])
        except Exception:  # a defect met by one request must not end the worker: answered 500, counted, logged
            log.exception("a request failed", target=request.target)
            request.keep_alive = False
            return self.refuse(500, reasons.FAILED)
        slots = self.counters.slots
        slots[OUTCOME_SLOT[answer.outcome]] += 1
        if answer.signal:
            slots[SIGNAL_SLOT[answer.signal]] += 1
        self._bodies += answer.records
        self._starts.append(request.started)
        return answer.wire

    def _tick(self) -> int:
        """The time of this tick, taken once: requests that are handled together happened together."""
        self._now = self.clock()
        return self._now

    def refuse(self, status: int, outcome: str) -> bytes:
        """An answer to what is no proper request; the connection ends with it."""
        self.counters.slots[OUTCOME_SLOT[outcome]] += 1
        return plain(status, outcome.encode() + b"\n", date=self.world.date, keep_alive=False)

    def send_at_end_of_tick(self, connection: Connection) -> None:
        if not self._waiting:
            self._loop.call_soon(self.end_of_tick)
        self._waiting.append(connection)

    def end_of_tick(self) -> None:
        bodies, self._bodies = self._bodies, []
        waiting, self._waiting = self._waiting, []
        self._now = 0
        if bodies:
            self._journal_or_count(bodies)
        for connection in waiting:
            connection.send()
        self._observe_durations()

    def _journal_or_count(self, bodies: list[bytes]) -> None:
        slots = self.counters.slots
        try:
            self._journal.append_encoded(bodies)
            slots[SLOT["journal_writes"]] += 1
        except (JournalError, OSError):
            # The writer keeps what a sick disk refuses; an error here means that it can keep nothing. The 302 still leaves.
            slots[SLOT["journal_errors"]] += 1
            slots[SLOT["lost"]] += len(bodies)

    def _observe_durations(self) -> None:
        """From the first byte of each request to its answer's write, journal included."""
        starts, self._starts = self._starts, []
        slots, end, total = self.counters.slots, time.perf_counter(), 0
        for start in starts:
            duration_us = int((end - start) * 1e6)
            total += duration_us
            slots[FIRST_BUCKET + bucket_of(duration_us)] += 1
        slots[SLOT["duration_us_sum"]] += total

    # --- time and end --------------------------------------------------------------------------------------------------------

    def _set_date(self) -> None:
        self.world.date = formatdate(self.clock() / 1000, usegmt=True).encode()

    def _sweep(self) -> None:
        """Once a second: the Date header, and connections whose time is up."""
        self._set_date()
        now = time.perf_counter()
        for connection in list(self.connections):
            connection.check_time(now)
        self.counters.set("connections_open", len(self.connections))
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    async def drain(self, timeout_s: float) -> None:
        """Finish what is under way: every answer now carries ``Connection: close``; idle connections go first."""
        self.draining = True
        deadline = time.perf_counter() + timeout_s
        while self.connections and time.perf_counter() < deadline:
            for connection in list(self.connections):
                connection.close_if_idle(time.perf_counter())
            await asyncio.sleep(0.05)
        self.abort()

    def abort(self) -> None:
        self._sweeper.cancel()
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client: parses, answers in order, keeps the limits."""

    __slots__ = (
        "_body_size", "_closing", "_fed", "_headers_done", "_in_request", "_last", "_lingering", "_out", "_parser", "_paused", "_peer", "_request",
        "_secure", "_server", "_target_size", "_transport", "_trusted",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before any other callback
        self._parser: Any = httptools.HttpRequestParser(self)
        self._request = Request()
        self._out: list[bytes] = []
        self._closing = False
        self._paused = False
        self._in_request = False
        self._headers_done = False
        self._lingering = False
        self._fed = 0
        self._target_size = 0
        self._body_size = 0
        self._last = time.perf_counter()
        self._peer = ""
        self._secure = False
        self._trusted = False

    # --- transport callbacks -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._server
        self._transport = cast(asyncio.Transport, transport)
        if len(server.connections) >= server.limits.max_connections:
            self._transport.write(server.refuse(503, reasons.TOO_MANY_CONNECTIONS))
            self._transport.close()
            self._closing = True
            return
        server.connections.add(self)
        server.counters.slots[SLOT["connections_opened"]] += 1
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._trusted = server.proxies.trusts(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._closing = True
        # The parser holds bound methods of ours: without this the pair would wait for the cycle collector.
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._last = time.perf_counter()
        if not self._in_request:
            self._request.started = self._last
        # In slices no longer than what headers may have, so that one big read cannot smuggle bigger ones in.
        step = self._server.limits.max_header_bytes
        if len(data) <= step:
            self._feed(data)
        else:
            for start in range(0, len(data), step):
                if not self._closing:
                    self._feed(data[start : start + step])

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nobody upgrades here: the request was answered, what follows is not HTTP/1.1 any more.
            self._closing = True
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, RequestError):
                self._fail(cause.status, cause.outcome)
            else:
                self._fail(400, reasons.MALFORMED)
            return
        if self._in_request and self._fed >= self._server.limits.max_header_bytes:
            self._check_size()

    def _check_size(self) -> None:
        limits = self._server.limits
        if not self._headers_done:
            self._fail(431, reasons.HEADERS_TOO_LARGE)
        elif self._fed > limits.max_header_bytes + 2 * limits.max_body_bytes:
            # Twice: chunked bodies have overhead, and trailers must not grow without end either.
            self._fail(413, reasons.BODY_TOO_LARGE)

    def eof_received(self) -> bool:
        # The transport closes when this returns; answers that wait for the end of the tick must leave before.
        if self._out:
            self._server.end_of_tick()
        self._closing = True
        return False

    def pause_writing(self) -> None:
        """The client reads slower than we answer: stop reading its requests."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._closing:
            self._transport.resume_reading()

    # --- parser callbacks ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        request = self._request
        request.target = b""
        request.body = b""
        request.fields = EMPTY_FIELDS.copy()
        self._in_request = True
        self._headers_done = False
        self._target_size = 0
        self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._target_size += len(url)
        if self._target_size > self._server.limits.max_target_bytes:
            raise RequestError(414, reasons.URI_TOO_LONG)
        request = self._request
        request.target = request.target + url if request.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        slot = SLOT_OF.get(name)
        if slot is None:
            slot = slot_of(name)
        if slot:
            held = self._request.fields
            if held[slot]:
                value = _combine(slot, held[slot], value)
            held[slot] = value

    def on_headers_complete(self) -> None:
        request = self._request
        self._headers_done = True
        request.method = self._parser.get_method()
        if request.fields[fields.EXPECT]:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._server.limits.max_body_bytes:
            raise RequestError(413, reasons.BODY_TOO_LARGE)
        self._request.body += body

    def on_message_complete(self) -> None:
        server, request = self._server, self._request
        self._in_request = False
        self._fed = 0
        if self._closing:
            return
        if not request.fields[fields.HOST] and self._parser.get_http_version() != "1.0":
            raise RequestError(400, reasons.MALFORMED)
        request.keep_alive = not server.draining and self._parser.should_keep_alive()
        self._identify(request)
        if not self._out:
            server.send_at_end_of_tick(self)
        self._out.append(server.answer(request))
        if not request.keep_alive:
            self._closing = True

    def _identify(self, request: Request) -> None:
        """Who asks, and over what: the peer, or what a trusted proxy says."""
        request.address = self._peer
        request.secure = self._secure
        if self._trusted:
            forwarded = request.fields[fields.FORWARDED_FOR]
            if forwarded:
                request.address = self._server.proxies.visitor(forwarded, peer=self._peer)
            protocol = request.fields[fields.FORWARDED_PROTO]
            if protocol:
                request.secure = protocol.rpartition(b",")[2].strip().lower() == b"https"

    # --- answers and ends ----------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Write the tick's answers; called after the journal took their records."""
        out, self._out = self._out, []
        if self._transport.is_closing():
            return
        wire = out[0] if len(out) == 1 else b"".join(out)
        self._transport.write(wire)
        self._server.counters.slots[SLOT["bytes_sent"]] += len(wire)
        if self._lingering and self._transport.can_write_eof():
            self._transport.write_eof()
        elif self._closing:
            self._transport.close()

    def _fail(self, status: int, outcome: str) -> None:
        """Answer earlier requests, then the error, then read on for a moment and close."""
        if not self._out:
            self._server.send_at_end_of_tick(self)
        self._out.append(self._server.refuse(status, outcome))
        self._closing = self._lingering = True

    def check_time(self, now: float) -> None:
        """Close when idle for too long, or when a request or a reader is too slow."""
        limits = self._server.limits
        if self._lingering:
            if now - self._last > _LINGER_S:
                self.abort()
        elif self._paused or self._closing:
            if now - self._last > limits.header_timeout_s:
                self.abort()
        elif self._in_request:
            if now - self._request.started > limits.header_timeout_s:
                self._fail(408, reasons.TIMED_OUT)
        elif now - self._last > limits.idle_timeout_s:
            self._closing = True
            self._transport.close()

    def close_if_idle(self, now: float) -> None:
        """While draining: close unless a request is under way or has just been answered."""
        if not self._in_request and not self._out and now - self._last > 0.5:
            self._closing = True
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def _combine(slot: int, first: bytes, second: bytes) -> bytes:
    """A header sent twice: lists are joined; what must be single makes the request ambiguous."""
    if slot in _SINGLE_HEADERS:
        raise RequestError(400, reasons.MALFORMED)
    return first + (b"; " if slot == fields.COOKIE else b", ") + second


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def connection_factory(server: Server) -> Callable[[], Connection]:
    return lambda: Connection(server)
