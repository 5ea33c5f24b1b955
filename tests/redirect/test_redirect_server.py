"""The server as a server: connections, limits, time, and what a broken or hostile client gets."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable

import pytest

from redirect.counters import read_all

from .live_worker import Client, ProcessWorker, ThreadWorker, eventually, link

Start = Callable[..., ThreadWorker]
REQUEST = b"GET /spring HTTP/1.1\r\nHost: go.example\r\n\r\n"


def count_of(worker: ThreadWorker, outcome: str) -> int:
    [counters] = read_all(worker.data_dir)
    return counters.values[f"outcome:{outcome}"]


def send_without_end(client: Client, data: bytes, *, pause_s: float = 0.0) -> None:
    """Send until the other side ends it, at most for ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        client.sock.send(data)
        time.sleep(pause_s)


# --- keep-alive, pipelining, ends ---------------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(worker: ThreadWorker) -> None:
    client = worker.connect()
    assert {client.get("/spring").status for _ in range(20)} == {302}
    assert len(worker.lines()) == 20


def test_pipelined_requests_are_answered_in_order(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(
        REQUEST + b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n" + REQUEST + b"HEAD /spring HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert [client.read().status, client.read().status, client.read().status] == [302, 404, 302]
    assert client.read(head_only=True).status == 302
    assert len(worker.lines()) == 2


def test_a_request_may_arrive_byte_by_byte(worker: ThreadWorker) -> None:
    client = worker.connect()
    for byte in b"GET /spring?utm_source=a HTTP/1.1\r\nHost: go.example\r\nUser-Agent: slow\r\n\r\n":
        client.send(bytes([byte]))
    assert client.read().status == 302
    [line] = worker.lines()
    assert (line["user_agent"], line["utm"]) == ("slow", {"utm_source": "a"})


def test_header_names_are_read_in_any_case(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nhOsT: x\r\nuSeR-aGeNt: odd\r\nSEC-gpc: 1\r\n\r\n")
    client.read()
    [line] = worker.lines()
    assert (line["user_agent"], line["consent"]) == ("odd", "gpc")


def test_connection_close_is_honoured(worker: ThreadWorker) -> None:
    client = worker.connect()
    reply = client.get("/spring", Connection="close")
    assert reply.headers["connection"] == "close"
    assert client.at_end()


def test_http_1_0_is_answered_and_closed(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.0\r\n\r\n")
    assert client.read().status == 302
    assert client.at_end()


def test_a_client_that_stops_sending_still_gets_its_answers(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(REQUEST * 3)
    client.sock.shutdown(socket.SHUT_WR)
    assert [client.read().status for _ in range(3)] == [302] * 3
    assert client.at_end()


def test_an_upgrade_is_ignored_and_the_request_answered(worker: ThreadWorker) -> None:
    client = worker.connect()
    assert client.get("/spring", Connection="Upgrade", Upgrade="h2c").status == 302


def test_expect_continue_is_answered_before_the_body(worker: ThreadWorker) -> None:
    client = worker.connect()
    body = b'{"events":[{"name":"page_view"}]}'
    client.send(b"POST /ct/e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert client.read().status == 100
    client.send(body)
    assert client.read().status == 204


def test_a_chunked_body_is_read(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'11\r\n{"events":[{"name\r\n10\r\n":"page_view"}]}\r\n0\r\n\r\n'
    )
    assert client.read().status == 204
    assert worker.lines("touch")[0]["name"] == "page_view"


# --- malformed requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
        b"GET\r\n\r\n",
        b"GET /spring\r\n\r\n",
        b"GET /spring HTTP/9.9\r\nHost: x\r\n\r\n",
        b"get /spring HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /spring HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /spr ing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /spring HTTP/1.1\r\n\r\n",
        b"GET /spring HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /spring HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /spring HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"GET /spring HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /spring HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /ct/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_malformed_request_is_answered_400_and_closed(worker: ThreadWorker, data: bytes) -> None:
    client = worker.connect()
    client.send(data)
    reply = client.read()
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert client.at_end()
    assert worker.lines() == []
    assert count_of(worker, "malformed") == 1


def test_good_requests_before_a_bad_one_are_answered_and_journaled(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(REQUEST + REQUEST + b"NONSENSE\r\n\r\n" + REQUEST)
    assert [client.read().status for _ in range(3)] == [302, 302, 400]
    assert client.at_end()
    assert len(worker.lines()) == 2


def test_what_follows_a_body_of_wrong_length_is_no_request_in_disguise(worker: ThreadWorker) -> None:
    client = worker.connect()
    smuggled = b"GET /spring HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(b"POST /ct/e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(smuggled), smuggled))
    assert client.read().status == 400
    assert worker.lines() == []


# --- limits -------------------------------------------------------------------------------------------------------------------


def test_a_long_target_is_refused(start_worker: Start) -> None:
    worker = start_worker(link(), max_target_bytes=512)
    assert worker.get("/spring?a=" + "x" * 400).status == 302
    client = worker.connect()
    assert client.get("/spring?a=" + "x" * 600).status == 414
    assert client.at_end()


@pytest.mark.parametrize("total", [20_000, 300_000])
def test_large_headers_are_refused(worker: ThreadWorker, total: int) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nHost: x\r\n" + b"X-Pad: %b\r\n" % (b"y" * 1000) * (total // 1000) + b"\r\n")
    assert client.read().status == 431
    assert worker.lines() == []


def test_headers_without_an_end_are_refused_at_the_limit(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nHost: x\r\nX-Endless: ")
    client.send(b"y" * 17_000)
    assert client.read().status == 431


@pytest.mark.parametrize("framing", [b"Content-Length: 70000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n11170\r\n"])
def test_a_large_body_is_refused(worker: ThreadWorker, framing: bytes) -> None:
    client = worker.connect()
    client.send(b"POST /ct/e HTTP/1.1\r\nHost: x\r\n" + framing + b"z" * 70_000)
    assert client.read().status == 413


def test_endless_trailers_are_refused(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"POST /ct/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_without_end(client, b"t" * 10_000, pause_s=0.01)


def test_too_many_connections_are_turned_away_by_name(start_worker: Start) -> None:
    worker = start_worker(link(), max_connections=3)
    held = [worker.connect() for _ in range(3)]
    assert {client.get("/spring").status for client in held} == {302}
    surplus = worker.connect()
    reply = surplus.read()
    assert (reply.status, reply.body) == (503, b"too_many_connections\n")
    assert surplus.at_end()
    held[0].sock.close()
    eventually(lambda: len(worker.worker.server.connections) == 2 if worker.worker.server else False)
    assert worker.get("/spring").status == 302


def test_a_reader_that_does_not_read_stops_being_read_from(worker: ThreadWorker) -> None:
    """Back pressure: the worker must not pile up answers in memory for a client that only sends."""
    client = worker.connect(timeout_s=1.0)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with pytest.raises(TimeoutError):
        send_without_end(client, REQUEST * 100)
    answered = len(worker.lines())
    assert answered < 200_000
    assert worker.get("/spring").status == 302, "other connections are served meanwhile"


# --- time ---------------------------------------------------------------------------------------------------------------------


def test_a_slow_request_is_timed_out(start_worker: Start) -> None:
    worker = start_worker(link(), header_timeout_s=1.0)
    client = worker.connect()
    started = time.monotonic()
    client.send(b"GET /spring HTTP/1.1\r\nHost:")
    reply = client.read()
    assert reply.status == 408
    assert 0.9 < time.monotonic() - started < 4
    assert count_of(worker, "timed_out") == 1


def test_dripping_bytes_do_not_prolong_a_request(start_worker: Start) -> None:
    worker = start_worker(link(), header_timeout_s=1.0)
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nHost: x\r\nX-Drip: ")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_without_end(client, b"y", pause_s=0.05)


def test_an_idle_connection_is_closed(start_worker: Start) -> None:
    worker = start_worker(link(), idle_timeout_s=1.0)
    client = worker.connect()
    client.get("/spring")
    started = time.monotonic()
    assert client.at_end()
    assert 0.9 < time.monotonic() - started < 4


# --- the end of a worker ------------------------------------------------------------------------------------------------------


def test_sigterm_drains_and_every_answer_is_in_the_journal(start_process: Callable[..., ProcessWorker]) -> None:
    process = start_process(link())
    answered, stop = [0], threading.Event()

    def visit() -> None:
        client = process.connect()
        while not stop.is_set():
            try:
                answered[0] += client.get("/spring").status == 302
            except (OSError, EOFError):
                return

    visitor = threading.Thread(target=visit)
    visitor.start()
    time.sleep(0.3)
    process.signal(signal.SIGTERM)
    process.process.join(10)
    stop.set()
    visitor.join(10)
    assert process.process.exitcode == 0
    assert answered[0] > 20
    assert len(process.lines()) == answered[0]


def test_a_replaced_worker_resets_no_new_connection(start_process: Callable[..., ProcessWorker]) -> None:
    """The socket stays open in the supervisor, so connections made between two workers wait in its queue."""
    process = start_process(link())
    process.signal(signal.SIGTERM)
    process.process.join(10)
    waiting = process.connect(timeout_s=20)
    waiting.send(REQUEST)
    process.start(index=1)
    assert waiting.read().status == 302


def test_a_draining_worker_tells_its_clients_to_go(worker: ThreadWorker) -> None:
    client = worker.connect()
    client.send(b"GET /spring HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.1)
    worker.begin_stop()
    time.sleep(0.1)
    client.send(b"\r\n")
    reply = client.read()
    assert (reply.status, reply.headers["connection"]) == (302, "close")
    assert client.at_end()
