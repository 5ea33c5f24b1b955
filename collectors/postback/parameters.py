"""From the parameters of a postback to a conversion: pure. Trackers differ in names and words, not in meaning.

Names and words: Voluum "Track Conversions Using S2S Postback URL" (cid, payout, txid, currency, et), Keitaro "Postback" (subid, tid,
payout or revenue, status, currency), RedTrack "Conversion tracking" (clickid, sum, type).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from collectors import fact_ids
from collectors.postback.config import SenderConfig
from collectors.push import bodies
from core.clock import to_rfc3339
from core.errors import Invalid
from core.identity import usable
from core.personal import holds_email
from core.records import Conversion, ConversionStatus

#: Our parameter -> the names it comes under, ours first.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "click_id": ("click_id", "clickid", "cid", "subid"),
    "txid": ("txid", "tid", "transaction_id"),
    "payout": ("payout", "revenue", "sum"),
    "currency": ("currency",),
    "status": ("status",),
    "type": ("type", "et", "goal"),
    "ts": ("ts",),
    "order_id": ("order_id",),
    "client": ("client",),
    **{name: (name,) for name in bodies.PLATFORM_IDS},
}
#: Their word for a status -> ours. Ours stand for themselves.
STATUSES: Final[Mapping[str, ConversionStatus]] = {
    **dict.fromkeys(("captured", "lead", "pending", "hold", "new", "open"), "captured"),
    **dict.fromkeys(("qualified",), "qualified"),
    **dict.fromkeys(
        ("confirmed", "sale", "approved", "accepted", "paid", "completed", "rebill", "upsell"), "confirmed"
    ),
    **dict.fromkeys(("rejected", "declined", "canceled", "cancelled", "trash", "invalid", "fraud"), "rejected"),
    **dict.fromkeys(("duplicate",), "duplicate"),
    **dict.fromkeys(("returned", "return"), "returned"),
    **dict.fromkeys(("refunded", "refund", "chargeback", "reversed"), "refunded"),
}
MAX_TXID: Final = 200


class Postback(msgspec.Struct, frozen=True, kw_only=True):
    """One postback: the conversion as it says, and what the conversion itself does not hold.

    `paid` is False when it named no payout: then the value is unknown, not zero. `timed`, likewise, of its time.
    """

    conversion: Conversion
    txid: str
    paid: bool
    timed: bool


def read(given: Mapping[str, str], sender: SenderConfig, *, client: str, now: int) -> Postback | None:
    """The postback in the parameters; None when its status is one to leave out.

    Raises:
        Invalid: `missing_field`, `bad_value`.
    """
    values = {ours: _first(given, ours, sender) for ours in NAMES}
    status = status_of(values["status"], sender)
    if status is None:
        return None
    txid, click = _txid(values["txid"]), bodies.click_id(values["click_id"].lower())
    platform_ids = {name: values[name] for name in bodies.PLATFORM_IDS if values[name]}
    kind = sender.types.get(values["type"].lower(), values["type"]) or sender.type
    identifier = identifier_of(click, platform_ids, txid="" if sender.duplicates == "add" else txid)
    conversion = Conversion(
        ts=event_time(values["ts"], now=now) if values["ts"] else now,
        source=f"postback:{sender.key}",
        fact_id=fact_ids.conversion(client=client, origin=sender.origin, type=kind, conversion_id=identifier),
        conversion_id=identifier,
        type=kind,
        status=status,
        origin=sender.origin,
        value_micros=bodies.money(values["payout"], "payout") if values["payout"] else 0,
        currency=_currency(values, sender),
        click_id=click,
        platform_ids=platform_ids,
        order_id=values["order_id"],
        client=client,
        attributes=_attributes(given, sender, txid=txid),
    )
    return Postback(conversion=conversion, txid=txid, paid=bool(values["payout"]), timed=bool(values["ts"]))


def identifier_of(click: str, platform_ids: Mapping[str, str], *, txid: str) -> str:
    """What makes it one conversion: the click, and the sender's transaction where there is one. Two networks may number alike.

    Raises:
        Invalid: `missing_field`.
    """
    platform = next((f"{name}:{value}" for name, value in platform_ids.items()), "")
    if not (click or platform):
        raise Invalid(
            "missing_field", "click_id: send back the value of ct_click, or the ad platform's own ID (gclid …)"
        )
    return ":".join(filter(None, (click or platform, txid)))


def status_of(word: str, sender: SenderConfig) -> ConversionStatus | None:
    """Our status for their word; None for one that the settings leave out.

    Raises:
        Invalid: `bad_value`: nobody said what the word means, and guessing would move money.
    """
    if not word:
        return sender.default_status
    found = sender.statuses.get(word.lower()) or STATUSES.get(word.lower())
    if found is None:
        raise Invalid(
            "bad_value", f"status: {word[:32]!r} is not known; name it in collectors.postback.senders[].statuses"
        )
    return None if found == "ignore" else found


def event_time(text: str, *, now: int) -> int:
    """RFC 3339, or seconds or milliseconds since 1970, as ms.

    Raises:
        Invalid: `bad_value`.
    """
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        text = to_rfc3339(int(text) * (1000 if len(text) == 10 else 1))
    return bodies.event_time(text, "ts", now=now)


def _first(given: Mapping[str, str], ours: str, sender: SenderConfig) -> str:
    """The first usable value under the names of a parameter; a macro that nobody filled in counts as absent."""
    names = [sender.parameters[ours]] if ours in sender.parameters else NAMES[ours]
    found = (given.get(name, "").strip() for name in names)
    value = next((each for each in found if usable(each.encode("utf-8", "replace"))), "")
    bodies.check_text(value, ours)
    return value


def _txid(text: str) -> str:
    if len(text) > MAX_TXID or holds_email(text):
        raise Invalid("bad_value", f"txid: longer than {MAX_TXID} characters, or an e-mail address")
    return text


def _currency(values: Mapping[str, str], sender: SenderConfig) -> str:
    if not values["payout"]:
        return ""
    code = values["currency"].upper() or sender.currency
    if not code:
        raise Invalid("missing_field", "currency: send it, or set it in collectors.postback.senders[].currency")
    return bodies.currency(code)


def _attributes(given: Mapping[str, str], sender: SenderConfig, *, txid: str) -> dict[str, str]:
    kept = {name: given.get(name, "").strip() for name in sender.keep}
    # What a sender writes into its own fields is not checked by anybody: addresses of people stay out.
    kept = {
        name: text for name, text in kept.items() if usable(text.encode("utf-8", "replace")) and not holds_email(text)
    }
    return bodies.attributes(({"txid": txid} if txid else {}) | kept)
