"""An e-mail address is never recorded, wherever in the request it stands and however it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS
from core.records import Click
from redirect import events, params
from redirect.params import UTM_PARAMETERS

from .test_redirect_handler import NOW, ask, clicks_of

ADDRESSES = (
    b"eva@x.example",
    b"Eva%40X.example",
    b"eva%2540x.example",
    b"eva%40x%2Eexample",
    b"to+eva@x.example+now",
    b"google:1:eva@x.example",
    b"mailto:eva%40x.example",
    b"https://shop.example/?u=eva%40x.example",
    b"x" * 250 + b"eva@x.example",
    b"%EF%BC%A0eva%EF%BC%A0x.example",
)
OURS = ("ct_campaign", "ct_ad_group", "ct_creative", "ct_keyword", "ct_parallel", "ct_consent", "ct_lpurl", "ct_click")
NAMES = (*IDENTITY_PARAMETERS, *MATCH_PARAMETERS, *UTM_PARAMETERS, *OURS, "email", "a", "user[email]", "q")


def recorded(click: Click) -> str:
    return json.dumps(msgspec.to_builtins(click)).lower()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("name", NAMES)
def test_an_address_in_a_parameter_is_not_recorded(name: str, address: bytes) -> None:
    [click] = clicks_of(ask(b"/spring?%b=%b" % (name.encode(), address), headers={b"User-Agent": b"ua"}))
    assert "eva" not in recorded(click)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("form", [b"https://%b/", b"https://a.example/%b?u=%b", b"%b", b"https://%b@a.example/"])
def test_an_address_in_the_referrer_is_not_recorded(form: bytes, address: bytes) -> None:
    referrer = form.replace(b"%b", address)
    [click] = clicks_of(ask(b"/spring", headers={b"User-Agent": b"ua", b"Referer": referrer}))
    assert "eva" not in recorded(click)


@pytest.mark.parametrize("address", ADDRESSES[:6])
def test_an_address_in_the_path_is_not_recorded(address: bytes) -> None:
    assert ask(b"/spring/" + address).records == ()
    assert ask(b"/" + address).records == ()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("place", ["page", "message", "source", "e-mail", "user.email"])
def test_an_address_in_a_browser_event_is_not_recorded(place: str, address: bytes) -> None:
    text = address.decode()
    page = f"https://shop.example/u/{text}/orders" if place == "page" else "https://shop.example/p"
    attributes = {} if place == "page" else {place: text}
    event = {"name": "js_error", "attributes": attributes}
    body = msgspec.json.encode({"page": page, "events": [event]})
    try:
        touches = events.parse(body, now=NOW, visitor_id="", user_agent="", private=False)
    except events.Invalid:
        return
    assert "eva" not in json.dumps(msgspec.to_builtins(touches)).lower()


def personal_names() -> Iterator[bytes]:
    yield from params.PERSONAL_PARAMETERS
    yield from (b"Email", b"E%6Dail", b"user[email]", b"user%5Bemail%5D", b"customer.email", b"billing-phone")


@pytest.mark.parametrize("name", sorted(personal_names()))
def test_a_personal_parameter_is_passed_on_only_if_the_link_says_so(name: bytes) -> None:
    query = b"a=1&" + name + b"=Eva"
    assert params.read(query, own=frozenset(), pass_personal=False).passed == b"a=1"
    assert unquote(params.read(query, own=frozenset(), pass_personal=True).passed.decode()) == unquote(query.decode())


@pytest.mark.parametrize(
    "name", [b"email_campaign", b"phone_model", b"is_mobile", b"campaign_name", b"mailing", b"tel_aviv"]
)
def test_a_name_that_only_sounds_personal_is_passed_on(name: bytes) -> None:
    assert params.read(name + b"=1", own=frozenset(), pass_personal=False).passed == name + b"=1"


@given(st.sampled_from(NAMES), st.binary(max_size=30), st.binary(max_size=30))
def test_no_surroundings_let_an_address_through(name: str, before: bytes, after: bytes) -> None:
    [click] = clicks_of(ask(b"/spring?%b=%b eva@x.example %b" % (name.encode(), before, after)))
    assert "eva@x" not in recorded(click)
