"""The door of hooks and postbacks: who calls (behind proxies, too), how often, how much, how slowly."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from app.http import PublicOnly
from collectors.config import DoorConfig
from collectors.door import require_network, subscriber, unmapped
from core.errors import Forbidden
from tests.collectors.internet import ADDRESS, Internet, open_internet, served

CLICK = "0123456789abcdef0123456789abcdef"
PROXY = "10.0.0.7"
Opened = Callable[..., tuple[Internet, str]]


@pytest.fixture
def opened(journal: Any, control: Engine, clock: Any) -> Opened:
    """The listener and a key; `networks` are the sender's, the rest is the door's."""

    def build(*, networks: tuple[str, ...] = (), **door: Any) -> tuple[Internet, str]:
        senders = [{"key": "network", "networks": networks}]
        internet = open_internet(journal, control, clock=clock, door=door, postback={"senders": senders})
        return internet, internet.keys.add("network", scopes=["postback"])

    return build


def call(opened: tuple[Internet, str], *, address: str = ADDRESS, forwarded: list[str] | None = None) -> str:
    """`taken`, or the word of the refusal."""
    internet, key = opened
    headers = [("x-forwarded-for", value) for value in forwarded or []]
    answer = internet.client(address).get(f"/api/v1/postback/{key}", params={"click_id": CLICK}, headers=headers)
    return "taken" if answer.status_code == 200 else str(answer.json()["reason"])


# --- who calls ------------------------------------------------------------------------------------------------------------------

ALLOWED = ("198.51.100.0/24", "2001:db8::/48")
CALLS = {
    "from a network on the list": ("198.51.100.200", None, "taken"),
    "from beside it": ("198.51.101.1", None, "forbidden_address"),
    "from a network on the list, IPv6": ("2001:db8:0:5::1", None, "taken"),
    "from beside it, IPv6": ("2001:db8:1::1", None, "forbidden_address"),
    "as a dual-stack socket writes it": ("::ffff:198.51.100.200", None, "taken"),
    "claiming to be forwarded, without a proxy": (ADDRESS, ["198.51.100.200"], "forbidden_address"),
    "through our proxy": (PROXY, ["198.51.100.200"], "taken"),
    "through our proxy, on a dual-stack socket": (f"::ffff:{PROXY}", ["198.51.100.200"], "taken"),
    "through our proxy, having written a list address itself": (
        PROXY,
        ["198.51.100.200, 203.0.113.9"],
        "forbidden_address",
    ),
    "through our proxy, in a header of its own": (PROXY, ["198.51.100.200", "203.0.113.9"], "forbidden_address"),
    "through two of our proxies": (PROXY, ["198.51.100.200, 10.0.0.8"], "taken"),
    "through our proxy, which says nothing": (PROXY, None, "forbidden_address"),
    "through our proxy, which says nonsense": (PROXY, ["198.51.100.200, unknown"], "forbidden_address"),
    "from no address": ("", None, "forbidden_address"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_sender_may_call_from_its_networks_only(opened: Opened, name: str) -> None:
    address, forwarded, expected = CALLS[name]
    door = opened(networks=ALLOWED, trusted_proxies=["10.0.0.0/8"])
    assert call(door, address=address, forwarded=forwarded) == expected


def test_a_sender_without_a_list_may_call_from_everywhere(opened: Opened) -> None:
    assert call(opened()) == "taken"


def test_an_address_that_is_none_is_in_no_network() -> None:
    with pytest.raises(Forbidden, match="forbidden_address"):
        require_network("testclient", ("0.0.0.0/0",))


def test_a_proxy_that_is_no_network_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        DoorConfig(trusted_proxies=("proxy.example",))


# --- how often ------------------------------------------------------------------------------------------------------------------


def test_an_address_that_sends_too_much_waits_and_others_do_not(opened: Opened, clock: Any) -> None:
    door = opened(address_requests_per_second=0.5)
    assert [call(door) for _ in range(6)] == ["taken"] * 5 + ["rate_limited"]
    assert call(door, address="203.0.113.10") == "taken"
    clock.advance(2_000)
    assert [call(door) for _ in range(2)] == ["taken", "rate_limited"]


def test_wrong_keys_unknown_hooks_and_hooks_count_for_the_same_limit(opened: Opened) -> None:
    internet, _key = opened(address_requests_per_second=0.3)
    client = internet.client()
    tried = [
        client.get("/api/v1/postback/ct_guess"),
        client.post("/api/v1/hooks/nobody", content=b"{}"),
        client.get("/api/v1/postback"),
        client.post("/api/v1/hooks/nobody", content=b"{}"),
    ]
    assert [answer.json()["reason"] for answer in tried] == ["wrong_key", "unknown_hook", "missing_key", "rate_limited"]
    assert (tried[3].status_code, tried[3].headers["retry-after"]) == (429, "10")


def test_all_addresses_of_an_ipv6_customer_are_one(opened: Opened) -> None:
    door = opened(address_requests_per_second=0.1)
    assert call(door, address="2001:db8::1") == "taken"
    assert call(door, address="2001:db8::ffff:2") == "rate_limited"
    assert call(door, address="2001:db8:0:1::1") == "taken"


def test_visitors_of_a_proxy_are_limited_each_for_itself(opened: Opened) -> None:
    door = opened(address_requests_per_second=0.1, trusted_proxies=[PROXY])
    said = [call(door, address=PROXY, forwarded=[f"203.0.113.{last}"]) for last in (1, 2, 1)]
    assert said == ["taken", "taken", "rate_limited"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("203.0.113.9", "203.0.113.9"), ("", ""), ("2001:db8::9%eth0", "2001:db8::"), ("fe80::1", "fe80::")],
)
def test_whose_address_it_is(address: str, expected: str) -> None:
    assert subscriber(address) == expected


def test_only_mapped_addresses_are_unmapped() -> None:
    assert [unmapped(text) for text in ("::ffff:192.0.2.1", "::ffff:1", "192.0.2.1", "")] == [
        "192.0.2.1", "::ffff:1", "192.0.2.1", "",
    ]  # fmt: skip


# --- on a real socket: what a test client cannot do ---------------------------------------------------------------------------------


def exchange(port: int, sent: bytes, *, then_close: bool = False) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        if then_close:
            return ""
        answer = b""
        while block := connection.recv(65_536):
            answer += block
        return answer.decode("utf-8", "replace")


def test_a_real_socket_is_bounded_in_size_time_and_trust(opened: Opened) -> None:
    internet, key = opened(networks=ALLOWED, body_timeout_s=0.2)
    assert isinstance(internet.app, PublicOnly)
    head = f"POST /api/v1/postback/{key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    with served(internet.app) as port:
        # Loopback is no proxy of ours unless the settings say so, whatever the server would do by itself.
        forged = exchange(port, head + b"X-Forwarded-For: 198.51.100.200\r\nContent-Length: 0\r\n\r\n")
        assert "403" in forged.partition("\r\n")[0]
        assert "forbidden_address" in forged
        slow = exchange(port, head + form + b"Content-Length: 100\r\n\r\nclick_id=")
        assert "408" in slow.partition("\r\n")[0]
        assert "too_slow" in slow
        chunk = b"10400\r\n" + b"x" * 0x10400 + b"\r\n"
        large = exchange(port, head + form + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert "413" in large.partition("\r\n")[0]
        assert "body_too_large" in large
        exchange(port, head + form + b"Content-Length: 100\r\n\r\nclick", then_close=True)
        hidden = exchange(port, b"GET /api/v1/campaigns HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert "404" in hidden.partition("\r\n")[0]
