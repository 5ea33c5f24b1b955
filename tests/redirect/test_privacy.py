"""Consent, truncated networks, the keyed hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirect import privacy
from redirect.privacy import Networks


@pytest.mark.parametrize(
    ("gpc", "parameter", "cookie", "word"),
    [
        (b"", b"", b"", ""),
        (b"1", b"", b"", "gpc"),
        (b"1", b"yes", b"ct_consent=yes", "gpc"),
        (b"0", b"", b"", ""),
        (b"", b"no", b"ct_consent=yes", "no"),
        (b"", b"yes", b"ct_consent=no", "yes"),
        (b"", b"", b"a=1; ct_consent=no", "no"),
        (b"", b"", b"ct_consent=yes", "yes"),
        (b"", b"maybe", b"", ""),
    ],
)
def test_consent_is_one_of_four_words(gpc: bytes, parameter: bytes, cookie: bytes, word: str) -> None:
    decided = privacy.decide_consent(gpc=gpc, parameter=parameter, cookie=cookie)
    assert decided == word
    assert privacy.refused(decided) is (word in ("no", "gpc"))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unknown", ""),
        ("300.1.1.1", ""),
    ],
)
def test_an_address_is_truncated(address: str, network: str) -> None:
    assert privacy.truncate(address) == network


@given(st.ip_addresses())
def test_the_truncated_network_contains_the_address_and_hides_its_end(address: object) -> None:
    network = privacy.truncate(str(address))
    assert network.endswith(("/24", "/48"))


def test_the_hash_tells_addresses_apart_for_one_day_only() -> None:
    networks = Networks(b"salt of monday" * 2)
    network, monday = networks.describe("203.0.113.77")
    assert network == b',"network":"203.0.113.0/24"'
    assert monday == network + b',"network_hash":"%b"' % networks.hash("203.0.113.77").encode()
    assert networks.describe("203.0.113.77") == (network, monday)
    assert networks.describe("203.0.113.78")[1] != monday
    networks.use_salt(b"salt of tuesday" * 2)
    assert networks.describe("203.0.113.77")[0] == network
    assert networks.describe("203.0.113.77")[1] != monday


def test_without_a_salt_nothing_is_hashed() -> None:
    assert Networks().describe("203.0.113.77") == (b',"network":"203.0.113.0/24"',) * 2


def test_what_is_no_address_says_nothing() -> None:
    assert Networks(b"salt" * 8).describe("unknown") == (b"", b"")


@given(st.binary(max_size=200))
def test_any_cookie_header_gives_a_valid_visitor_id_or_none(cookie: bytes) -> None:
    visitor = privacy.visitor_from_cookie(b"ct_vid=" + cookie)
    assert visitor == "" or (len(visitor) == 32 and set(visitor) <= set("0123456789abcdef"))
