"""Limits on hits: per address and per network, journaled only as far as it is safe, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from core.rate_limit import RateLimit
from core.records import Click
from redirect.handler import Answer, World, handle
from redirect.rate_limit import HitLimit
from redirect.request import EMPTY_FIELDS, PURPOSE, Request

from .live_worker import ThreadWorker, link
from .test_redirect_handler import ENTROPY, NOW, world


def limited_world(**limits: float) -> World:
    there = world()
    there.hits = HitLimit(**limits)
    return there


def hit(
    there: World, *, address: str = "203.0.113.7", now: int = NOW, target: bytes = b"/spring", **fields: bytes
) -> Answer:
    held = EMPTY_FIELDS.copy()
    held[PURPOSE] = fields.get("purpose", b"")
    request = Request(fields.get("method", b"GET"), target, fields=held, address=address)
    return handle(request, world=there, now=now, entropy=ENTROPY)


def outcomes(there: World, count: int, **how: object) -> list[str]:
    return [hit(there, **how).outcome for _ in range(count)]  # type: ignore[arg-type]


def test_ten_seconds_worth_may_come_at_once_and_then_the_rate_holds() -> None:
    there = limited_world(per_address=2)
    assert outcomes(there, 22) == ["redirected"] * 20 + ["rate_limited"] * 2
    assert outcomes(there, 2, now=NOW + 500) == ["redirected", "rate_limited"]
    assert outcomes(there, 21, now=NOW + 60_000) == ["redirected"] * 20 + ["rate_limited"]


def test_one_address_over_its_limit_stops_no_other() -> None:
    there = limited_world(per_address=1)
    assert outcomes(there, 11)[-1] == "rate_limited"
    assert outcomes(there, 1, address="203.0.113.8") == ["redirected"]


def test_a_network_has_a_limit_of_its_own() -> None:
    there = limited_world(per_network=1)
    answers = [hit(there, address=f"203.0.113.{number}").outcome for number in range(12)]
    assert answers == ["redirected"] * 10 + ["rate_limited"] * 2
    assert outcomes(there, 1, address="198.51.100.1") == ["redirected"]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
def test_an_address_is_a_subscriber(first: str, second: str, shared: bool) -> None:
    there = limited_world(per_address=0.1)
    assert hit(there, address=first).outcome == "redirected"
    assert (hit(there, address=second).outcome == "rate_limited") is shared


@pytest.mark.parametrize("address", ["", "unknown"])
def test_without_an_address_nobody_is_limited(address: str) -> None:
    there = limited_world(per_address=0.1, per_network=0.1)
    assert outcomes(there, 3, address=address) == ["redirected"] * 3


def test_a_refused_hit_says_when_to_come_back_and_is_a_lost_click() -> None:
    there = limited_world(per_address=0.1, journaled=5)
    hit(there)
    refused = hit(there, target=b"/spring?utm_source=x")
    [record] = refused.records
    click = msgspec.json.decode(record, type=Click)
    assert refused.wire.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 10\r\n" in refused.wire
    assert (click.reason, click.http_status, click.slug, click.utm) == (
        "rate_limited",
        429,
        "spring",
        {"utm_source": "x"},
    )
    assert click.campaign == "google:1:2"


def test_an_attack_does_not_fill_the_disk() -> None:
    there = limited_world(per_address=0.1, journaled=5)
    hit(there)
    answers = [hit(there, now=NOW + second * 1000) for second in range(3) for _ in range(1000)]
    assert {answer.outcome for answer in answers} == {"rate_limited"}
    assert sum(len(answer.records) for answer in answers) == 50 + 2 * 5


def test_nothing_is_journaled_when_the_settings_say_so() -> None:
    there = limited_world(per_address=0.1, journaled=0)
    hit(there)
    assert hit(there).records == ()


@pytest.mark.parametrize(("how", "value"), [("method", b"HEAD"), ("purpose", b"prefetch")])
def test_what_would_be_no_click_is_no_lost_click_either(how: str, value: bytes) -> None:
    there = limited_world(per_address=0.1, journaled=5)
    hit(there)
    answer = hit(there, **{how: value})
    assert (answer.outcome, answer.records) == ("rate_limited", ())


def test_trying_out_slugs_is_limited_too() -> None:
    there = limited_world(per_address=1)
    assert outcomes(there, 11, target=b"/nothing") == ["unknown_slug"] * 10 + ["rate_limited"]


def test_without_settings_there_is_no_limit() -> None:
    assert not HitLimit().on
    assert set(outcomes(world(), 200)) == {"redirected"}


def test_memory_is_bounded_and_a_flood_of_addresses_frees_nobody() -> None:
    limit = RateLimit(per_second=1)
    for _ in range(20):
        limit.allows("busy", now=NOW)
    for number in range(200_000):
        limit.allows(str(number), now=NOW)
        if number % 1000 == 0:
            assert not limit.allows("busy", now=NOW)
    assert len(limit) <= 65_536


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    limit = RateLimit(per_second=1)
    assert [limit.allows("a", now=NOW) for _ in range(11)][-1] is False
    assert not limit.allows("a", now=NOW - 3_600_000)
    assert limit.allows("a", now=NOW + 1000)


def test_behind_a_trusted_proxy_the_visitor_is_limited_not_the_proxy(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link(), address_hits_per_second=0.1, trusted_proxies=["127.0.0.1/32"])
    one, other = {"X_Forwarded_For": "6.6.6.6, 203.0.113.7"}, {"X_Forwarded_For": "6.6.6.6, 203.0.113.8"}
    assert [worker.get("/spring", **who).status for who in (one, one, other)] == [302, 429, 302]
    assert [line["reason"] for line in worker.lines()] == ["redirected", "rate_limited", "redirected"]
