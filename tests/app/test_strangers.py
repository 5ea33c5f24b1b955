"""The listener for strangers on a real socket: heads that are large or slow, idle connections, keep-alive."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.strangers import StrangersProtocol
from tests.collectors.internet import served

#: Long enough for a machine that is busy with other tests, short enough to be waited for.
HEAD_S = 0.8

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(StrangersProtocol, "head_s", HEAD_S)

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    with served(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])) as bound:
        yield bound


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def rest(connection: socket.socket) -> bytes:
    """Whatever comes until the server hangs up."""
    found = b""
    try:
        while block := connection.recv(65_536):
            found += block
    except ConnectionResetError:
        pass
    return found


def until(connection: socket.socket, words: bytes) -> None:
    """Read on until these words have come; fails when the server hangs up before."""
    found = b""
    while words not in found:
        block = connection.recv(65_536)
        assert block, found
        found += block


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET + b"X-Slow: "])
def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(sent)
        assert rest(connection) == b""
    assert HEAD_S - 0.1 < time.monotonic() - began < HEAD_S + 4


def drip(connection: socket.socket) -> None:
    """A header every 50 ms for six seconds."""
    for _ in range(120):
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


def test_dripping_bytes_wins_no_time(port: int) -> None:
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(GET)
        with pytest.raises(ConnectionError):
            drip(connection)
    assert time.monotonic() - began < HEAD_S + 4


def test_a_head_without_end_is_refused(port: int) -> None:
    with connect(port) as connection:
        try:
            for _ in range(64):
                connection.sendall(b"X-Large: " + b"x" * 4_096 if _ else GET + b"X-Large: ")
        except OSError:
            return  # refused so early that not all of it was taken
        assert rest(connection).startswith(b"HTTP/1.1 400")


def test_the_head_of_a_second_request_is_waited_for_no_longer(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET + b"\r\n")
        until(connection, b"0 bytes")
        time.sleep(HEAD_S + 0.3)  # idle is not a head that does not come
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(HEAD_S + 0.3)  # a body is the application's own to wait for
        connection.sendall(b"cd")
        until(connection, b"4 bytes")
        connection.sendall(b"GET /")
        assert rest(connection) == b""
