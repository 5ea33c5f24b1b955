"""The HubSpot source over loopback HTTP. What it has in common with all sources is tested in tests/collectors/test_every_source.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collectors.base import Fetched
from collectors.hubspot.collector import HubspotSource
from collectors.hubspot.config import HubspotConnection
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent
from core.records import Conversion
from tests.collectors.hubspot.conftest import CONFIG
from tests.collectors.sandboxes.hubspot import HubspotSandbox


@pytest.fixture
def read(source: HubspotSource, clock: Any) -> Callable[..., Fetched]:
    def read(of: HubspotSource = source) -> Fetched:
        return of.fetch(Window(since=clock.now - HOUR_MS, until=clock.now + 1), now=clock.now, deadline_s=20)

    return read


def states(fetched: Fetched) -> set[tuple[str, str, str]]:
    return {(each.type, each.conversion_id, each.status) for each in fetched.records if isinstance(each, Conversion)}


def test_a_lead_and_its_deal_are_read_with_the_click_they_share(
    hubspot: HubspotSandbox, read: Callable[..., Fetched]
) -> None:
    person = hubspot.contact(hs_google_click_id="Cj0K", email="jo@shop.example", lifecyclestage="opportunity")
    deal = hubspot.deal(person, amount="1250.00", deal_currency_code="USD")
    fetched = read()
    assert states(fetched) == {("lead", person, "qualified"), ("deal", deal, "captured")}
    lead, sale = sorted(fetched.records, key=lambda each: each.type != "lead")  # type: ignore[attr-defined]
    assert isinstance(sale, Conversion)
    assert isinstance(lead, Conversion)
    assert lead.platform_ids == sale.platform_ids == {"gclid": "Cj0K"}
    assert (sale.value_micros, sale.currency) == (1_250_000_000, "USD")


def test_the_contact_of_a_deal_is_read_however_old_it_is(
    hubspot: HubspotSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    old = hubspot.contact(ts=clock.now - 80 * DAY_MS, hs_google_click_id="Cj0K")
    deal = hubspot.deal(old, ts=clock.now - 60 * DAY_MS)
    assert read().records == []
    hubspot.change("deals", deal, dealstage="closedwon", hs_is_closed="true", hs_is_closed_won="true", amount="99")
    (sale,) = read().records
    assert isinstance(sale, Conversion)
    assert (sale.status, sale.crm_id, sale.platform_ids) == ("confirmed", old, {"gclid": "Cj0K"})
    assert sale.ts == clock.now - 60 * DAY_MS, "it stays where it was made"


def test_hundreds_of_deals_take_a_call_per_hundred(
    hubspot: HubspotSandbox, read: Callable[..., Fetched], clock: Any
) -> None:
    people = [hubspot.contact(ts=clock.now - 2 * DAY_MS) for _ in range(150)]
    for person in people:
        hubspot.deal(person)
    fetched = read()
    assert len(fetched.records) == 150
    paths = [request.path for request in hubspot.requests]
    assert len(paths) == 1 + 1 + 2 + 2, "contacts, deals, two batches of associations, two of contacts"


def test_an_imported_contact_is_not_read_as_a_lead(hubspot: HubspotSandbox, read: Callable[..., Fetched]) -> None:
    hubspot.contact(hs_object_source="IMPORT")
    fetched = read()
    assert (fetched.records, fetched.invalid) == ([], 0)


def test_what_cannot_be_understood_is_counted_and_the_rest_kept(
    hubspot: HubspotSandbox, read: Callable[..., Fetched]
) -> None:
    good, odd = hubspot.deal(amount="1"), hubspot.deal(amount="a lot")
    hubspot.contact(createdate="")
    fetched = read()
    assert states(fetched) == {("deal", good, "captured")}
    assert fetched.invalid == 2
    assert "a lot" in fetched.detail or "contact" in fetched.detail
    hubspot.change("deals", odd, amount="5")
    assert read().invalid == 1


def test_one_kind_can_be_left_out(
    hubspot: HubspotSandbox, connect: Callable[..., HubspotConnection], read: Callable[..., Fetched]
) -> None:
    person = hubspot.contact()
    deal = hubspot.deal(person)
    for fields, wanted in (({"deals": False}, ("lead", person)), ({"contacts": False}, ("deal", deal))):
        source = HubspotSource(connect(**fields), config=CONFIG)
        assert [each[:2] for each in states(read(source))] == [wanted]
        source.close()


def test_the_probe_names_the_scope_that_is_missing(
    hubspot: HubspotSandbox, source: HubspotSource, connect: Callable[..., HubspotConnection], clock: Any
) -> None:
    assert source.probe(now=clock.now, deadline_s=5) == "reads contacts and deals"
    hubspot.scopes = {"contacts"}
    with pytest.raises(Permanent, match="lacks a scope"):
        source.probe(now=clock.now, deadline_s=5)
    leads_only = HubspotSource(connect(deals=False), config=CONFIG)
    assert leads_only.probe(now=clock.now, deadline_s=5) == "reads contacts"
    leads_only.close()


def test_the_quota_is_shown_once_it_was_told(
    hubspot: HubspotSandbox, source: HubspotSource, read: Callable[..., Fetched]
) -> None:
    hubspot.deal(hubspot.contact())
    assert source.quota() is None
    read()
    assert source.quota() is not None
