"""The promise of the public door: whatever the bytes, `Location` leads to a host on the allow-list, or there is none and the answer is 4xx
or 5xx. Judged by a parser of its own that knows nothing of ours: RFC 3986's grammar, written down as one strict expression."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from redirect.handler import World, handle
from redirect.links.model import Link, LinkDefinition
from redirect.links.routing import Rule, Variant, When
from redirect.live_link import to_live
from redirect.rate_limit import HitLimit
from redirect.request import EMPTY_FIELDS, Request
from redirect.signing import Signatures, sign_destination
from tests.core.spellings import ALLOWED, read_spellings

from .live_worker import ThreadWorker, link
from .test_redirect_handler import ENTROPY, NOW, world

_PCHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
STRICT = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
    rf"(?P<path>(?:/{_PCHAR}*)+)(?:\?(?P<query>(?:{_PCHAR}|[/?])*))?(?:#(?P<fragment>(?:{_PCHAR}|[/?])*))?"
)
PRIVATE = {("127.0.0.1", "9000"), ("[::1]", "9000"), ("localhost", "9000")}
PUBLIC = ("shop.example", "xn--mnchen-3ya.example")
KEY = b"k" * 32


def assert_safe(wire: bytes) -> None:
    """Every answer in these bytes: strict header lines, and a Location only to a place that is allowed."""
    for answer in re.split(rb"(?=HTTP/1\.1 [1-5][0-9]{2} )", wire)[1:]:
        assert_head_is_safe(answer.partition(b"\r\n\r\n")[0])


def assert_head_is_safe(head: bytes) -> None:
    status_line, *lines = head.split(b"\r\n")
    assert not re.search(rb"[\x00-\x1f\x7f-\xff]", head.replace(b"\r\n", b"")), (
        "no control character, nothing beyond ASCII"
    )
    status = int(status_line.split(b" ")[1])
    locations = [value for name, _, value in (line.partition(b": ") for line in lines) if name.lower() == b"location"]
    assert len(locations) <= 1
    if not locations:
        assert status >= 400 or status in (100, 200, 204, 304), status_line
        assert not 300 <= status < 304, "a redirect has its Location"
        return
    found = STRICT.fullmatch(locations[0].decode("ascii"))
    assert found, locations[0]
    host, port = found["host"], found["port"]
    public = host in PUBLIC or re.fullmatch(r"(?:[a-z0-9_-]+\.)+wide\.example", host)
    assert (host, port) in PRIVATE or (public and port is None), locations[0]
    assert status in (301, 302, 307)


@cache
def known_spellings() -> list[str]:
    """Without halves of characters, which nothing can write."""
    return [spelling.encode("utf-8", "replace").decode() for rows in read_spellings().values() for spelling, _ in rows]


URLS = st.one_of(
    st.deferred(lambda: st.sampled_from(known_spellings())),
    st.from_regex(r"https?://[\w.@:%\\/?#\[\]-]{0,40}", fullmatch=True),
    st.sampled_from(["https://shop.example/p", "https://shop.example/?own=1#f", "https://a.wide.example/", "http://127.0.0.1:9000/"]),
    st.text(max_size=40),
)  # fmt: skip
WHEN = st.sampled_from(
    [When(query={"a": "*"}), When(query={"a": "1"}), When(days=("mon",)), When(device=("other", "bot"))]
)
VARIANTS = st.lists(st.builds(Variant, name=st.sampled_from("xyz"), destination=URLS), max_size=3).map(tuple)
RULES = st.lists(st.builds(Rule, name=st.sampled_from("pqr"), when=WHEN, destination=URLS), max_size=2).map(tuple)
#: Written past every check, as an older version or a hand in the database might have.
DEFINITIONS = st.builds(
    LinkDefinition,
    slug=st.just("spring"),
    destination=URLS,
    fallback=st.one_of(st.just(""), URLS),
    rules=RULES,
    variants=VARIANTS,
    status=st.sampled_from([301, 302, 307]),
    starts=st.sampled_from(["", "2001-01-01T00:00:00Z", "2090-01-01T00:00:00Z"]),
    expires=st.sampled_from(["", "2001-01-01T00:00:00Z", "2090-01-01T00:00:00Z"]),
    sign=st.sampled_from(["", "campaign", "destination"]),
    disabled=st.booleans(),
    answer=st.sampled_from(["redirect", "unavailable"]),
    pass_personal=st.booleans(),
)
PIECES = st.one_of(
    st.sampled_from(
        [
            b"a=1", b"own=2", b"//evil.example", b"\r\nLocation: https://evil.example/\r\n", b"%0d%0aX: y", b"ct_to=https://evil.example/",
            b"ct_exp=9999999999", b"ct_sig=" + b"A" * 43, b"#@evil.example", b"?url=https://evil.example", b"\\\\evil", b"ct_click=1",
            b"ct_lpurl=https://evil.example", b"utm_source=\xff\x00", b"email=eva@x.example", b"gclid=\r", b"%", b"=", b"&&", b"\xc3\xa4",
        ]
    ),
    st.binary(max_size=24),
)  # fmt: skip


def signed_query(url: str) -> bytes:
    """A query with our true signature, whatever the URL: as if a key were in the wrong hands."""
    return sign_destination(KEY, domain="", slug="spring", destination=url, expires_s=9_999_999_999).encode()


SIGNED = URLS.map(signed_query)
QUERIES = st.lists(st.one_of(PIECES, SIGNED), max_size=5).map(b"&".join)
TARGETS = st.one_of(
    QUERIES.map(lambda query: b"/spring?" + query),
    st.binary(max_size=40).map(lambda tail: b"/spring" + tail),
    st.sampled_from([b"//evil.example/spring", b"https://evil.example/spring", b"http://go.example/spring?a=1", b"/%73pring/", b"/spring/", b"*", b""]),
    st.binary(max_size=60),
)  # fmt: skip
FIELDS = st.lists(
    st.one_of(st.just(b""), st.binary(max_size=24), st.sampled_from([b"1", b"no", b"text/html", b"prefetch", b"ct_vid=" + b"a" * 32])),
    min_size=len(EMPTY_FIELDS),
    max_size=len(EMPTY_FIELDS),
)  # fmt: skip
METHODS = st.sampled_from([b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"\r\n"])


def world_with(definition: LinkDefinition) -> World:
    there = world()
    there.links.put(to_live(Link(link_id="ef" * 16, version=9, definition=definition, updated_at=NOW), allowed=ALLOWED))
    there.signatures = Signatures([KEY])
    return there


@given(DEFINITIONS, METHODS, TARGETS, FIELDS, st.booleans())
@settings(max_examples=600, deadline=None)  # the first hit with a device condition loads the list behind it
def test_whatever_is_asked_of_whatever_link_nobody_is_sent_elsewhere(
    definition: LinkDefinition, method: bytes, target: bytes, fields: list[bytes], limited: bool
) -> None:
    there = world_with(definition)
    if limited:
        there.hits = HitLimit(per_address=0.01, journaled=1)
    for _ in range(2 if limited else 1):
        request = Request(method, target, fields=list(fields), address="203.0.113.7")
        assert_safe(handle(request, world=there, now=NOW, entropy=ENTROPY).wire)


@given(URLS)
@settings(max_examples=400, deadline=None)
def test_a_signature_of_ours_opens_nothing_beyond_the_allow_list(url: str) -> None:
    there = world_with(LinkDefinition(slug="spring", destination="https://shop.example/", sign="destination"))
    request = Request(b"GET", b"/spring?" + signed_query(url))
    assert_safe(handle(request, world=there, now=NOW, entropy=ENTROPY).wire)


LINES = st.one_of(
    st.sampled_from(
        [
            b"Host: go.example", b"Host: evil.example", b"Host: a\x00b", b"Location: https://evil.example/", b"X-Forwarded-Host: evil.example",
            b"X-Original-URL: //evil.example", b"Referer: https://evil.example/", b"Cookie: ct_vid=\xff", b"Content-Length: 5", b"Connection: close",
            b"Transfer-Encoding: chunked", b"Origin: https://evil.example", b"Sec-GPC: 1", b" folded: x", b"Accept: text/html",
        ]
    ),
    st.binary(max_size=30),
)  # fmt: skip


def exchange(port: int, data: bytes) -> bytes:
    """All bytes that come back for these bytes and the end of the input."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := sock.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def test_over_a_real_socket_nobody_is_sent_elsewhere_either(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link(), link("signed", sign="destination"), link("off", disabled=True))

    @given(METHODS, TARGETS, st.lists(LINES, max_size=4), st.sampled_from([b"\r\n", b"\n"]), st.binary(max_size=20))
    @settings(max_examples=150, deadline=None)
    def ask(method: bytes, target: bytes, lines: list[bytes], end: bytes, body: bytes) -> None:
        head = end.join([method + b" " + target + b" HTTP/1.1", *lines])
        received = exchange(worker.port, head + end + end + body)
        if received:
            assert_safe(received)

    ask()
    assert worker.get("/spring").status == 302
