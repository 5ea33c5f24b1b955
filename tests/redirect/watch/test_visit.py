"""A look at a destination: real servers on loopback, hostile redirects, hostile name servers, real certificates."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from core.clock import DAY_MS
from core.destinations import AllowList
from core.visits.guard import Guard
from redirect.watch.check import Observation
from redirect.watch.visit import Visitor, title_of, with_click, without_click

from .shop import Names, Shop

CLICK = "0af7651916cd43dd8448eb211c80319c"
Open = Callable[..., Shop]


@pytest.fixture
def open_shop() -> Iterator[Open]:
    shops: list[Shop] = []

    def start(**options: Any) -> Shop:
        shops.append(Shop(**options))
        return shops[-1]

    yield start
    for shop in shops:
        shop.close()


@pytest.fixture
def shop(open_shop: Open) -> Shop:
    return open_shop()


def look(
    url: str, *, allowed: list[str], names: Names | None = None, tls: ssl.SSLContext | None = None, **options: Any
) -> Observation:
    guard = Guard(AllowList(allowed), resolve=names or Names())
    visitor = Visitor(guard, **{"timeout_s": 30.0, "max_hops": 3, "tls": tls, **options})
    return asyncio.run(visitor.look(url, click_id=CLICK))


def local(shop: Shop, path: str = "/p", **options: Any) -> Observation:
    return look(f"http://127.0.0.1:{shop.port}{path}", allowed=[f"127.0.0.1:{shop.port}"], **options)


def test_a_page_is_seen_as_a_click_would_see_it(shop: Shop) -> None:
    seen = local(shop, "/p?size=m#top")
    assert shop.visits == [f"/p?size=m&ct_click={CLICK}"]
    assert (seen.statuses, seen.http_status, seen.hops, seen.failure) == ((200,), 200, 0, "")
    assert seen.final_url == f"http://127.0.0.1:{shop.port}/p?size=m"
    assert seen.title == "Spring sale"
    assert seen.click_id_survived
    assert 0 <= seen.ttfb_ms < 30_000


def test_the_visit_says_who_it_is_and_brings_nothing_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert local(shop).http_status == 200
    [headers] = shop.headers
    assert "clicktrace-watch/" in headers["user-agent"]
    assert headers["host"] == f"127.0.0.1:{shop.port}"
    assert not {"cookie", "authorization", "referer", "proxy-authorization"} & set(headers)


def test_a_long_destination_is_no_longer_too_long_because_of_its_click_id(shop: Shop) -> None:
    assert local(shop, "/p?x=" + "y" * 2_000).http_status == 200


def test_redirects_are_followed_and_counted(shop: Shop) -> None:
    shop.redirect("/p", "/q", status=301)
    shop.redirect("/q", f"http://127.0.0.1:{shop.port}/end", status=308)
    seen = local(shop)
    assert (seen.statuses, seen.hops) == ((301, 308, 200), 2)
    assert seen.final_url.endswith("/end")
    assert seen.click_id_survived


def test_a_redirect_that_drops_the_query_loses_the_click_id(shop: Shop) -> None:
    shop.redirect("/p", "/q", keep_query=False)
    assert not local(shop).click_id_survived


def test_a_circle_ends_at_the_limit(shop: Shop) -> None:
    shop.redirect("/p", "/p", keep_query=False)
    seen = local(shop)
    assert (seen.failure, len(shop.visits)) == ("too_many_hops", 4)


def test_no_cookie_is_carried_from_hop_to_hop(shop: Shop) -> None:
    shop.answers["/p"] = (302, {"Location": "/q", "Set-Cookie": "session=1"}, b"")
    assert local(shop).http_status == 200
    assert all("cookie" not in headers for headers in shop.headers)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/",
        "http://0x7f000001:{port}/",
        "http://2130706433:{port}/",
        "http://127.1:{port}/",
        "http://localhost:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://127.0.0.1:{trap}/",
        "http://user:secret@127.0.0.1:{port}/",
        "https://10.0.0.1/",
        "ftp://127.0.0.1:{port}/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://shop.example\\@127.0.0.1:{port}/",
    ],
)
def test_a_hostile_redirect_is_not_followed(shop: Shop, open_shop: Open, location: str) -> None:
    trap = open_shop()
    shop.answers["/p"] = (302, {"Location": location.format(port=shop.port, trap=trap.port)}, b"")
    seen = local(shop)
    assert seen.failure == "unsafe_hop"
    assert trap.visits == []
    assert len(shop.visits) == 1


def test_the_connection_goes_to_the_address_that_was_checked(open_shop: Open) -> None:
    """A name server that answers one address to the check and another one to whoever asks next."""
    shop = open_shop()
    trap = open_shop(host="127.0.0.2", port=shop.port)
    names = Names({"intern.corp": [["127.0.0.1"], ["127.0.0.2"]]})
    seen = look(f"http://intern.corp:{shop.port}/p", allowed=[f"intern.corp:{shop.port}"], names=names)
    assert (seen.http_status, names.asked, trap.visits) == (200, ["intern.corp"], [])
    assert shop.headers[0]["host"] == f"intern.corp:{shop.port}"


def test_a_name_that_turns_private_between_two_hops_is_left_alone(shop: Shop) -> None:
    shop.redirect("/p", "http://rebind.example/")
    names = Names({"intern.corp": [["127.0.0.1"]], "rebind.example": [["127.0.0.1"]]})
    seen = look(
        f"http://intern.corp:{shop.port}/p", allowed=[f"intern.corp:{shop.port}", "rebind.example"], names=names
    )
    assert seen.failure == "unsafe_hop"
    assert "hop_address" in seen.detail


def test_a_second_address_is_tried_when_the_first_refuses(open_shop: Open) -> None:
    shop = open_shop(host="127.0.0.2")
    names = Names({"intern.corp": [["127.0.0.3", "127.0.0.2"]]})
    seen = look(f"http://intern.corp:{shop.port}/p", allowed=[f"intern.corp:{shop.port}"], names=names)
    assert seen.http_status == 200


def test_nobody_there_is_unreachable(shop: Shop) -> None:
    shop.close()
    assert local(shop).failure == "unreachable"


def test_a_server_that_says_nothing_ends_at_the_deadline(shop: Shop) -> None:
    shop.delay_s = 30.0
    started = time.monotonic()
    assert local(shop, timeout_s=0.3).failure == "timed_out"
    assert time.monotonic() - started < 15.0


def test_the_deadline_holds_for_all_hops_together(shop: Shop) -> None:
    shop.delay_s = 0.25
    shop.redirect("/p", "/q")
    shop.redirect("/q", "/r")
    assert local(shop, timeout_s=0.6).failure == "timed_out"


def test_a_page_without_end_is_read_at_its_beginning_only(shop: Shop) -> None:
    shop.answers["/p"] = (200, {}, b"<p>" + b"x" * 3_000_000 + b"<title>late</title>")
    seen = local(shop)
    assert (seen.http_status, seen.title) == (200, "")


def test_headers_without_end_are_refused(shop: Shop) -> None:
    shop.answers["/p"] = (200, {"X-Long": "x" * 300_000}, b"")
    assert local(shop).failure == "unreachable"


def test_an_error_page_is_no_failure_of_the_look(shop: Shop) -> None:
    shop.answers["/p"] = (503, {}, b"<title>Down</title>")
    seen = local(shop)
    assert (seen.http_status, seen.failure, seen.title) == (503, "", "Down")


def test_only_the_hops_that_are_told_get_more_headers(shop: Shop, open_shop: Open) -> None:
    other = open_shop()
    shop.redirect("/p", f"http://127.0.0.1:{other.port}/q")
    seen = look(
        f"http://127.0.0.1:{shop.port}/p",
        allowed=[f"127.0.0.1:{shop.port}", f"127.0.0.1:{other.port}"],
        headers_for=lambda destination: {"X-Mark": "secret"} if destination.port == shop.port else {},
    )
    assert seen.http_status == 200
    assert shop.headers[0]["x-mark"] == "secret"
    assert "x-mark" not in other.headers[0]


class Authority:
    """A certificate authority that this test's visitor trusts."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.trust = ssl.create_default_context()
        self.ca.configure_trust(self.trust)

    def serve(self, name: str, *, ends: timedelta = timedelta(days=90)) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name, not_after=datetime.now(UTC) + ends).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def secure(shop: Shop, authority: Authority, host: str = "shop.corp") -> Observation:
    names = Names({host: [["127.0.0.1"]]})
    return look(f"https://{host}:{shop.port}/p", allowed=[f"{host}:{shop.port}"], names=names, tls=authority.trust)


def test_a_certificate_is_checked_against_the_name_although_we_connect_to_an_address(
    open_shop: Open, authority: Authority
) -> None:
    seen = secure(open_shop(tls=authority.serve("shop.corp")), authority)
    assert (seen.http_status, seen.failure) == (200, "")
    days = (seen.certificate_expires - time.time() * 1000) / DAY_MS
    assert 89 < days <= 90


def test_the_end_of_an_expiring_certificate_is_seen(open_shop: Open, authority: Authority) -> None:
    seen = secure(open_shop(tls=authority.serve("shop.corp", ends=timedelta(days=3))), authority)
    assert 2 < (seen.certificate_expires - time.time() * 1000) / DAY_MS <= 3


def test_an_expired_certificate_is_refused(open_shop: Open, authority: Authority) -> None:
    seen = secure(open_shop(tls=authority.serve("shop.corp", ends=timedelta(days=-1))), authority)
    assert seen.failure == "certificate_invalid"
    assert "expired" in seen.detail


def test_a_certificate_of_another_name_is_refused(open_shop: Open, authority: Authority) -> None:
    assert secure(open_shop(tls=authority.serve("other.corp")), authority).failure == "certificate_invalid"


def test_a_certificate_of_a_stranger_is_refused(open_shop: Open, authority: Authority) -> None:
    assert secure(open_shop(tls=Authority().serve("shop.corp")), authority).failure == "certificate_invalid"


def test_leaving_https_is_seen(open_shop: Open, authority: Authority) -> None:
    plain = open_shop()
    shop = open_shop(tls=authority.serve("shop.corp"))
    shop.redirect("/p", f"http://127.0.0.1:{plain.port}/q")
    seen = look(
        f"https://shop.corp:{shop.port}/p",
        allowed=[f"shop.corp:{shop.port}", f"127.0.0.1:{plain.port}"],
        names=Names({"shop.corp": [["127.0.0.1"]]}),
        tls=authority.trust,
    )
    assert (seen.statuses, seen.https_left) == ((302, 200), True)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.example/", "https://a.example/?ct_click=1"),
        ("https://a.example/p?x=1", "https://a.example/p?x=1&ct_click=1"),
        ("https://a.example/p?x=1#f", "https://a.example/p?x=1&ct_click=1"),
    ],
)
def test_the_click_id_is_added_and_taken_off_again(url: str, sent: str) -> None:
    assert with_click(url, "1") == sent
    assert without_click(sent) == url.partition("#")[0]


def test_titles_are_one_line_of_text() -> None:
    assert title_of(b"<TITLE lang=de>\n Gr\xc3\xb6\xc3\x9fen &amp;\n Preise</TITLE>") == "Größen & Preise"
    assert title_of(b"no title here") == ""
