"""HubSpot's webhook: who may tell us something, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collectors.hooks.base import HookRequest
from collectors.hubspot.collector import HubspotSource
from collectors.hubspot.config import HubspotConnection
from collectors.hubspot.hook import HubspotHook, decoded_uri
from collectors.windows import Window
from core.clock import HOUR_MS
from core.errors import Invalid, Unauthorized
from core.records import Conversion
from tests.collectors.hubspot.conftest import CONFIG
from tests.collectors.sandboxes.hubspot import HubspotSandbox

URL = "https://ct.example/api/v1/hooks/sales"


def request(hubspot: HubspotSandbox, body: bytes = b"[]", url: str = URL, **changes: Any) -> HookRequest:
    headers = hubspot.sign("POST", url, body, **changes)
    return HookRequest(method="POST", url=url, headers=headers, body=body)


def told(hook: HubspotHook, body: bytes, clock: Any) -> set[tuple[str, str, str]]:
    records = hook.records(body, now=clock.now)
    return {(each.type, each.conversion_id, each.status) for each in records if isinstance(each, Conversion)}


def test_a_signed_call_passes_and_its_replay_is_told_by_the_same_id(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any
) -> None:
    call = request(hubspot)
    first = hook.verify(call, now=clock.now)
    assert hook.verify(call, now=clock.now + 60_000) == first
    assert (first.sent_at, first.expires_at) == (clock.now, clock.now + 300_001)
    assert hook.verify(request(hubspot, at=clock.now + 1), now=clock.now).delivery_id != first.delivery_id


def test_the_uri_is_decoded_as_the_page_says_before_it_is_signed(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any
) -> None:
    sent = f"{URL}?src=hs%3Aapp%2fv3&x=%28a%29&keep=%20%26"
    assert decoded_uri(sent) == f"{URL}?src=hs:app/v3&x=(a)&keep=%20%26"
    headers = hubspot.sign("POST", decoded_uri(sent), b"[]")
    hook.verify(HookRequest(method="POST", url=sent, headers=headers, body=b"[]"), now=clock.now)


@pytest.mark.parametrize("away_ms", [-300_001, 300_001])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any, away_ms: int
) -> None:
    with pytest.raises(Unauthorized) as refusal:
        hook.verify(request(hubspot, at=clock.now + away_ms), now=clock.now)
    assert refusal.value.reason == "stale_timestamp"


def test_a_changed_body_address_method_time_or_secret_is_refused(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any
) -> None:
    good = request(hubspot)
    later = dict(good.headers) | {"x-hubspot-request-timestamp": str(clock.now + 1)}
    for call in (
        HookRequest(method="POST", url=URL, headers=good.headers, body=b"[ ]"),
        HookRequest(method="POST", url=f"{URL}?a=1", headers=good.headers, body=b"[]"),
        HookRequest(method="PUT", url=URL, headers=good.headers, body=b"[]"),
        HookRequest(method="POST", url=URL, headers=later, body=b"[]"),
        request(hubspot, secret="other"),
    ):
        with pytest.raises(Unauthorized) as refusal:
            hook.verify(call, now=clock.now)
        assert refusal.value.reason == "bad_signature"


@pytest.mark.parametrize(
    "changes",
    [{"x-hubspot-signature-v3": ""}, {"x-hubspot-request-timestamp": "soon"}, {"x-hubspot-request-timestamp": ""}],
)
def test_without_signature_or_time_it_is_refused(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any, changes: dict[str, str]
) -> None:
    good = request(hubspot)
    call = HookRequest(method="POST", url=URL, headers=dict(good.headers) | changes, body=b"[]")
    with pytest.raises(Unauthorized) as refusal:
        hook.verify(call, now=clock.now)
    assert refusal.value.reason == "missing_signature"


def test_events_lead_to_the_objects_as_they_are_now(hubspot: HubspotSandbox, hook: HubspotHook, clock: Any) -> None:
    person = hubspot.contact(lifecyclestage="customer", hs_google_click_id="Cj0K")
    deal = hubspot.deal(person, hs_is_closed="true", hs_is_closed_won="true", amount="10")
    body = hubspot.events(
        ("contact.propertyChange", person),
        ("contact.creation", person),
        ("deal.propertyChange", deal),
        ("company.creation", "77"),
    )
    assert told(hook, body, clock) == {("lead", person, "confirmed"), ("deal", deal, "confirmed")}
    assert len(hubspot.requests) == 3, "contacts, deals and their associations; the contact is not read twice"


def test_generic_subscriptions_name_their_kind_by_number(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any
) -> None:
    person = hubspot.contact()
    body = hubspot.events(("object.propertyChange", person), objectTypeId="0-1")
    assert told(hook, body, clock) == {("lead", person, "captured")}
    assert told(hook, hubspot.events(("object.creation", person), objectTypeId="0-2"), clock) == set()


def test_a_merge_leads_to_the_contact_that_stays(hubspot: HubspotSandbox, hook: HubspotHook, clock: Any) -> None:
    person = hubspot.contact()
    kept = hubspot.events(("contact.merge", "7"), primaryObjectId=int(person), mergedObjectIds=[7], newObjectId=None)
    new = hubspot.events(("contact.merge", "7"), primaryObjectId=8, mergedObjectIds=[7], newObjectId=int(person))
    for body in (kept, new):
        assert told(hook, body, clock) == {("lead", person, "captured")}


def test_what_was_deleted_is_not_asked_for(hubspot: HubspotSandbox, hook: HubspotHook, clock: Any) -> None:
    person = hubspot.contact()
    body = hubspot.events(("contact.deletion", person), ("contact.privacyDeletion", person))
    assert told(hook, body, clock) == set()
    assert hubspot.requests == []
    hubspot.forget("contacts", person)
    assert told(hook, hubspot.events(("contact.creation", person)), clock) == set()


def test_another_portals_events_say_nothing(
    hubspot: HubspotSandbox, connect: Callable[..., HubspotConnection], clock: Any
) -> None:
    person = hubspot.contact()
    body = hubspot.events(("contact.creation", person))
    assert told(HubspotHook(connect(portal=hubspot.portal), config=CONFIG), body, clock) == {
        ("lead", person, "captured")
    }
    assert told(HubspotHook(connect(portal=1), config=CONFIG), body, clock) == set()


def test_webhook_and_pull_tell_the_same(
    hubspot: HubspotSandbox, hook: HubspotHook, source: HubspotSource, clock: Any
) -> None:
    person = hubspot.contact(email="jo@shop.example")
    deal = hubspot.deal(person, amount="5")
    by_webhook = hook.records(hubspot.events(("contact.creation", person), ("deal.creation", deal)), now=clock.now)
    pulled = source.fetch(Window(since=clock.now - HOUR_MS, until=clock.now + 1), now=clock.now, deadline_s=5)
    assert pulled.records == by_webhook


def test_kinds_that_are_left_out_are_not_asked_for(
    hubspot: HubspotSandbox, connect: Callable[..., HubspotConnection], clock: Any
) -> None:
    hook = HubspotHook(connect(contacts=False), config=CONFIG)
    assert told(hook, hubspot.events(("contact.creation", hubspot.contact())), clock) == set()
    assert hubspot.requests == []


def test_when_hubspot_cannot_be_asked_it_is_told_to_send_again(
    hubspot: HubspotSandbox, hook: HubspotHook, clock: Any
) -> None:
    hubspot.scopes = set()
    with pytest.raises(Invalid) as refusal:
        told(hook, hubspot.events(("contact.creation", hubspot.contact())), clock)
    assert (refusal.value.reason, refusal.value.status) == ("vendor_unavailable", 503)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed"),
        (b"[", "malformed"),
        (b"\xff", "malformed"),
        (b"{}", "bad_value"),
        (b'[{"objectId": 1}]', "bad_value"),
    ],
)
def test_what_are_no_events_is_refused_with_its_word(hook: HubspotHook, clock: Any, body: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        hook.records(body, now=clock.now)
    assert refusal.value.reason == reason


def test_an_object_that_cannot_be_understood_is_refused(hubspot: HubspotSandbox, hook: HubspotHook, clock: Any) -> None:
    deal = hubspot.deal(amount="a lot")
    with pytest.raises(Invalid, match=f"deal {deal}"):
        told(hook, hubspot.events(("deal.creation", deal)), clock)
