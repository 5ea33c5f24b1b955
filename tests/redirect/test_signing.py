"""Signed links through the handler: what a signature opens, what it does not, and how tampering shows."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.destinations import AllowList
from core.records import Click
from redirect.handler import Answer, handle
from redirect.links.model import Link, LinkDefinition
from redirect.live_link import to_live
from redirect.request import Request
from redirect.signing import Signatures, sign_campaign, sign_destination

from .test_redirect_handler import ENTROPY, NOW, world

KEY, OLD_KEY, STRANGE_KEY = b"k" * 32, b"o" * 32, b"s" * 32
ALLOWED = AllowList(["shop.example", "*.wide.example"])
NOW_S = NOW // 1000
TO = "https://shop.example/a?b=1#c"


def ask(
    query: str, *, now: int = NOW, keys: tuple[bytes, ...] = (KEY, OLD_KEY), method: bytes = b"GET", **fields: object
) -> Answer:
    there = world()
    values = {"slug": "spring", "destination": "https://shop.example/own", "sign": "destination", **fields}
    definition = msgspec.convert(values, LinkDefinition)
    there.links.put(to_live(Link(link_id="cd" * 16, version=9, definition=definition, updated_at=NOW), allowed=ALLOWED))
    there.signatures = Signatures(keys)
    return handle(Request(method, f"/spring?{query}".encode()), world=there, now=now, entropy=ENTROPY)


def click_of(answer: Answer) -> Click:
    [record] = answer.records
    return msgspec.json.decode(record, type=Click)


def location(answer: Answer) -> str:
    for line in answer.wire.decode().split("\r\n"):
        if line.startswith("Location: "):
            return line.removeprefix("Location: ")
    return ""


def signed(
    to: str = TO, *, key: bytes = KEY, expires_s: int = NOW_S + 60, slug: str = "spring", domain: str = ""
) -> str:
    return sign_destination(key, domain=domain, slug=slug, destination=to, expires_s=expires_s)


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_a_signed_destination_is_where_the_hit_goes(key: bytes) -> None:
    answer = ask(signed(key=key) + "&utm_source=mail&b=2")
    click = click_of(answer)
    assert location(answer) == f"https://shop.example/a?b=1&utm_source=mail&ct_click={click.click_id}#c"
    assert (click.reason, click.page, click.routing) == ("redirected", "shop.example/a", ["signed"])


def test_without_a_destination_in_the_query_the_link_leads_where_it_always_did() -> None:
    answer = ask("ct_sig=x&ct_exp=1&a=1")
    assert location(answer).startswith("https://shop.example/own?a=1&ct_click=")
    assert click_of(answer).routing == ["destination"]


def test_a_link_that_is_not_for_signed_destinations_ignores_them() -> None:
    answer = ask(signed(), sign="")
    assert location(answer).startswith("https://shop.example/own?ct_click=")


@pytest.mark.parametrize(
    ("query", "word", "status"),
    [
        ("ct_to=" + quote(TO, safe=""), "signature_missing", 403),
        ("ct_to=&ct_exp=&ct_sig=", "signature_missing", 403),
        (signed().partition("&ct_sig")[0], "signature_missing", 403),
        (signed().replace("&ct_exp", "&x"), "signature_missing", 403),
        (signed().replace("shop.example", "shop.exampl"), "signature_invalid", 403),
        (signed() + "A", "signature_invalid", 403),
        (signed()[:-1], "signature_invalid", 403),
        (signed()[:-22], "signature_invalid", 403),
        (signed(key=STRANGE_KEY), "signature_invalid", 403),
        (signed(slug="summer"), "signature_invalid", 403),
        (signed(domain="go.example"), "signature_invalid", 403),
        (signed().replace(f"ct_exp={NOW_S + 60}", f"ct_exp={NOW_S + 61}"), "signature_invalid", 403),
        (signed().replace(f"ct_exp={NOW_S + 60}", f"ct_exp=0{NOW_S + 60}"), "signature_invalid", 403),
        (signed().replace("ct_exp=", "ct_exp=%2B"), "signature_invalid", 403),
        ("ct_to=javascript:alert(1)&ct_exp=9999999999&ct_sig=" + "A" * 43, "signature_invalid", 403),
        ("ct_to=%FF&ct_exp=9999999999&ct_sig=" + "A" * 43, "signature_invalid", 403),
        ("ct_to=" + "a" * 4000 + "&ct_exp=9999999999&ct_sig=" + "A" * 43, "signature_invalid", 403),
        ("ct_to=https://shop.example/&" + signed(), "signature_invalid", 403),
        (signed(expires_s=NOW_S), "signature_expired", 410),
        (signed(expires_s=NOW_S - 86_400), "signature_expired", 410),
        (signed("https://evil.example/"), "destination_not_allowed", 403),
        (signed("http://127.0.0.1/"), "destination_not_allowed", 403),
    ],
)  # fmt: skip
def test_what_is_not_signed_properly_is_a_lost_click_with_its_word(query: str, word: str, status: int) -> None:
    answer = ask(query)
    click = click_of(answer)
    assert location(answer) == ""
    assert (answer.outcome, click.reason, click.http_status) == (word, word, status)
    assert click.routing == (
        ["signed", word, "lost"] if word == "destination_not_allowed" else [f"signature:{word}", "lost"]
    )


def test_without_keys_nothing_verifies() -> None:
    assert ask(signed(), keys=()).outcome == "signature_invalid"


def test_a_signature_may_be_written_whole_or_halved_in_base64url_or_hex() -> None:
    query, _, whole = signed().rpartition("=")
    digest = urlsafe_b64decode(whole + "=")
    half = urlsafe_b64encode(digest[:16]).decode().rstrip("=")
    for form in (whole, half, digest.hex(), digest[:16].hex()):
        assert ask(f"{query}={form}").outcome == "redirected", form
    for form in (digest[:12].hex(), digest.hex().upper(), whole[:32], half[:16]):
        assert ask(f"{query}={form}").outcome == "signature_invalid", form


def test_a_destination_is_signed_in_its_normal_form_whatever_its_spelling() -> None:
    query = signed("https://shop.example/p")
    for spelling in ("HTTPS://Shop.Example:443/p", "https://shop.example/a/../p", "https%3A%2F%2Fshop.example%2Fp"):
        changed = f"ct_to={spelling}&" + query.partition("&")[2]
        assert location(ask(changed)).startswith("https://shop.example/p?ct_click=")


def test_a_closed_link_stays_closed() -> None:
    assert ask(signed(), disabled=True).outcome == "disabled"
    assert ask(signed(), expires="2001-01-01T00:00:00Z").outcome == "expired"
    fallback = ask(signed(), expires="2001-01-01T00:00:00Z", fallback="https://shop.example/over")
    assert location(fallback).startswith("https://shop.example/over?")


def test_a_verified_destination_expires_although_it_is_remembered() -> None:
    signatures = Signatures([KEY])
    there = world()
    definition = LinkDefinition(slug="spring", destination="https://shop.example/own", sign="destination")
    there.links.put(to_live(Link(link_id="cd" * 16, version=9, definition=definition, updated_at=NOW), allowed=ALLOWED))
    there.signatures = signatures
    request = Request(b"GET", f"/spring?{signed()}".encode())
    outcomes = [
        handle(request, world=there, now=now, entropy=ENTROPY).outcome for now in (NOW, NOW + 59_999, NOW + 60_000, NOW)
    ]
    assert outcomes == ["redirected", "redirected", "signature_expired", "redirected"]
    signatures.use_keys([OLD_KEY])
    assert handle(request, world=there, now=NOW, entropy=ENTROPY).outcome == "signature_invalid"


def test_only_what_verifies_is_remembered_and_not_without_bound() -> None:
    there = world()
    definition = LinkDefinition(slug="spring", destination="https://shop.example/own", sign="destination")
    there.links.put(to_live(Link(link_id="cd" * 16, version=9, definition=definition, updated_at=NOW), allowed=ALLOWED))
    there.signatures = Signatures([KEY])
    for number in range(5000):
        handle(
            Request(b"GET", f"/spring?ct_to={number}&ct_exp=9&ct_sig={'A' * 43}".encode()),
            world=there,
            now=NOW,
            entropy=ENTROPY,
        )
    assert len(there.signatures._memo) == 0
    for number in range(5000):
        query = signed(f"https://shop.example/{number}")
        handle(Request(b"GET", f"/spring?{query}".encode()), world=there, now=NOW, entropy=ENTROPY)
    assert 0 < len(there.signatures._memo) <= 4096


@given(st.text(max_size=60), st.text(max_size=12), st.text(max_size=70))
def test_no_query_opens_anything_without_the_key(to: str, expiry: str, signature: str) -> None:
    query = f"ct_to={quote(to, safe='')}&ct_exp={quote(expiry, safe='')}&ct_sig={quote(signature, safe='')}"
    assert ask(query).outcome in ("signature_missing", "signature_invalid")


# --- campaign parameters -------------------------------------------------------------------------------------------------------

PARAMETERS = {"utm_source": "news letter", "utm_campaign": "größe", "ct_campaign": "other:1:2"}
CAMPAIGN = sign_campaign(KEY, domain="", slug="spring", parameters=PARAMETERS)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (CAMPAIGN, ""),
        ("&".join(reversed(CAMPAIGN.split("&"))), ""),
        (CAMPAIGN + "&gclid=x&a=1", ""),
        (CAMPAIGN.replace("utm_source", "%75tm_source"), ""),
        ("", ""),
        ("a=1", ""),
        ("utm_source=mail", "parameters_unsigned"),
        ("%75tm_source=mail", "parameters_unsigned"),
        (CAMPAIGN.partition("&ct_sig")[0], "parameters_unsigned"),
        (CAMPAIGN.replace("letter", "paper"), "parameters_tampered"),
        (CAMPAIGN.replace("utm_source=news%20letter&", ""), "parameters_tampered"),
        (CAMPAIGN + "&utm_medium=x", "parameters_tampered"),
        (CAMPAIGN + "&utm_source=other", "parameters_tampered"),
        (CAMPAIGN + "&ct_keyword=x", "parameters_tampered"),
        (CAMPAIGN + "&a=1?utm_source=other", "parameters_tampered"),
        (CAMPAIGN + "&a=/x?utm_source=other", ""),
        (sign_campaign(KEY, domain="", slug="summer", parameters=PARAMETERS), "parameters_tampered"),
        (sign_campaign(STRANGE_KEY, domain="", slug="spring", parameters=PARAMETERS), "parameters_tampered"),
        ("ct_sig=" + "A" * 43, "parameters_tampered"),
    ],
)  # fmt: skip
def test_changed_campaign_parameters_are_flagged_and_the_click_counts(query: str, word: str) -> None:
    answer = ask(query, sign="campaign")
    click = click_of(answer)
    assert (answer.outcome, answer.signal) == ("redirected", word)
    assert click.routing == ([f"signature:{word}", "destination"] if word else ["destination"])
    assert not set(click.bot_signals) & {"parameters_unsigned", "parameters_tampered"}, (
        "a changed parameter makes no machine"
    )
    assert location(answer).startswith("https://shop.example/own?")
    assert "ct_sig" not in location(answer)


def test_unsigned_parameters_of_an_ordinary_link_are_no_news() -> None:
    assert ask("utm_source=mail", sign="").signal == ""
