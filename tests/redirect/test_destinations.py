"""Hostile and odd spellings of destinations: refused by name, or brought to one normal form."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import Invalid
from redirect.destinations import AllowList, is_private, normalise

ALLOWED = AllowList(
    ["shop.example", "*.wide.example", "127.0.0.1:9000", "[::1]:9000", "localhost:9000", "münchen.example"]
)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://shop.example", "https://shop.example/"),
        ("HTTPS://SHOP.Example/P", "https://shop.example/P"),
        ("https://shop.example./p", "https://shop.example/p"),
        ("https://shop.example:443/p", "https://shop.example/p"),
        ("http://shop.example:80/p", "http://shop.example/p"),
        ("http://shop.example:0080/p", "http://shop.example/p"),
        ("https://shop.example:/p", "https://shop.example/p"),
        ("https://shop.example?a=1", "https://shop.example/?a=1"),
        ("https://shop.example/a/../b/./c", "https://shop.example/b/c"),
        ("https://shop.example/../../etc", "https://shop.example/etc"),
        ("https://shop.example/a/%2e%2E/b", "https://shop.example/b"),
        ("https://shop.example/%7euser%2fx", "https://shop.example/%7Euser%2Fx"),
        ("https://shop.example/50%", "https://shop.example/50%25"),
        ("https://shop.example/straße?q=ä#ö", "https://shop.example/stra%C3%9Fe?q=%C3%A4#%C3%B6"),
        ('https://shop.example/a"b<c>', "https://shop.example/a%22b%3Cc%3E"),
        ("https://shop.example//double", "https://shop.example//double"),
        ("https://ｓｈｏｐ.example/p", "https://shop.example/p"),
        ("https://münchen.example/", "https://xn--mnchen-3ya.example/"),
        ("https://a.wide.example/", "https://a.wide.example/"),
        ("http://127.0.0.1:9000/p", "http://127.0.0.1:9000/p"),
        ("http://localhost:9000/p", "http://localhost:9000/p"),
        ("http://[0:0::1]:9000/p", "http://[::1]:9000/p"),
    ],
)  # fmt: skip
def test_an_allowed_destination_has_one_normal_form(url: str, normal: str) -> None:
    destination = normalise(url)
    ALLOWED.check(destination)
    assert destination.url == normal
    assert normalise(normal) == destination


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "destination_scheme"),
        ("shop.example/p", "destination_scheme"),
        ("//shop.example/p", "destination_scheme"),
        ("/p", "destination_scheme"),
        ("https:/shop.example", "destination_scheme"),
        ("https:shop.example", "destination_scheme"),
        ("ftp://shop.example/", "destination_scheme"),
        ("javascript:alert(1)", "destination_scheme"),
        ("JaVaScRiPt://shop.example/%0Aalert(1)", "destination_scheme"),
        ("data:text/html,x", "destination_scheme"),
        ("file:///etc/passwd", "destination_scheme"),
        ("view-source:https://shop.example", "destination_scheme"),
        ("https://shop.example/\r\nSet-Cookie: a=b", "destination_characters"),
        ("https://shop.example/\n", "destination_characters"),
        ("https://shop.exa\tmple/", "destination_characters"),
        (" https://shop.example/", "destination_characters"),
        ("https://shop.example /", "destination_characters"),
        ("https://shop.example/a b", "destination_characters"),
        ("https://shop.example/\x00", "destination_characters"),
        ("https://shop.example/\x7f", "destination_characters"),
        ("https://shop.example/\u200b", "destination_characters"),
        ("https://shop.example/\u202egnp", "destination_characters"),
        ("https://shop.example/\u2028", "destination_characters"),
        ("https://shop.example\\@evil.example/", "destination_backslash"),
        ("https:\\\\shop.example/", "destination_backslash"),
        ("https://evil.example\\.shop.example/", "destination_backslash"),
        ("https://user@shop.example/", "destination_credentials"),
        ("https://user:pass@shop.example/", "destination_credentials"),
        ("https://shop.example@evil.example/", "destination_credentials"),
        ("https://shop.example:443@evil.example/", "destination_credentials"),
        ("https://@shop.example/", "destination_credentials"),
        ("https:///p", "destination_host"),
        ("https://?a=1", "destination_host"),
        ("https://#a", "destination_host"),
        ("https://.shop.example/", "destination_host"),
        ("https://shop..example/", "destination_host"),
        ("https://-shop.example/", "destination_host"),
        ("https://shop.example../", "destination_host"),
        ("https://shop%2eexample/", "destination_host"),
        ("https://shop.example%00.evil.example/", "destination_host"),
        ("https://shop.example%2f@evil.example/", "destination_credentials"),
        ("https://shop.example%2fevil.example/", "destination_host"),
        ("https://shop.example,evil.example/", "destination_host"),
        ("https://shop.example;evil.example/", "destination_host"),
        ("https://" + "a" * 64 + ".example/", "destination_host"),
        ("https://127.1/", "destination_host"),
        ("https://2130706433/", "destination_host"),
        ("https://0x7f000001/", "destination_host"),
        ("https://0x7f.0.0.1/", "destination_host"),
        ("https://0177.0.0.1/", "destination_host"),
        ("https://127.0.0.1.1/", "destination_host"),
        ("https://256.0.0.1/", "destination_host"),
        ("https://１２７.1/", "destination_host"),
        ("https://[::1/", "destination_host"),
        ("https://[]/", "destination_host"),
        ("https://[fe80::1%25eth0]/", "destination_host"),
        ("https://[::ffff:127.0.0.1]/", "destination_host"),
        ("https://[127.0.0.1]/", "destination_host"),
        ("https://shop.example:0/", "destination_port"),
        ("https://shop.example:65536/", "destination_port"),
        ("https://shop.example:99999999999/", "destination_port"),
        ("https://shop.example:+443/", "destination_port"),
        ("https://shop.example:４４３/", "destination_port"),
        ("https://shop.example:443:443/", "destination_host"),
        ("https://shop.example/?ct_click=1", "destination_reserved_parameter"),
        ("https://shop.example/" + "a" * 3000, "destination_too_long"),
        ("https://shop.example/" + "ä" * 1000, "destination_too_long"),
        ("https://evil.example/", "destination_not_allowed"),
        ("https://shop.example.evil.example/", "destination_not_allowed"),
        ("https://evilshop.example/", "destination_not_allowed"),
        ("https://wide.example/", "destination_not_allowed"),
        ("https://evilwide.example/", "destination_not_allowed"),
        ("https://shop.example:8443/", "destination_not_allowed"),
        ("http://shop.example:443/", "destination_not_allowed"),
        ("https://ѕhop.example/", "destination_not_allowed"),
        ("https://evil.example/https://shop.example/", "destination_not_allowed"),
        ("https://evil.example?https://shop.example/", "destination_not_allowed"),
        ("https://evil.example#@shop.example/", "destination_not_allowed"),
        ("https://127.0.0.1/", "destination_private"),
        ("https://127.0.0.1:9001/", "destination_private"),
        ("http://10.0.0.1/", "destination_private"),
        ("http://192.168.1.1/", "destination_private"),
        ("http://172.16.0.1/", "destination_private"),
        ("http://169.254.169.254/latest/meta-data/", "destination_private"),
        ("http://0.0.0.0/", "destination_private"),
        ("http://[::]/", "destination_private"),
        ("http://[::1]/", "destination_private"),
        ("http://[fd00::1]/", "destination_private"),
        ("http://[fe80::1]/", "destination_private"),
        ("http://localhost/", "destination_private"),
        ("http://LOCALHOST./", "destination_private"),
        ("http://a.localhost/", "destination_private"),
        ("http://printer.local/", "destination_private"),
        ("http://intranet/", "destination_private"),
        ("http://db.internal/", "destination_private"),
    ],
)
def test_a_hostile_spelling_is_refused_by_name(url: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        ALLOWED.check(normalise(url))
    assert refused.value.reason == reason


def test_an_empty_allow_list_allows_nothing() -> None:
    with pytest.raises(Invalid, match="empty"):
        AllowList([]).check(normalise("https://shop.example/"))


@pytest.mark.parametrize("entry", ["https://shop.example", "shop.example/p", "a b", "", "*.", "user@shop.example", "*"])
def test_a_malformed_entry_is_refused_when_the_settings_are_read(entry: str) -> None:
    with pytest.raises(Invalid):
        AllowList([entry])


def test_public_addresses_are_no_private_ones() -> None:
    assert not is_private("93.184.216.34")
    assert not is_private("[2606:4700::1111]")
    assert not is_private("shop.example")


@given(st.one_of(st.text(max_size=80), st.from_regex(r"https?://[\w.@:%\\/?#\[\]-]{0,40}", fullmatch=True)))
@example("https://shop.example:443/%2e%2e//evil.example")
@example("https://shop.example/..//evil.example/")
def test_whatever_passes_is_on_the_list_by_any_reading(url: str) -> None:
    """A second parser must see the same host, and nothing in the normal form may end a header line."""
    try:
        destination = normalise(url)
        ALLOWED.check(destination)
    except Invalid:
        return
    rendered = destination.url
    assert normalise(rendered) == destination
    assert rendered.isascii()
    assert rendered.isprintable()
    assert " " not in rendered
    assert urlsplit(rendered).hostname == destination.host.strip("[]")
    assert urlsplit(rendered).username is None
