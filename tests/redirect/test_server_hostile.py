"""The server against clients that mean harm or are broken, on raw sockets: framing, slowness, numbers."""

from __future__ import annotations

import resource
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.bench.wrk import rss_mb
from redirect.counters import read_all

from .live_worker import Client, ProcessWorker, Running, ThreadWorker, eventually, link

Start = Callable[..., ThreadWorker]
REQUEST = b"GET /spring HTTP/1.1\r\nHost: go.example\r\n\r\n"
GET = b"GET /spring HTTP/1.1\r\n"
POST = b"POST /ct/e HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = b'{"events":[{"name":"page_view"}]}'


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def count_of(running: Running, outcome: str) -> int:
    [counters] = read_all(running.data_dir)
    return counters.values[f"outcome:{outcome}"]


# --- framing (RFC 9112) -------------------------------------------------------------------------------------------------------

REFUSED = {
    # where a message ends: lengths
    "length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length as a list": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "length in hexadecimal": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "length empty": POST + b"Content-Length:\r\n\r\nabc",
    "length with a space": POST + b"Content-Length: 1 0\r\n\r\nabc",
    "length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "length beside a coding": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding beside a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    # where a message ends: codings
    "coding unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding we cannot undo": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding identity": POST + b"Transfer-Encoding: identity\r\n\r\nabc",
    "coding in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding folded": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "coding before a space and the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    # chunks
    "chunk with a bare LF": POST + CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk extension with a bare LF": POST + CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "chunk beyond 64 bits": POST + CHUNKED + b"ffffffffffffffff1\r\nabc",
    "chunk with a sign": POST + CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "chunk with 0x": POST + CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk with a space": POST + CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "chunk longer than it says": POST + CHUNKED + b"3\r\nabcX0\r\n\r\n",
    "trailer that frames": POST + CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    # lines
    "bare LF everywhere": b"GET /spring HTTP/1.1\nHost: x\n\n",
    "bare LF after a header": GET + b"Host: x\nA: b\r\n\r\n",
    "bare CR": GET + b"Host: x\rA: b\r\n\r\n",
    "CR CR LF": GET + b"Host: x\r\r\n\r\n",
    "NUL in a name": GET + b"Host: x\r\nA\x00: b\r\n\r\n",
    "NUL in the target": b"GET /spr\x00ing HTTP/1.1\r\nHost: x\r\n\r\n",
    "header without a colon": GET + b"Host: x\r\nnocolon\r\n\r\n",
    "header without a name": GET + b"Host: x\r\n: b\r\n\r\n",
    "white space before the first header": GET + b" Host: x\r\n\r\n",
    "white space before the request": b" " + REQUEST,
    "white space after the version": b"GET /spring HTTP/1.1 \r\nHost: x\r\n\r\n",
    "tabs in the request line": b"GET\t/spring\tHTTP/1.1\r\nHost: x\r\n\r\n",
    # versions and hosts
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 as text": b"GET /spring HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET /spring HTTP/1.2\r\nHost: x\r\n\r\n",
    "two hosts in one": GET + b"Host: a, b\r\n\r\n",
    "host with a user": GET + b"Host: a@b\r\n\r\n",
    "host with a path": GET + b"Host: a/b\r\n\r\n",
    "bytes beyond ASCII in the target": b"GET /spr\xc3\xbcng HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("shape", REFUSED)
def test_ambiguous_framing_is_answered_400_and_closed_and_nothing_behind_it_is_read(
    worker: ThreadWorker, shape: str
) -> None:
    client = worker.connect()
    client.send(REFUSED[shape] + REQUEST)
    reply = client.read()
    assert (reply.status, reply.body, reply.headers["connection"]) == (400, b"malformed\n", "close")
    assert client.at_end()
    assert worker.lines() == []
    assert count_of(worker, "malformed") == 1


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: %d \r\n\r\n%b" % (len(EVENTS), EVENTS),
        b"tRANSFER-eNCODING:\tcHuNkEd\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS),
        b"Transfer-Encoding: chunked\r\n\r\n%x;ext=1\r\n%b\r\n000\r\n\r\n" % (len(EVENTS), EVENTS),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nHost: evil.example\r\nCookie: ct_consent=no\r\n\r\n" % (len(EVENTS), EVENTS),
    ],
)  # fmt: skip
def test_odd_but_proper_framing_is_read_and_the_next_request_starts_behind_it(
    worker: ThreadWorker, framing: bytes
) -> None:
    client = worker.connect()
    client.send(POST + framing + REQUEST)
    assert [client.read().status, client.read().status] == [204, 302]
    assert len(worker.lines("touch")) == 1
    assert "consent" not in worker.lines("touch")[0], "a trailer is no header"


@pytest.mark.parametrize("data", [b"\r\n\r\n" + REQUEST, b"GET  /spring HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_what_rfc_9112_lets_a_server_forgive_is_forgiven(worker: ThreadWorker, data: bytes) -> None:
    client = worker.connect()
    client.send(data)
    assert client.read().status == 302


def test_after_connection_close_nothing_more_is_answered(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + REQUEST * 3)
    assert client.read().status == 302
    assert client.at_end()
    assert len(worker.lines()) == 1


def test_http_1_0_is_closed_even_when_it_asks_to_stay(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert client.read().headers["connection"] == "close"
    assert client.at_end()


def test_a_request_may_be_cut_anywhere(worker: ThreadWorker) -> None:
    request = (
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nUser-Agent: cut\r\nContent-Length: %d\r\n\r\n%b" % (len(EVENTS), EVENTS)
        + b"GET /spring?utm_source=a HTTP/1.1\r\nHost: x\r\nUser-Agent: cut\r\n\r\n"
    )
    client = worker.connect()
    for at in range(1, len(request)):
        client.send(request[:at])
        client.send(request[at:])
        assert [client.read().status, client.read().status] == [204, 302]
    assert len(worker.lines()) == len(worker.lines("touch")) == len(request) - 1
    assert {line["user_agent"] for line in worker.lines()} == {"cut"}


# --- slowness -----------------------------------------------------------------------------------------------------------------


def test_a_slow_body_is_timed_out_although_its_headers_came_in_time(start_worker: Start) -> None:
    worker = start_worker(link(), header_timeout_s=0.5, request_timeout_s=2.0)
    client = worker.connect()
    client.send(POST + b"Content-Length: 100\r\n\r\n")
    started = time.monotonic()
    for _ in range(3):
        time.sleep(0.3)
        client.send(b"x")
    assert client.read().status == 408
    assert 1.9 < time.monotonic() - started < 5
    assert count_of(worker, "timed_out") == 1


@contextmanager
def small_window(running: Running) -> Iterator[Client]:
    """A client whose kernel takes few bytes for it: what it does not read piles up at the server."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", running.port))
    with sock:
        yield Client(sock)


def test_ten_thousand_pipelined_requests_are_answered_in_order_and_held_back_meanwhile(worker: ThreadWorker) -> None:
    with small_window(worker) as client:
        client.sock.setblocking(False)
        left = b"".join(b"GET /spring?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(10_000))
        deadline = time.monotonic() + 10
        while left and time.monotonic() < deadline:
            try:
                left = left[client.sock.send(left) :]
            except BlockingIOError:
                break
        time.sleep(0.5)
        assert worker.worker.server
        [connection] = worker.worker.server.connections
        held = len(connection._unread) + connection._transport.get_write_buffer_size() + sum(map(len, connection._out))
        assert held < 700_000, "one read of the loop, a slice's answers, and the transport's high-water mark"
        client.sock.setblocking(True)
        sent = 10_000 - left.count(b"GET ")
        numbers = [int(client.read().location.split("n=")[1].split("&")[0]) for _ in range(sent)]
        assert numbers == list(range(sent))
    assert len(worker.lines()) >= sent


def test_a_client_that_does_not_take_its_answers_is_cut_off(start_worker: Start) -> None:
    worker = start_worker(link(), write_timeout_s=1.0)
    with small_window(worker) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_without_reading(client)
    eventually(lambda: count_of(worker, "slow_reader") == 1)


def send_without_reading(client: Client) -> None:
    """Until the other side ends it, at most for ten seconds."""
    client.sock.setblocking(False)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.sock.send(REQUEST * 100)
        except BlockingIOError:
            time.sleep(0.05)


# --- numbers ------------------------------------------------------------------------------------------------------------------


@contextmanager
def open_files_permitted(soft: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_ten_thousand_idle_connections_cost_little_and_slow_nobody(
    start_process: Callable[..., ProcessWorker],
) -> None:
    """Or as many as this machine permits; the worker begins with the usual limit of 1,024 open files and raises it itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000 if hard == resource.RLIM_INFINITY else min(10_000, hard - 500)
    if wanted < 10_000:
        warnings.warn(f"this machine permits {hard} open files: {wanted} idle connections, not 10,000", stacklevel=1)
    idle: list[socket.socket] = []
    # This process may hold more already, after a thousand tests.
    with open_files_permitted(min(soft, max(1024, open_files() + 200))):
        process = start_process(link())
    with open_files_permitted(max(soft, wanted + 500)):
        assert process.process.pid
        before = rss_mb(process.process.pid)
        try:
            for _ in range(wanted):
                idle.append(socket.create_connection(("127.0.0.1", process.port)))
            slowest = 0.0
            for one in (idle[0], idle[wanted // 2], idle[-1]):
                started = time.monotonic()
                one.settimeout(10)
                one.sendall(REQUEST)
                assert one.recv(4096).startswith(b"HTTP/1.1 302")
                slowest = max(slowest, time.monotonic() - started)
            assert slowest < 5
            assert rss_mb(process.process.pid) - before < 100
            eventually(lambda: read_all(process.data_dir)[0].values["connections_open"] >= wanted)
            assert process.get("/healthz").json()["status"] == "ok"
        finally:
            for one in idle:
                one.close()


def test_a_client_that_breaks_off_anywhere_leaves_nothing_behind(worker: ThreadWorker) -> None:
    open_before = open_files()
    for at in range(0, len(REQUEST), 3):
        client = worker.connect()
        client.send(REQUEST[:at])
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.sock.close()  # a reset, not an end
    assert worker.worker.server
    server = worker.worker.server
    eventually(lambda: not server.connections)
    eventually(lambda: open_files() <= open_before + 2)
    assert worker.get("/spring").status == 302
