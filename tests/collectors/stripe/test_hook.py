"""Stripe's webhook: who may tell us something, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.hooks.base import HookRequest
from collectors.stripe.collector import StripeSource
from collectors.stripe.config import StripeConfig, StripeConnection
from collectors.stripe.hook import StripeHook
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.errors import Invalid, Unauthorized
from core.records import Conversion
from tests.collectors.sandboxes.stripe import StripeSandbox, body_of

BODY = b'{"id": "evt_1"}'


def call(body: bytes, signature: str) -> HookRequest:
    headers = {"stripe-signature": signature} if signature else {}
    return HookRequest(method="POST", url="https://ct.example/api/v1/hooks/shop", headers=headers, body=body)


def told(hook: StripeHook, stripe: StripeSandbox, clock: Any, **changes: Any) -> list[Conversion]:
    """What the newest event becomes when it is delivered now."""
    records = hook.records(body_of(stripe.last_event() | changes), now=clock.now)
    return [each for each in records if isinstance(each, Conversion)]


def test_a_signed_body_passes_and_its_replay_is_told_by_the_same_id(
    stripe: StripeSandbox, hook: StripeHook, clock: Any
) -> None:
    signature = stripe.sign(BODY)
    first = hook.verify(call(BODY, signature), now=clock.now)
    again = hook.verify(call(BODY, signature.replace(",v0=", ",v0=1")), now=clock.now + 60_000)
    assert first == again
    assert first.sent_at == clock.now // 1000 * 1000
    assert 300_000 <= first.expires_at - first.sent_at <= 301_000
    later = hook.verify(call(BODY, stripe.sign(BODY, at=clock.now // 1000 + 1)), now=clock.now)
    assert later.delivery_id != first.delivery_id


@pytest.mark.parametrize("away_s", [-301, 302])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(
    stripe: StripeSandbox, hook: StripeHook, clock: Any, away_s: int
) -> None:
    signature = stripe.sign(BODY, at=clock.now // 1000 + away_s)
    with pytest.raises(Unauthorized) as refusal:
        hook.verify(call(BODY, signature), now=clock.now)
    assert refusal.value.reason == "stale_timestamp"


def test_a_changed_body_time_or_secret_is_refused(stripe: StripeSandbox, hook: StripeHook, clock: Any) -> None:
    good = stripe.sign(BODY)
    sent = clock.now // 1000
    for body, signature in (
        (BODY + b" ", good),
        (BODY, good.replace(f"t={sent}", f"t={sent + 1}")),
        (BODY, stripe.sign(BODY, secret="whsec_other")),
        (BODY, f"t={sent},v1={'é' * 8}"),
    ):
        with pytest.raises(Unauthorized) as refusal:
            hook.verify(call(body, signature), now=clock.now)
        assert refusal.value.reason == "bad_signature"


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=ab", "t=x,v1=ab", "t=1,t=2,v1=ab", "t=-1,v1=ab", "t=1,v0=ab", "t=١,v1=ab"]
)
def test_a_header_without_time_and_v1_signature_is_refused(hook: StripeHook, clock: Any, header: str) -> None:
    with pytest.raises(Unauthorized) as refusal:
        hook.verify(call(BODY, header), now=clock.now)
    assert refusal.value.reason == "missing_signature"


def test_while_a_secret_is_exchanged_both_are_valid_and_make_one_delivery(
    stripe: StripeSandbox, hook: StripeHook, clock: Any
) -> None:
    stripe.secret_file.write_text(f"whsec_new\n{stripe.secret}\n")
    old, new = stripe.sign(BODY), stripe.sign(BODY, secret="whsec_new")
    both = f"{old},{new.partition(',')[2]}"
    deliveries = {hook.verify(call(BODY, each), now=clock.now) for each in (old, new, both)}
    assert len(deliveries) == 1


def test_a_missing_secret_is_no_open_door(connect: Callable[..., StripeConnection], tmp_path: Path, clock: Any) -> None:
    hook = StripeHook(connect(webhook_secret_file=str(tmp_path / "none")), config=StripeConfig())
    with pytest.raises(Invalid) as refusal:
        hook.verify(call(BODY, "t=1,v1=ab"), now=clock.now)
    assert (refusal.value.reason, refusal.value.status) == ("secret_unavailable", 503)


def test_a_fresh_payment_is_taken_from_the_event_itself(stripe: StripeSandbox, hook: StripeHook, clock: Any) -> None:
    charge = stripe.charge(metadata={"order_id": "o-1"})
    (found,) = told(hook, stripe, clock)
    assert (found.conversion_id, found.status, found.order_id, found.client) == (
        charge["id"],
        "confirmed",
        "o-1",
        "acme",
    )
    assert stripe.requests == []


def test_webhook_and_pull_tell_the_same(
    stripe: StripeSandbox, hook: StripeHook, source: StripeSource, clock: Any
) -> None:
    stripe.charge(metadata={"order_id": "o-1"}, customer="cus_1")
    (told_by_webhook,) = told(hook, stripe, clock)
    clock.advance(1000)
    (pulled,) = source.fetch(Window(since=clock.now - HOUR_MS, until=clock.now), now=clock.now, deadline_s=5).records
    assert pulled == told_by_webhook


def test_an_event_that_was_overtaken_does_not_turn_the_payment_back(
    stripe: StripeSandbox, hook: StripeHook, clock: Any
) -> None:
    charge = stripe.charge()
    late = stripe.last_event()
    clock.advance(HOUR_MS)
    stripe.refund(charge)
    (found,) = hook.records(body_of(late), now=clock.now)
    assert isinstance(found, Conversion)
    assert found.status == "refunded"


def test_events_that_only_name_a_charge_lead_to_it(stripe: StripeSandbox, hook: StripeHook, clock: Any) -> None:
    charge = stripe.charge(ts=clock.now - 30 * DAY_MS)
    stripe.refund(charge, 990)
    assert stripe.last_event()["type"] == "refund.created"
    assert [each.value_micros for each in told(hook, stripe, clock)] == [50_000_000]
    dispute = stripe.dispute(charge)
    assert [each.status for each in told(hook, stripe, clock)] == ["confirmed"]
    stripe.close_dispute(dispute, "lost")
    assert [each.status for each in told(hook, stripe, clock)] == ["refunded"]
    stripe.change(charge, "charge.updated", description="x")
    assert [each.status for each in told(hook, stripe, clock)] == ["refunded"], (
        "a fresh event does not know of the dispute"
    )


def test_without_a_key_events_stand_as_they_are_and_disputes_say_nothing(
    stripe: StripeSandbox, connect: Callable[..., StripeConnection], clock: Any
) -> None:
    hook = StripeHook(connect(pull=False, credentials_file=""), config=StripeConfig())
    charge = stripe.charge()
    clock.advance(HOUR_MS)
    assert [each.status for each in told(hook, stripe, clock)] == ["confirmed"]
    stripe.dispute(charge)
    assert told(hook, stripe, clock) == []
    assert stripe.requests == []


def test_other_events_and_other_accounts_say_nothing(
    stripe: StripeSandbox, hook: StripeHook, connect: Callable[..., StripeConnection], clock: Any
) -> None:
    stripe.charge()
    assert told(hook, stripe, clock, type="customer.created") == []
    assert told(hook, stripe, clock, account="acct_7") == []
    connected = StripeHook(connect(account="acct_7"), config=StripeConfig())
    assert len(told(connected, stripe, clock, account="acct_7")) == 1
    assert told(connected, stripe, clock) == []


def test_when_stripe_cannot_be_asked_it_is_told_to_send_again(
    stripe: StripeSandbox, hook: StripeHook, clock: Any
) -> None:
    stripe.charge()
    clock.advance(HOUR_MS)
    stripe.credentials_file.write_text("rk_test_wrong")
    with pytest.raises(Invalid) as refusal:
        told(hook, stripe, clock)
    assert (refusal.value.reason, refusal.value.status) == ("vendor_unavailable", 503)
    assert "key" not in refusal.value.detail.lower()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"\xff", "malformed"),
        (b"[]", "bad_value"),
        (b'{"id":"e","type":"charge.x","created":1,"data":{"object":{"id":1}}}', "bad_value"),
        (b'{"id":"e","type":"charge.x","created":1,"data":{"object":{"id":"ch_1","object":"charge"}}}', "bad_value"),
    ],
)
def test_what_is_no_event_is_refused_with_its_word(hook: StripeHook, clock: Any, body: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        hook.records(body, now=clock.now)
    assert refusal.value.reason == reason


def test_a_charge_in_no_known_currency_is_refused(stripe: StripeSandbox, hook: StripeHook, clock: Any) -> None:
    stripe.charge(currency="e")
    with pytest.raises(Invalid, match="ISO 4217"):
        told(hook, stripe, clock)
