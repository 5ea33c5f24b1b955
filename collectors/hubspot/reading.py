"""Contacts and deals of a portal as conversions, however they were found: by a search or named by a webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from collectors.bearer_api import Deadline, Rows
from collectors.hubspot.client import HubspotClient
from collectors.hubspot.config import HubspotConnection
from collectors.hubspot.objects import HubspotObject, contact_properties, deal_properties, lead_of, sale_of
from collectors.shape import Shape, shape_of
from core.records import Conversion, Record


class Reading:
    """What pull and webhook have in common."""

    def __init__(self, client: HubspotClient, connection: HubspotConnection) -> None:
        self._client = client
        self._connection = connection

    def touched(self, since: int, until: int, *, deadline: Deadline) -> Rows[Record]:
        """Everything that was created or last modified in [since, until) ms, as it is now."""
        contacts, deals = Rows[HubspotObject]([], []), Rows[HubspotObject]([], [])
        if self._connection.contacts:
            asked = contact_properties(self._connection)
            contacts = self._client.touched("contacts", since, until, properties=asked, deadline=deadline)
        if self._connection.deals:
            asked = deal_properties(self._connection)
            deals = self._client.touched("deals", since, until, properties=asked, deadline=deadline)
        return self._records(contacts, deals, deadline=deadline)

    def named(self, contacts: Iterable[str], deals: Iterable[str], *, deadline: Deadline) -> Rows[Record]:
        """The contacts and deals with these IDs, as they are now."""
        asked = contact_properties(self._connection)
        people = self._client.by_id("contacts", contacts, properties=asked, deadline=deadline)
        asked = deal_properties(self._connection)
        sales = self._client.by_id("deals", deals, properties=asked, deadline=deadline)
        return self._records(people, sales, deadline=deadline)

    def _records(
        self, contacts: Rows[HubspotObject], deals: Rows[HubspotObject], *, deadline: Deadline
    ) -> Rows[Record]:
        people, odd = self._people_of(deals.items, known=contacts.items, deadline=deadline)
        columns = _columns(contacts, "contacts") + _columns(deals, "deals")
        rows: Rows[Record] = Rows([], [*contacts.problems, *deals.problems, *odd], columns)
        for contact in contacts.items:
            _add(rows, f"contact {contact.id}", partial(lead_of, contact, self._connection))
        for deal in deals.items:
            theirs = people.get(deal.id, [])
            _add(rows, f"deal {deal.id}", partial(sale_of, deal, self._connection, contacts=theirs))
        return rows

    def _people_of(
        self, deals: list[HubspotObject], *, known: list[HubspotObject], deadline: Deadline
    ) -> tuple[dict[str, list[HubspotObject]], list[str]]:
        """Deal ID -> its contacts; those that were just read are not read again."""
        if not deals:
            return {}, []
        associated = self._client.contacts_of([deal.id for deal in deals], deadline=deadline)
        people = {contact.id: contact for contact in known}
        missing = [each for ids in associated.values() for each in ids if each not in people]
        asked = contact_properties(self._connection)
        found = self._client.by_id("contacts", missing, properties=asked, deadline=deadline)
        people |= {contact.id: contact for contact in found.items}
        by_deal = {deal: [people[each] for each in ids if each in people] for deal, ids in associated.items()}
        return by_deal, found.problems


def _add(rows: Rows[Record], name: str, convert: Callable[[], Conversion | None]) -> None:
    try:
        record = convert()
    except ValueError as error:
        rows.problems.append(f"{name}: {error}")
        return
    if record is not None:
        rows.items.append(record)


def _columns(objects: Rows[HubspotObject], kind: str) -> Shape:
    """How often each property has a value; the envelope around them is HubSpot's own and not asked for."""
    return shape_of(each.properties for each in objects.items).of(kind)
