"""What a charge means: tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collectors.match_keys import email_sha256, phone_sha256
from collectors.stripe.charges import Charge, conversion_of, micros
from collectors.stripe.config import StripeConnection
from core.records import Conversion
from tests.collectors.sandboxes.stripe import new_charge

CLICK = "0af7651916cd43dd8448eb211c80319c"
CONNECTION = StripeConnection(name="shop", client="acme", credentials_file="/x")


def convert(
    *, disputes: tuple[str, ...] = (), connection: StripeConnection = CONNECTION, **fields: Any
) -> Conversion | None:
    charge = msgspec.convert(new_charge("ch_1", 1_790_000_000) | fields, Charge)
    return conversion_of(charge, connection, disputes=disputes)


def converted(**fields: Any) -> Conversion:
    found = convert(**fields)
    assert found is not None
    return found


SEPA = {"payment_method_details": {"type": "sepa_debit", "sepa_debit": {}}}


@pytest.mark.parametrize(
    ("fields", "status", "value"),
    [
        ({"status": "pending", **SEPA}, "captured", 59_900_000),
        ({"captured": False, "amount_captured": 0}, "qualified", 59_900_000),
        ({}, "confirmed", 59_900_000),
        ({"amount_captured": 5000}, "confirmed", 50_000_000),
        ({"amount_refunded": 990}, "confirmed", 50_000_000),
        ({"amount_refunded": 5990, "refunded": True}, "refunded", 59_900_000),
        ({"disputed": True, "disputes": ("needs_response",)}, "confirmed", 59_900_000),
        ({"disputed": True, "disputes": ("won",)}, "confirmed", 59_900_000),
        ({"disputed": True, "disputes": ("won", "lost")}, "refunded", 59_900_000),
        ({"captured": False, "amount_captured": 0, "amount_refunded": 5990, "refunded": True}, "rejected", 59_900_000),
        ({"status": "failed", "captured": False, "amount_captured": 0, **SEPA}, "rejected", 59_900_000),
    ],
)
def test_the_life_of_a_payment(fields: dict[str, Any], status: str, value: int) -> None:
    found = converted(**fields)
    assert (found.status, found.value_micros, found.currency) == (status, value, "EUR")
    assert found.ts == 1_790_000_000_000, "the event time stays the time it was made"


def test_a_declined_card_is_an_attempt_and_no_conversion() -> None:
    assert convert(status="failed", captured=False, failure_code="card_declined") is None


@pytest.mark.parametrize(
    ("amount", "currency", "wanted"),
    [
        (5990, "EUR", 59_900_000),
        (500, "JPY", 500_000_000),
        (5120, "KWD", 5_120_000),
        (500, "UGX", 5_000_000),
        (500, "ISK", 5_000_000),
        (1045, "HUF", 10_450_000),
    ],
)
def test_amounts_come_in_the_currencys_smallest_unit(amount: int, currency: str, wanted: int) -> None:
    assert micros(amount, currency) == wanted


def test_an_amount_that_no_column_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="not an amount we can keep"):
        micros(2**62, "JPY")


def test_keys_come_from_the_metadata_and_people_only_as_hashes() -> None:
    found = converted(
        metadata={"ct_click": CLICK, "gclid": "Cj0K", "order_id": "o-1", "note": "ring Jo"},
        billing_details={"email": " Jo@Shop.Example", "phone": "+49 30 123456", "name": "Jo Doe", "address": None},
        customer="cus_9",
    )
    assert (found.click_id, found.platform_ids, found.order_id, found.crm_id) == (
        CLICK,
        {"gclid": "Cj0K"},
        "o-1",
        "cus_9",
    )
    assert found.email_sha256 == email_sha256("jo@shop.example")
    assert found.phone_sha256 == phone_sha256("+4930123456")
    line = msgspec.json.encode(found).decode().lower()
    assert not [word for word in ("jo@", "doe", "123456", "ring") if word in line]


def test_the_receipts_address_stands_in_for_a_missing_one() -> None:
    assert converted(receipt_email="jo@shop.example").email_sha256 == email_sha256("jo@shop.example")


def test_without_an_order_number_the_payment_intent_is_the_order() -> None:
    assert converted().order_id == "pi_1"
    assert converted(payment_intent=None).order_id == ""


def test_a_setting_says_where_the_keys_are_and_what_a_payment_is() -> None:
    connection = StripeConnection(
        name="shop", credentials_file="/x", type="donation", origin="offline", metadata={"order_id": "shop_order"}
    )
    found = converted(connection=connection, metadata={"shop_order": "7"})
    assert (found.type, found.origin, found.order_id) == ("donation", "offline", "7")
    assert found.fact_id == "conversion::offline:donation:ch_1"


def test_what_was_given_back_and_disputed_is_told_apart() -> None:
    found = converted(amount_refunded=990, disputed=True, disputes=("under_review",))
    assert found.attributes == {"payment_method": "card", "refunded": "9.90", "dispute": "under_review"}


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="not an ISO 4217 currency"):
        converted(currency="euro")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metadata": {"ordr": "x"}}, "metadata.ordr: known are click_id"),
        ({"credentials_file": ""}, "credentials_file: needed"),
        ({"account": "acme"}, "account"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StripeConnection(**({"name": "shop", "credentials_file": "/x"} | fields))
