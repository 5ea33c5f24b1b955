"""One client's connection: reads requests, gives their answers back in order, keeps the limits and the times.

What a client may make us hold is bounded: it is read from only while it takes its answers, and no further than `_MAX_WAITING`
answers ahead of them. Everything that takes too long ends: headers, a request as a whole, a reader that does not read, idleness.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from redirect import reasons
from redirect import request as fields
from redirect.counters import SLOT
from redirect.parser import Parser, RequestError
from redirect.plain_request import read as read_plain
from redirect.request import Request

if TYPE_CHECKING:
    from redirect.server import Server

#: After an error answer we read on for a moment, so that the client gets the answer instead of a reset.
_LINGER_S: Final = 2.0
#: While draining, a connection without a request is left open this long: its client may be about to send one.
_DRAIN_IDLE_S: Final = 0.5
#: Pipelined requests are answered this far ahead of what was sent; the rest waits unparsed.
_MAX_WAITING: Final = 64
_CONNECTIONS_OPENED: Final = SLOT["connections_opened"]


class Connection(asyncio.Protocol):
    """Made for each client. The defaults stand at the class: a short visit sets only what differs."""

    _transport: asyncio.Transport
    _parser: Parser | None = None
    _peer = ""
    _trusted = False
    #: Nothing is under way: the next bytes may be a whole plain request. False asks for a closer look at all of the below.
    _at_rest = True
    #: The last answer was given or is being given; nothing more is read as a request.
    _closing = False
    #: An error was answered; what still comes is thrown away for a moment.
    _lingering = False
    #: The client does not take its answers, since then.
    _blocked_at = 0.0
    _reading = True
    #: Bytes that wait to be parsed, and answers that wait for the disk.
    _unread = b""
    _held = 0

    def __init__(self, server: Server) -> None:
        self._server = server
        #: Answers of this tick.
        self._out: list[bytes] = []
        self._last = time.perf_counter()

    # --- transport callbacks -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._server
        self._transport = cast(asyncio.Transport, transport)
        if len(server.connections) >= server.limits.max_connections:
            self._transport.write(server.refuse(503, reasons.TOO_MANY_CONNECTIONS))
            self._transport.close()
            self._closing, self._at_rest = True, False
            return
        server.connections.add(self)
        server.counters.slots[_CONNECTIONS_OPENED] += 1
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        if server.proxies.any:
            self._trusted = server.proxies.trusts(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._closing, self._at_rest = True, False
        if self._parser is not None:
            self._parser.forget()
            self._parser = None

    def data_received(self, data: bytes) -> None:
        """Step 1 of the tick: a plain request is answered at once, anything else goes through the parser."""
        server = self._server
        request = server.request
        if not self._at_rest or len(data) > server.max_plain or not read_plain(data, request):
            self._receive(data)
            return
        self._last = request.started = time.perf_counter()
        self._answer(request)

    def eof_received(self) -> bool:
        """The client sends no more. Its answers may still wait for the end of the tick: then we close once they are sent."""
        waiting = bool(self._out or self._held)
        self._closing, self._at_rest = True, False
        if waiting and self._server.secure:
            self._server.end_of_tick()  # TLS closes when this returns, whatever it returns
        return waiting and not self._server.secure

    def pause_writing(self) -> None:
        """The client reads slower than we answer: stop reading its requests."""
        self._blocked_at = time.perf_counter()
        self._at_rest = False
        self._read_on(False)

    def resume_writing(self) -> None:
        self._blocked_at = 0.0
        self._work_off()

    # --- requests ------------------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> None:
        server = self._server
        request.address = self._peer
        request.secure = server.secure
        if self._trusted:
            self._identify(request)
        if server.draining:
            request.keep_alive = False
        if not self._out:
            server.send_at_end_of_tick(self)
        self._out.append(server.answer(request))
        if not request.keep_alive:
            self._closing, self._at_rest = True, False

    def _identify(self, request: Request) -> None:
        """Behind a trusted proxy: who asks, and over what, as the proxy says."""
        forwarded = request.fields[fields.FORWARDED_FOR]
        if forwarded:
            request.address = self._server.proxies.visitor(forwarded, peer=self._peer)
        protocol = request.fields[fields.FORWARDED_PROTO]
        if protocol:
            request.secure = protocol.rpartition(b",")[2].strip().lower() == b"https"

    def _receive(self, data: bytes) -> None:
        """Anything but one plain request on a connection at rest."""
        if self._closing:
            return
        self._last = time.perf_counter()
        self._unread = self._unread + data if self._unread else data
        self._work_off()

    def _work_off(self) -> None:
        """Parse what has arrived, as far as the client has taken its answers; read on when nothing is left."""
        step = self._server.limits.max_header_bytes
        while self._unread and not self._closing and not self._blocked_at and self._waiting() < _MAX_WAITING:
            piece, self._unread = self._unread[:step], self._unread[step:]
            self._feed(piece)
        parser = self._parser
        self._at_rest = not (
            self._closing or self._blocked_at or self._unread or self._held or (parser and parser.in_request)
        )
        if not self._closing:
            self._read_on(not self._unread and not self._blocked_at)

    def _waiting(self) -> int:
        return len(self._out) + self._held

    def _feed(self, piece: bytes) -> None:
        if self._parser is None:
            self._parser = Parser(self._server.limits, take=self._take, go_on=self._continue)
        try:
            self._parser.feed(piece)
        except RequestError as error:
            if not self._closing:
                self._fail(error.status, error.outcome)
        if self._parser.upgraded:
            # Nobody upgrades here: the request was answered, and the connection ends.
            self._closing = True

    def _take(self, request: Request) -> None:
        if not self._closing:
            self._answer(request)

    def _continue(self) -> None:
        """``Expect: 100-continue``: in its turn, behind the answers to earlier requests."""
        if not self._out:
            self._server.send_at_end_of_tick(self)
        self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_on(self, wanted: bool) -> None:
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # --- answers and ends ----------------------------------------------------------------------------------------------------

    def collect(self) -> bytes:
        """Step 3 of the tick: this tick's answers, for one write."""
        out = self._out
        wire = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return wire

    def hold(self) -> tuple[Connection, bytes, int]:
        """The same when they must wait for the disk: (where they go, the answers, how many). Nothing is parsed meanwhile."""
        count = len(self._out)
        self._held += count
        self._at_rest = False
        return self, self.collect(), count

    def release(self, wire: bytes, count: int) -> int:
        self._held -= count
        return self.send(wire)

    def send(self, wire: bytes) -> int:
        """Write answers whose clicks are journaled; how many bytes."""
        if self._transport.is_closing():
            return 0
        self._transport.write(wire)
        if not self._at_rest:
            self._after_send()
        return len(wire)

    def _after_send(self) -> None:
        if not self._closing:
            self._work_off()
        elif not self._waiting():
            if self._lingering and self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def _fail(self, status: int, outcome: str) -> None:
        """Answer earlier requests, then the error, then read on for a moment and close."""
        if not self._out:
            self._server.send_at_end_of_tick(self)
        self._out.append(self._server.refuse(status, outcome))
        self._closing = self._lingering = True
        self._at_rest = False
        self._unread = b""

    def check_time(self, now: float) -> None:
        """Close when idle for too long, or when a request or a reader is too slow."""
        limits, parser = self._server.limits, self._parser
        if self._lingering:
            if now - self._last > _LINGER_S:
                self.abort()
        elif self._blocked_at or self._closing:
            if now - (self._blocked_at or self._last) > limits.write_timeout_s:
                self._server.count(reasons.SLOW_READER)
                self.abort()
        elif parser is not None and parser.in_request:
            allowed = limits.request_timeout_s if parser.headers_done else limits.header_timeout_s
            if now - parser.request.started > allowed:
                self._fail(408, reasons.TIMED_OUT)
        elif now - self._last > limits.idle_timeout_s:
            self._closing, self._at_rest = True, False
            self._transport.close()

    def close_if_idle(self, now: float) -> None:
        """While draining: close unless a request is under way or has just been answered."""
        if self._at_rest and not self._out and now - self._last > _DRAIN_IDLE_S:
            self._closing, self._at_rest = True, False
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
