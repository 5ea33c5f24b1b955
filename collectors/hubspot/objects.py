"""From HubSpot's contacts and deals to conversions: pure, and the same for pull and webhook.

A contact is a lead, a deal what became of one. Their event time stays the time they were created (`createdate`), whatever becomes of
them later; what they have become is their status. Properties by the knowledge base, "HubSpot's default contact properties" and
"HubSpot's default deal properties".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from collectors import fact_ids
from collectors.hubspot.config import LIFECYCLE, HubspotConnection
from collectors.match_keys import USUAL, MatchKeys, email_sha256, field_names, keys_in, phone_sha256
from core.clock import parse_rfc3339
from core.money import check_currency, to_micros
from core.records import Conversion, ConversionStatus

SOURCE: Final = "hubspot"

#: Where HubSpot itself keeps the IDs of clicks: on contacts, filled by its ads tools and forms.
HUBSPOT_OWN: Final[Mapping[str, str]] = {
    **USUAL,
    "gclid": "hs_google_click_id",
    "fbclid": "hs_facebook_click_id",
}
_CONTACT: Final = (
    "createdate",
    "email",
    "phone",
    "mobilephone",
    "lifecyclestage",
    "hs_lead_status",
    "hs_object_source",
)
_DEAL: Final = (
    "createdate",
    "amount",
    "deal_currency_code",
    "dealstage",
    "pipeline",
    "hs_is_closed",
    "hs_is_closed_won",
)


class HubspotObject(msgspec.Struct, frozen=True):
    """A contact or deal as search and batch read give it; values of properties are text or null."""

    id: str
    properties: dict[str, str | None]


def contact_properties(connection: HubspotConnection) -> list[str]:
    """What to ask of contacts; a property that the portal does not have is left out of the answer."""
    return sorted({*_CONTACT, *_names(connection).values()})


def deal_properties(connection: HubspotConnection) -> list[str]:
    return sorted({*_DEAL, *_names(connection).values()})


def lead_of(contact: HubspotObject, connection: HubspotConnection) -> Conversion | None:
    """The lead a contact stands for; None for one that was imported and never clicked.

    Raises:
        ValueError: it cannot be told when it was created.
    """
    values = contact.properties
    if (values.get("hs_object_source") or "") in connection.skip_record_sources:
        return None
    return _conversion(
        contact,
        connection,
        type=connection.lead_type,
        status=lead_status(values, connection),
        keys=keys_in(values, _names(connection)),
        person=contact,
    )


def sale_of(
    deal: HubspotObject, connection: HubspotConnection, *, contacts: Iterable[HubspotObject] = ()
) -> Conversion:
    """The conversion a deal stands for. What ties it to a click stands on the deal, else on its contacts: the first that has a key.

    Raises:
        ValueError: creation time, amount or currency cannot be read.
    """
    values, names = deal.properties, _names(connection)
    people = list(contacts)
    candidates = [(keys_in(each.properties, names), each) for each in people]
    known = [(keys, each) for keys, each in candidates if _identifies(keys)]
    keys, person = known[0] if known else (MatchKeys(), people[0] if people else None)
    own = keys_in(values, names)
    converted = _conversion(
        deal,
        connection,
        type=connection.deal_type,
        status=deal_status(values, connection),
        keys=own if _identifies(own) else msgspec.structs.replace(keys, order_id=own.order_id),
        person=person,
    )
    amount = (values.get("amount") or "").strip()
    if not amount:
        return converted
    currency = check_currency(values.get("deal_currency_code") or connection.currency)
    return msgspec.structs.replace(converted, value_micros=to_micros(amount), currency=currency)


def lead_status(values: Mapping[str, str | None], connection: HubspotConnection) -> ConversionStatus:
    said = connection.lead_status.get(values.get("hs_lead_status") or "")
    stage = values.get("lifecyclestage") or ""
    return said or (LIFECYCLE | connection.lifecycle).get(stage, "captured")


def deal_status(values: Mapping[str, str | None], connection: HubspotConnection) -> ConversionStatus:
    said = connection.deal_stages.get(values.get("dealstage") or "")
    if said:
        return said
    if values.get("hs_is_closed_won") == "true":
        return "confirmed"
    return "rejected" if values.get("hs_is_closed") == "true" else "captured"


def _conversion(
    found: HubspotObject,
    connection: HubspotConnection,
    *,
    type: str,
    status: ConversionStatus,
    keys: MatchKeys,
    person: HubspotObject | None,
) -> Conversion:
    contact: Mapping[str, str | None] = person.properties if person else {}
    stage = found.properties.get("dealstage") or found.properties.get("lifecyclestage") or ""
    return Conversion(
        ts=parse_rfc3339(found.properties.get("createdate") or ""),
        source=SOURCE,
        fact_id=fact_ids.conversion(client=connection.client, origin="crm", type=type, conversion_id=found.id),
        conversion_id=found.id,
        type=type,
        status=status,
        origin="crm",
        click_id=keys.click_id,
        platform_ids=keys.platform_ids,
        visitor_id=keys.visitor_id,
        order_id=keys.order_id,
        # A deal and its contact share this key, so that a deal is matched to the click of the lead.
        crm_id=person.id if person else "",
        email_sha256=email_sha256(contact.get("email")),
        phone_sha256=phone_sha256(contact.get("phone") or contact.get("mobilephone")),
        client=connection.client,
        attributes={"stage": stage} if stage else {},
    )


def _names(connection: HubspotConnection) -> dict[str, str]:
    return field_names(connection.properties, HUBSPOT_OWN)


def _identifies(keys: MatchKeys) -> bool:
    return bool(keys.click_id or keys.visitor_id or keys.platform_ids)
