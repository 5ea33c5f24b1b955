"""The watch connects to public addresses only, and to exactly the one that was checked."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest

from core.destinations import AllowList
from core.visits.guard import Guard, HopRefused, Target, may_connect, next_url
from tests.redirect.watch.shop import Names

ALLOWED = AllowList(["*.shop.example", "127.0.0.1:9000", "intern.corp:8080", "[::1]:9000"])


def names(**answers: list[list[str]]) -> Names:
    """`shop_example` is `shop.example`."""
    return Names({name.replace("_", "."): given for name, given in answers.items()})


def admit(url: str, server: Names | None = None) -> Target:
    return asyncio.run(Guard(ALLOWED, resolve=server or Names()).admit(url))


def refusal(url: str, server: Names | None = None) -> str:
    with pytest.raises(HopRefused) as caught:
        admit(url, server)
    return caught.value.reason


def test_a_public_name_leads_to_the_address_that_was_checked() -> None:
    target = admit("https://Shop.Example/a?b=1", names(shop_example=[["93.184.215.14"]]))
    assert target.url_at(target.addresses[0]) == "https://93.184.215.14:443/a?b=1"
    assert target.destination.authority == "shop.example"


def test_an_ipv6_address_is_written_as_one() -> None:
    target = admit("https://shop.example/", names(shop_example=[["2606:2800:220:1::1"]]))
    assert target.url_at(target.addresses[0]) == "https://[2606:2800:220:1::1]:443/"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2001:db8::1",
        "fe80::1%eth0",
    ],
)
def test_a_name_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    assert refusal("https://shop.example/", names(shop_example=[[address]])) == "hop_address"


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    assert refusal("https://shop.example/", names(shop_example=[["93.184.215.14", "10.0.0.1"]])) == "hop_address"


def test_a_nat64_address_of_a_public_server_is_public() -> None:
    assert admit("https://shop.example/", names(shop_example=[["64:ff9b::93.184.215.14"]]))


def test_a_name_that_changes_its_answer_is_asked_only_once() -> None:
    server = names(shop_example=[["93.184.215.14"], ["127.0.0.1"]])
    target = admit("http://shop.example/", server)
    assert server.asked == ["shop.example"]
    assert [target.url_at(address) for address in target.addresses] == ["http://93.184.215.14:80/"]
    assert refusal("http://shop.example/", server) == "hop_address", "and the next hop is checked anew"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://127.0.0.1/",
        "http://127.0.0.1:80/",
        "https://10.0.0.1/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_an_address_in_a_redirect_is_checked_like_a_name(url: str) -> None:
    assert refusal(url) == "hop_address"


@pytest.mark.parametrize(
    "url",
    [
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://user:secret@shop.example/",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "//shop.example/",
        "http://shop.example\\@127.0.0.1/",
        "http://shop.example\t/",
        "http:///",
    ],
)
def test_odd_spellings_are_refused_before_any_name_is_asked(url: str) -> None:
    server = names(shop_example=[["93.184.215.14"]])
    assert refusal(url, server) == "hop_malformed"
    assert server.asked == []


@pytest.mark.parametrize("url", ["https://shop.example:8443/", "http://shop.example:22/", "http://shop.example:443/"])
def test_other_ports_need_an_exact_entry(url: str) -> None:
    assert refusal(url, names(shop_example=[["93.184.215.14"]])) == "hop_port"


def test_a_name_without_an_address_says_so() -> None:
    async def nobody(_host: str, _port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    async def empty(_host: str, _port: int) -> Sequence[str]:
        return []

    for resolve in (nobody, empty):
        with pytest.raises(HopRefused) as caught:
            asyncio.run(Guard(ALLOWED, resolve=resolve).admit("https://shop.example/"))
        assert caught.value.reason == "hop_unresolved"


def test_the_systems_own_resolver_is_checked_like_any() -> None:
    with pytest.raises(HopRefused) as caught:
        asyncio.run(Guard(ALLOWED).admit("http://localhost/"))
    assert caught.value.reason == "hop_address"


def test_an_exact_entry_opens_its_host_and_port_and_nothing_else() -> None:
    assert admit("http://127.0.0.1:9000/x").addresses == ("127.0.0.1",)
    assert admit("http://[::1]:9000/").addresses == ("::1",)
    assert admit("http://intern.corp:8080/", names(intern_corp=[["10.9.8.7"]])).addresses == ("10.9.8.7",)
    assert refusal("http://127.0.0.1:9001/") == "hop_port"
    assert refusal("http://127.0.0.2:9000/") == "hop_port"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "0.0.0.0", "::ffff:169.254.169.254", "224.0.0.1"]
)
def test_not_even_an_exact_entry_opens_metadata_addresses(address: str) -> None:
    assert refusal("http://intern.corp:8080/", names(intern_corp=[[address]])) == "hop_address"
    assert not may_connect(ipaddress.ip_address(address), private=True)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "https://shop.example/b"),
        ("b?x=1#top", "https://shop.example/a/b?x=1"),
        ("//cdn.example/", "https://cdn.example/"),
        ("http://shop.example/c", "http://shop.example/c"),
        (" /with blank/ü ", "https://shop.example/with%20blank/%C3%BC"),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_a_location_is_read_from_where_it_was_sent(location: str, expected: str) -> None:
    assert next_url("https://shop.example/a/x", location) == expected
