"""What a postback does to the conversion that is known: pure.

A conversion has a life: captured -> qualified -> confirmed -> returned or refunded, and rejected from anywhere. A postback with a later
status moves it; one with an earlier status came late and changes nothing. A postback with the *same* status is a duplicate, and what
becomes of it is the sender's policy:

    ignore      nothing
    new         another conversion, `<id>#2`, `<id>#3` …
    overwrite   the newest postback counts, whatever its status, also backwards
    add         its payout is added to the first one's; one whose `txid` was added before is ignored

(RedTrack, "Duplicate postback settings": ignore; create new conversion; edit conversion with new data; keep original data, increment
payout.) The time is that of the first postback unless a later one names its own; a value that is lost (rejected, returned, refunded)
keeps its amount, because reports count such conversions as worth nothing by their status.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from collectors import fact_ids
from collectors.postback.config import Policy
from collectors.postback.parameters import Postback
from core.errors import Invalid
from core.records import Conversion, ConversionStatus

Outcome = Literal["created", "moved", "repeated", "overwritten", "added", "ignored", "late"]

_RANK: Final[dict[ConversionStatus, int]] = {
    "captured": 0,
    "qualified": 1,
    "confirmed": 2,
    "rejected": 3,
    "duplicate": 3,
    "returned": 3,
    "refunded": 3,
}
_LOST: Final = 3
#: Transactions remembered of one conversion (policy `add`).
MAX_TXIDS: Final = 500


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of the newest conversion under a key, how many there are, and whose payouts are in it."""

    conversion: Conversion
    count: int = 1
    txids: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What happened; `life` is None when nothing changed."""

    outcome: Outcome
    life: Life | None = None


def step(life: Life | None, postback: Postback, *, policy: Policy) -> Step:
    """What the next postback does.

    Raises:
        Invalid: `bad_value`: a payout in another currency cannot be added.
    """
    if life is None:
        return Step(outcome="created", life=Life(conversion=postback.conversion, txids=_txids(postback)))
    if policy == "overwrite":
        return _changed("overwritten", life, _merged(life.conversion, postback))
    if postback.conversion.status != life.conversion.status:
        return _moved(life, postback)
    if policy == "new":
        return Step(outcome="repeated", life=_another(life, postback))
    return _added(life, postback) if policy == "add" else Step(outcome="ignored")


def _moved(life: Life, postback: Postback) -> Step:
    if _RANK[postback.conversion.status] <= _RANK[life.conversion.status]:
        return Step(outcome="late")
    return _changed("moved", life, _merged(life.conversion, postback))


def _changed(outcome: Outcome, life: Life, conversion: Conversion) -> Step:
    if conversion == life.conversion:
        return Step(outcome="ignored")
    return Step(outcome=outcome, life=msgspec.structs.replace(life, conversion=conversion))


def _merged(known: Conversion, postback: Postback) -> Conversion:
    """The known conversion with what the postback says; what it leaves out stays."""
    said = postback.conversion
    valued = postback.paid and _RANK[said.status] < _LOST
    return msgspec.structs.replace(
        known,
        ts=said.ts if postback.timed else known.ts,
        status=said.status,
        value_micros=said.value_micros if valued else known.value_micros,
        currency=said.currency if valued else known.currency,
        click_id=said.click_id or known.click_id,
        platform_ids=known.platform_ids | said.platform_ids,
        order_id=said.order_id or known.order_id,
        attributes=known.attributes | said.attributes,
    )


def _another(life: Life, postback: Postback) -> Life:
    said, count = postback.conversion, life.count + 1
    identifier = f"{said.conversion_id}#{count}"
    fact_id = fact_ids.conversion(client=said.client, origin=said.origin, type=said.type, conversion_id=identifier)
    return Life(
        conversion=msgspec.structs.replace(said, conversion_id=identifier, fact_id=fact_id),
        count=count,
        txids=life.txids,
    )


def _added(life: Life, postback: Postback) -> Step:
    known, said = life.conversion, postback.conversion
    if not postback.paid or postback.txid in life.txids:
        return Step(outcome="ignored")
    if known.currency and said.currency != known.currency:
        raise Invalid("bad_value", f"currency: {said.currency} cannot be added to {known.currency}")
    total = known.value_micros + said.value_micros
    conversion = msgspec.structs.replace(known, value_micros=total, currency=said.currency)
    txids = (life.txids + _txids(postback))[-MAX_TXIDS:]
    return Step(outcome="added", life=msgspec.structs.replace(life, conversion=conversion, txids=txids))


def _txids(postback: Postback) -> tuple[str, ...]:
    return (postback.txid,) if postback.txid else ()
