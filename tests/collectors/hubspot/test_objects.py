"""What a contact and a deal mean: tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collectors.hubspot.config import HubspotConnection
from collectors.hubspot.objects import HubspotObject, contact_properties, deal_properties, lead_of, sale_of
from collectors.match_keys import email_sha256, phone_sha256
from core.records import Conversion

CLICK = "0af7651916cd43dd8448eb211c80319c"
CREATED = {"createdate": "2026-09-21T14:13:20.000Z"}
CREATED_MS = 1_790_000_000_000


def connection(**fields: Any) -> HubspotConnection:
    return HubspotConnection(
        **({"name": "sales", "client": "acme", "currency": "EUR", "credentials_file": "/x"} | fields)
    )


def contact(identifier: str = "501", **properties: str | None) -> HubspotObject:
    return HubspotObject(id=identifier, properties={**CREATED, **properties})


def lead(settings: HubspotConnection | None = None, **properties: str | None) -> Conversion:
    found = lead_of(contact(**properties), settings or connection())
    assert found is not None
    return found


def sale(*contacts: HubspotObject, settings: HubspotConnection | None = None, **properties: str | None) -> Conversion:
    return sale_of(
        HubspotObject(id="901", properties={**CREATED, **properties}), settings or connection(), contacts=contacts
    )


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({}, "captured"),
        ({"lifecyclestage": "subscriber"}, "captured"),
        ({"lifecyclestage": "lead"}, "captured"),
        ({"lifecyclestage": "marketingqualifiedlead"}, "qualified"),
        ({"lifecyclestage": "salesqualifiedlead"}, "qualified"),
        ({"lifecyclestage": "opportunity"}, "qualified"),
        ({"lifecyclestage": "customer"}, "confirmed"),
        ({"lifecyclestage": "evangelist"}, "confirmed"),
        ({"lifecyclestage": "97643851"}, "captured"),
        ({"lifecyclestage": "salesqualifiedlead", "hs_lead_status": "UNQUALIFIED"}, "rejected"),
        ({"lifecyclestage": "lead", "hs_lead_status": "IN_PROGRESS"}, "captured"),
        ({"lifecyclestage": "lead", "hs_lead_status": None}, "captured"),
    ],
)
def test_the_life_of_a_lead(properties: dict[str, str | None], status: str) -> None:
    found = lead(**properties)
    assert (found.status, found.ts, found.type, found.origin) == (status, CREATED_MS, "lead", "crm")


def test_a_portals_own_stages_are_told_by_settings() -> None:
    settings = connection(
        lifecycle={"97643851": "qualified", "customer": "qualified"}, lead_status={"JUNK": "duplicate"}
    )
    assert lead(settings, lifecyclestage="97643851").status == "qualified"
    assert lead(settings, lifecyclestage="customer").status == "qualified"
    assert lead(settings, lifecyclestage="lead", hs_lead_status="JUNK").status == "duplicate"
    assert lead(settings, lifecyclestage="opportunity").status == "qualified"


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"dealstage": "appointmentscheduled", "hs_is_closed": "false", "hs_is_closed_won": "false"}, "captured"),
        ({"dealstage": "closedwon", "hs_is_closed": "true", "hs_is_closed_won": "true"}, "confirmed"),
        ({"dealstage": "closedlost", "hs_is_closed": "true", "hs_is_closed_won": "false"}, "rejected"),
        ({"dealstage": "contractsent"}, "qualified"),
        ({"dealstage": "moneyback", "hs_is_closed": "true"}, "refunded"),
        ({}, "captured"),
    ],
)
def test_the_life_of_a_deal(properties: dict[str, str], status: str) -> None:
    settings = connection(deal_stages={"contractsent": "qualified", "moneyback": "refunded"})
    assert sale(settings=settings, **properties).status == status


@pytest.mark.parametrize(
    ("properties", "value", "currency"),
    [
        ({"amount": "1250.50", "deal_currency_code": "USD"}, 1_250_500_000, "USD"),
        ({"amount": "1250.5"}, 1_250_500_000, "EUR"),
        ({"amount": "1250", "deal_currency_code": None}, 1_250_000_000, "EUR"),
        ({"amount": None}, 0, ""),
        ({"amount": ""}, 0, ""),
        ({"amount": "0"}, 0, "EUR"),
    ],
)
def test_an_amount_has_the_deals_currency_or_the_portals(properties: dict[str, str], value: int, currency: str) -> None:
    found = sale(**properties)
    assert (found.value_micros, found.currency) == (value, currency)


@pytest.mark.parametrize("properties", [{"amount": "much"}, {"amount": "1", "deal_currency_code": "euro"}])
def test_an_amount_that_cannot_be_read_is_a_problem_and_no_zero(properties: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a"):
        sale(**properties)


def test_without_a_time_of_creation_there_is_no_lead() -> None:
    with pytest.raises(ValueError, match="not"):
        lead_of(HubspotObject(id="501", properties={"createdate": None}), connection())


def test_clicks_stand_in_hubspots_own_properties_and_people_only_as_hashes() -> None:
    found = lead(
        hs_google_click_id="Cj0K",
        hs_facebook_click_id="IwAR",
        msclkid="ms-1",
        ct_click=CLICK,
        email="Jo@Shop.Example",
        mobilephone="+49 170 1234567",
    )
    assert found.platform_ids == {"gclid": "Cj0K", "fbclid": "IwAR", "msclkid": "ms-1"}
    assert (found.click_id, found.crm_id, found.client) == (CLICK, "501", "acme")
    assert found.email_sha256 == email_sha256("jo@shop.example")
    assert found.phone_sha256 == phone_sha256("+491701234567")
    line = msgspec.json.encode(found).decode().lower()
    assert not [word for word in ("jo@", "1234567") if word in line]


def test_a_portals_own_property_holds_the_click() -> None:
    settings = connection(properties={"gclid": "lead_gclid", "fbclid": ""})
    found = lead(settings, lead_gclid="Cj0K", hs_google_click_id="other", hs_facebook_click_id="IwAR")
    assert found.platform_ids == {"gclid": "Cj0K"}
    assert "lead_gclid" in contact_properties(settings)
    assert not {"hs_google_click_id", "hs_facebook_click_id"} & {
        *contact_properties(settings),
        *deal_properties(settings),
    }


def test_an_imported_contact_is_no_lead() -> None:
    assert lead_of(contact(hs_object_source="IMPORT"), connection()) is None
    assert lead_of(contact(hs_object_source="FORM"), connection()) is not None
    assert lead_of(contact(hs_object_source="IMPORT"), connection(skip_record_sources=())) is not None


def test_a_deal_has_the_click_of_the_first_contact_that_has_one() -> None:
    without = contact("501", email="a@shop.example")
    second, third = contact("502", hs_google_click_id="Cj0K", email="b@shop.example"), contact("503", msclkid="m")
    found = sale(without, second, third, order_id="o-7")
    assert (found.platform_ids, found.crm_id, found.order_id) == ({"gclid": "Cj0K"}, "502", "o-7")
    assert found.email_sha256 == email_sha256("b@shop.example")


def test_a_deals_own_click_wins_and_its_person_is_still_its_contact() -> None:
    found = sale(contact("501", hs_google_click_id="Cj0K"), ct_click=CLICK)
    assert (found.click_id, found.platform_ids, found.crm_id) == (CLICK, {}, "501")


def test_a_deal_without_contacts_stands_alone() -> None:
    found = sale()
    assert (found.crm_id, found.email_sha256, found.fact_id) == ("", "", "conversion:acme:crm:deal:901")


def test_lead_and_deal_share_the_key_that_ties_them() -> None:
    person = contact("501")
    settings = connection()
    first = lead_of(person, settings)
    assert first is not None
    assert first.crm_id == sale(person, settings=settings).crm_id == "501"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"properties": {"glcid": "x"}}, "properties.glcid: known are click_id"),
        ({"currency": "euro"}, "currency"),
        ({"credentials_file": ""}, "credentials_file"),
        ({"deal_stages": {"x": "won"}}, "deal_stages"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        connection(**fields)
