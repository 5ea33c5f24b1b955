"""From a Stripe charge to a conversion: pure, and the same for pull and webhook, so that both tell one story of one fact.

Fields by the API reference, "The Charge object" and "The Dispute object". A charge's event time stays the time it was made, whatever
becomes of it later; what it has become is its status:

    pending                                 captured     e.g. a bank debit on its way
    succeeded, not captured                 qualified    authorised: the card was checked, the money is held
    succeeded, captured                     confirmed    a part that was refunded is taken off the value
    fully refunded, or dispute lost         refunded     the value stays what it was
    failed, or authorisation released       rejected
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from collectors import fact_ids
from collectors.match_keys import email_sha256, field_names, keys_in, phone_sha256
from collectors.stripe.config import StripeConnection
from core.money import MICROS, check_currency, to_decimal
from core.records import Conversion, ConversionStatus

SOURCE: Final = "stripe"
LOST: Final = "lost"

#: "Supported currencies" (docs.stripe.com/currencies): amounts come in the smallest unit, except here. ISK and UGX have no smaller unit
#: either, but come in hundredths for backwards compatibility, as the page's special cases say.
ZERO_DECIMAL: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

#: A failed charge of these was declined on the spot: an attempt, not a sale that fell through.
_DECLINED_AT_ONCE: Final = frozenset({"card", "card_present", "interac_present", "link"})


class BillingDetails(msgspec.Struct, frozen=True):
    email: str | None = None
    phone: str | None = None


class PaymentMethodDetails(msgspec.Struct, frozen=True):
    type: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What we use of a charge; all other fields are left alone. Amounts in the currency's smallest unit, `created` in seconds."""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    captured: bool
    refunded: bool
    amount_refunded: int
    amount_captured: int | None = None
    disputed: bool = False
    customer: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    billing_details: BillingDetails | None = None
    receipt_email: str | None = None
    payment_method_details: PaymentMethodDetails | None = None

    @property
    def method(self) -> str:
        return self.payment_method_details.type if self.payment_method_details else ""


def conversion_of(charge: Charge, connection: StripeConnection, *, disputes: Collection[str] = ()) -> Conversion | None:
    """The conversion a charge stands for; None for a card that was declined.

    Args:
        disputes: statuses of the charge's disputes.

    Raises:
        ValueError: an unknown currency or an amount out of range.
    """
    if charge.status == "failed" and charge.method in _DECLINED_AT_ONCE:
        return None
    metadata: Mapping[str, str] = charge.metadata or {}
    keys = keys_in(metadata, field_names(connection.metadata))
    billing = charge.billing_details or BillingDetails()
    status = status_of(charge, disputes=disputes)
    currency = check_currency(charge.currency.upper())
    return Conversion(
        ts=charge.created * 1000,
        source=SOURCE,
        fact_id=fact_ids.conversion(
            client=connection.client, origin=connection.origin, type=connection.type, conversion_id=charge.id
        ),
        conversion_id=charge.id,
        type=connection.type,
        status=status,
        origin=connection.origin,
        value_micros=micros(value_of(charge, status=status), currency),
        currency=currency,
        click_id=keys.click_id,
        platform_ids=keys.platform_ids,
        visitor_id=keys.visitor_id,
        order_id=keys.order_id or charge.payment_intent or "",
        # A customer who comes again is matched to the click that brought him.
        crm_id=charge.customer or "",
        email_sha256=email_sha256(billing.email or charge.receipt_email),
        phone_sha256=phone_sha256(billing.phone),
        client=connection.client,
        attributes=_attributes(charge, currency, disputes=disputes),
    )


def status_of(charge: Charge, *, disputes: Collection[str] = ()) -> ConversionStatus:
    if charge.status == "failed":
        return "rejected"
    if charge.status == "pending":
        return "captured"
    if not charge.captured:
        # Releasing an authorisation is told as a refund of what was never taken.
        return "rejected" if charge.refunded else "qualified"
    return "refunded" if charge.refunded or LOST in disputes else "confirmed"


def value_of(charge: Charge, *, status: ConversionStatus) -> int:
    """What the charge is worth, in the smallest unit: what was taken, less what was given back of it."""
    taken = charge.amount if charge.amount_captured is None else charge.amount_captured
    if status == "confirmed":
        return taken - charge.amount_refunded
    return taken if status == "refunded" else charge.amount


def micros(amount: int, currency: str) -> int:
    """An amount in Stripe's smallest unit as micros of the currency.

    Raises:
        ValueError: more than a signed 64-bit integer of micros holds.
    """
    per_unit = 1 if currency in ZERO_DECIMAL else 1000 if currency in THREE_DECIMAL else 100
    value = amount * MICROS // per_unit
    if abs(value) >= 2**63:
        raise ValueError(f"{Decimal(amount) / per_unit} {currency} is not an amount we can keep")
    return value


def _attributes(charge: Charge, currency: str, *, disputes: Collection[str]) -> dict[str, str]:
    """Nothing of the customer's: how it was paid, what was given back, how disputes stand."""
    found = {"payment_method": charge.method, "dispute": ",".join(sorted(set(disputes)))}
    if charge.amount_refunded:
        found["refunded"] = to_decimal(micros(charge.amount_refunded, currency))
    return {name: value for name, value in found.items() if value}
