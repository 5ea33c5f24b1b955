"""The short way of reading a request agrees with the long one: what it takes, llhttp reads the same; everything odd it leaves alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redirect import plain_request
from redirect import request as fields
from redirect.parser import Limits, Parser, RequestError
from redirect.request import Request

BROWSER = (
    b"GET /spring?gclid=a1&utm_source=google HTTP/1.1\r\nHost: go.example\r\nUser-Agent: Mozilla/5.0 (X11) caf\xc3\xa9\r\nAccept: */*\r\n"
    b"accept-language: en-GB,en;q=0.9\r\nReferer: https://www.search.example/\r\nCookie: ct_vid=abc; a=b\r\nDNT: 1\r\nX-Empty:\r\n"
    b"Sec-Fetch-Mode: navigate\r\nSec-GPC:1\r\nConnection: keep-alive\r\n\r\n"
)
#: What attacks and broken clients are made of.
PIECES = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00", b"\t", b" ", b":", b" :", b"\x0b", b"\x7f", b"\xa0", b",", b";", b"Host: evil.example\r\n", b"Host: \r\n",
    b"Content-Length: 4\r\n", b"Content-Length: 0\r\n", b"content-length : 4\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n", b"\r\n folded", b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Connection: close, x\r\n",
    b"Expect: 100-continue\r\n", b"Cookie: c=d\r\n", b"User-Agent: two\r\n", b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", b"0\r\n\r\n", b"POST", b"HTTP/1.0",
    b"HTTP/1.1", b" HTTP/1.1", b"GET ", b"#", b"%00", b"//", b"Sec-GPC: 1\r\n", b"X-Empty: \r\n", b"abcd", b"@", b"user@", b"[::1]", b"/",
]  # fmt: skip

Read = tuple[bytes, bytes, list[bytes], bool, bytes]


def short(data: bytes) -> Read | None:
    request = Request()
    taken = plain_request.read(data, request)
    return read_of(request) if taken else None


def long(data: bytes) -> list[Read]:
    """Everything llhttp makes of the bytes; an empty list also when it refuses them or waits for more."""
    taken: list[Read] = []
    parser = Parser(Limits(), take=lambda request: taken.append(read_of(request)), go_on=lambda: None)
    try:
        parser.feed(data)
    except RequestError:
        return []
    return [] if parser.in_request or parser.upgraded else taken


def read_of(request: Request) -> Read:
    return request.method, request.target, list(request.fields), request.keep_alive, request.body


def test_a_browsers_request_is_plain_and_read_alike() -> None:
    assert [short(BROWSER)] == long(BROWSER)
    seen_again = short(BROWSER)
    assert seen_again is not None
    assert seen_again[2][fields.COOKIE] == b"ct_vid=abc; a=b"


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(BROWSER)), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=3)), min_size=1, max_size=3
    )
)  # fmt: skip
def test_whatever_is_mutilated_both_ways_agree(cuts: list[tuple[int, int, bytes]]) -> None:
    data = BROWSER
    for at, length, piece in cuts:
        data = data[:at] + piece + data[at + length :]
    read = short(data)
    if read is not None:
        assert long(data) == [read]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    "before", [b"Host:", b"User-Agent:", b"\r\n\r\n", b" HTTP", b"Cookie:", b": go.example", b"/spring"]
)
def test_every_piece_at_every_seam_both_ways_agree(piece: bytes, before: bytes) -> None:
    data = BROWSER.replace(before, piece + before, 1)
    read = short(data)
    if read is not None:
        assert long(data) == [read]


@pytest.mark.parametrize(
    "data",
    [
        BROWSER.replace(b"GET", b"POST"),
        BROWSER.replace(b"GET", b"HEAD"),
        BROWSER.replace(b"HTTP/1.1", b"HTTP/1.0"),
        BROWSER.replace(b"DNT: 1", b"Content-Length: 0"),
        BROWSER.replace(b"DNT: 1", b"Transfer-Encoding: chunked"),
        BROWSER.replace(b"DNT: 1", b"Expect: 100-continue"),
        BROWSER.replace(b"DNT: 1", b"Cookie: c=d"),
        BROWSER.replace(b"DNT: 1", b"DNT : 1"),
        BROWSER.replace(b"DNT: 1", b"DNT: 1\nContent-Length: 4"),
        BROWSER.replace(b"DNT: 1", b"DNT: 1\x00"),
        BROWSER.replace(b"Connection: keep-alive", b"Connection: Upgrade"),
        BROWSER.replace(b"Host: go.example\r\n", b""),
        BROWSER.replace(b"/spring", b"http://go.example/spring"),
        BROWSER.replace(b"/spring", b"/spring#x"),
        BROWSER + BROWSER,
        BROWSER[:-1],
        BROWSER + b"x",
        b"",
        b"\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(data: bytes) -> None:
    assert short(data) is None


def test_a_connection_to_be_closed_is_plain() -> None:
    read = short(BROWSER.replace(b"keep-alive", b"Close"))
    assert read is not None
    assert read[3] is False


def test_what_is_remembered_is_bounded_and_holds_no_cookie_and_no_address() -> None:
    for number in range(3 * plain_request._MEMO_SIZE):
        short(
            b"GET / HTTP/1.1\r\nHost: x\r\nX-N: %d\r\nCookie: secret=%d\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
            % (number, number)
        )
        short(b"GET / HTTP/1.1\r\nHost: x\r\nX-M: %d\r\n\r\n" % number)
    assert len(plain_request._LINES) <= plain_request._MEMO_SIZE
    assert len(plain_request._BLOCKS) <= plain_request._MEMO_SIZE
    kept = b"".join(plain_request._LINES) + b"".join(plain_request._BLOCKS)
    assert b"secret" not in kept
    assert b"203.0.113.9" not in kept
