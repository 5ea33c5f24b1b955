"""Which fields are keys, and that no address or number gets through unhashed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.match_keys import MatchKeys, email_sha256, field_names, keys_in, phone_sha256

CLICK = "0af7651916cd43dd8448eb211c80319c"


def test_keys_are_found_under_their_usual_names() -> None:
    values = {
        "ct_click": CLICK,
        "ct_vid": CLICK[::-1],
        "order_id": " o-1 ",
        "gclid": "Cj0K",
        "gbraid": "x",
        "note": "hello",
    }
    found = keys_in(values, field_names({}))
    assert found == MatchKeys(
        click_id=CLICK, visitor_id=CLICK[::-1], order_id="o-1", platform_ids={"gclid": "Cj0K", "gbraid": "x"}
    )


def test_a_setting_points_at_another_field_or_at_none() -> None:
    names = field_names({"order_id": "shop_order", "gclid": ""})
    assert keys_in({"shop_order": "7", "order_id": "no", "gclid": "Cj0K"}, names) == MatchKeys(order_id="7")


@pytest.mark.parametrize(
    "values",
    [
        {"ct_click": "not hex"},
        {"ct_click": "0" * 32},
        {"gclid": "{gclid}"},
        {"gclid": "x" * 513},
        {"fbclid": "jo@shop.example"},
        {"order_id": "jo@shop.example"},
        {"order_id": "jo%40shop.example"},
        {"order_id": "x" * 256},
        {"ct_vid": None},
    ],
)
def test_what_cannot_be_a_key_is_left_out(values: dict[str, str | None]) -> None:
    assert keys_in(values, field_names({})) == MatchKeys()


def test_an_address_is_hashed_trimmed_and_in_lower_case() -> None:
    assert email_sha256("  Jo@Shop.Example ") == sha256(b"jo@shop.example").hexdigest()
    assert [email_sha256(text) for text in (None, "", "jo", "n/a")] == [""] * 4


def test_a_number_is_hashed_in_its_international_form_only() -> None:
    wanted = sha256(b"+493012345678").hexdigest()
    assert {phone_sha256(text) for text in ("+49 30 1234-5678", "0049 (30) 12345678", "+493012345678")} == {wanted}
    assert [phone_sha256(text) for text in (None, "", "030 12345678", "+0123456789", "+49 ext. 7")] == [""] * 5


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_gets_through_a_hash(address: str, number: str) -> None:
    for digest in (email_sha256(address), phone_sha256(number)):
        assert digest == "" or (len(digest) == 64 and set(digest) <= set("0123456789abcdef"))
