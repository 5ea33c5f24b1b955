"""The Stripe source over loopback HTTP. What it has in common with all sources is tested in tests/collectors/test_every_source.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collectors.base import Fetched
from collectors.stripe.client import VERSION
from collectors.stripe.collector import StripeSource
from collectors.stripe.config import StripeConfig, StripeConnection
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, Transient
from core.records import Conversion
from tests.collectors.sandboxes.stripe import StripeSandbox

SEPA = {"type": "sepa_debit", "sepa_debit": {"country": "DE"}}


@pytest.fixture
def read(source: StripeSource, clock: Any) -> Callable[..., Fetched]:
    """Read the last hour, or what is said."""

    def read(*, hours: float = 1.0, until: int = 0) -> Fetched:
        until = until or clock.now
        window = Window(since=until - round(hours * HOUR_MS), until=until)
        return source.fetch(window, now=clock.now, deadline_s=10)

    return read


def states(fetched: Fetched) -> dict[str, tuple[str, int]]:
    return {
        each.conversion_id: (each.status, each.value_micros) for each in fetched.records if isinstance(each, Conversion)
    }


def test_all_pages_of_a_window_are_read_once_each(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    stripe.behaviour.page_size = 7
    made = [stripe.charge(ts=clock.now - (at + 1) * 60_000)["id"] for at in range(50)]
    stripe.charge(ts=clock.now - 2 * HOUR_MS)
    fetched = read()
    assert sorted(states(fetched)) == sorted(made)
    assert len(fetched.records) == 50
    asked = [request for request in stripe.requests if request.path == "/v1/charges"]
    assert len(asked) == 8
    assert {request.headers["stripe-version"] for request in asked} == {VERSION}


def test_what_was_made_in_the_windows_last_second_is_read(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    clock.now += 700
    charge = stripe.charge()
    assert list(states(read())) == [charge["id"]]


def test_a_refund_shows_the_old_payment_as_it_is_now(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    part, whole, none = (stripe.charge(ts=clock.now - 40 * DAY_MS) for _ in range(3))
    stripe.refund(part, 990)
    stripe.refund(whole)
    clock.advance(1000)
    assert states(read()) == {part["id"]: ("confirmed", 50_000_000), whole["id"]: ("refunded", 59_900_000)}
    assert none["id"] not in states(read())
    assert all(each.ts == clock.now - 1000 - 40 * DAY_MS for each in read().records)


def test_what_becomes_of_a_payment_days_later_is_seen_by_its_events(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    debit, bounced = (stripe.charge(status="pending", payment_method_details=SEPA) for _ in range(2))
    held, released = (stripe.charge(captured=False, amount_captured=0) for _ in range(2))
    clock.advance(1000)
    assert [state for state, _ in states(read()).values()].count("captured") == 2
    assert [state for state, _ in states(read()).values()].count("qualified") == 2
    clock.advance(3 * DAY_MS)
    stripe.change(debit, "charge.succeeded", status="succeeded")
    stripe.change(bounced, "charge.failed", status="failed", captured=False)
    stripe.change(held, "charge.captured", captured=True, amount_captured=5000)
    stripe.change(released, "charge.expired", refunded=True, amount_refunded=5990)
    clock.advance(1000)
    assert states(read()) == {
        debit["id"]: ("confirmed", 59_900_000),
        bounced["id"]: ("rejected", 59_900_000),
        held["id"]: ("confirmed", 50_000_000),
        released["id"]: ("rejected", 59_900_000),
    }


def test_a_lost_dispute_takes_the_sale_back_and_a_won_one_does_not(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    lost, won = (stripe.charge(ts=clock.now - 20 * DAY_MS) for _ in range(2))
    about_lost, about_won = stripe.dispute(lost), stripe.dispute(won)
    clock.advance(1000)
    assert {state for state, _ in states(read()).values()} == {"confirmed"}
    clock.advance(10 * DAY_MS)
    stripe.close_dispute(about_lost, "lost")
    stripe.close_dispute(about_won, "won")
    clock.advance(1000)
    found = {each.conversion_id: each for each in read().records if isinstance(each, Conversion)}
    assert {key: each.status for key, each in found.items()} == {lost["id"]: "refunded", won["id"]: "confirmed"}
    assert found[lost["id"]].attributes["dispute"] == "lost"


def test_events_are_not_asked_for_when_they_are_gone(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    charge = stripe.charge(ts=clock.now - 60 * DAY_MS)
    fetched = read(hours=24, until=clock.now - 60 * DAY_MS + HOUR_MS)
    assert list(states(fetched)) == [charge["id"]]
    assert not [request for request in stripe.requests if request.path == "/v1/events"]


def test_a_declined_card_is_not_read_as_a_sale(stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]) -> None:
    stripe.charge(status="failed", captured=False, amount_captured=0, failure_code="card_declined")
    clock.advance(1000)
    fetched = read()
    assert (fetched.records, fetched.invalid) == ([], 0)


def test_a_row_that_cannot_be_understood_is_counted_and_the_rest_kept(
    stripe: StripeSandbox, clock: Any, read: Callable[..., Fetched]
) -> None:
    good = stripe.charge()
    stripe.charge(amount="59.90")
    odd = stripe.charge(currency="euros")
    clock.advance(1000)
    fetched = read()
    assert list(states(fetched)) == [good["id"]]
    assert fetched.invalid == 2
    odd["currency"] = "eur"
    assert "another shape than documented" in read().detail


def test_a_wrong_key_is_a_permanent_error_without_the_key(stripe: StripeSandbox, read: Callable[..., Fetched]) -> None:
    stripe.credentials_file.write_text("rk_live_51secretsecret")
    with pytest.raises(Permanent, match="the API key is not accepted: Invalid API Key") as error:
        read()
    assert "secretsecret" not in str(error.value)
    stripe.credentials_file.write_text(stripe.token)
    assert read().records == [], "the mended key is seen without a restart"


@pytest.mark.parametrize("resource", ["charges", "refunds", "events"])
def test_a_missing_permission_is_named(stripe: StripeSandbox, read: Callable[..., Fetched], resource: str) -> None:
    stripe.denied = {resource}
    with pytest.raises(Permanent, match=f"the API key may not read this: .*{resource}"):
        read()


def test_the_probe_tries_every_list(stripe: StripeSandbox, source: StripeSource, clock: Any) -> None:
    assert source.probe(now=clock.now, deadline_s=5) == "reads charges, refunds, events, disputes"
    stripe.denied = {"disputes"}
    with pytest.raises(Permanent, match="disputes"):
        source.probe(now=clock.now, deadline_s=5)


def test_a_connected_account_is_read_as_such(
    stripe: StripeSandbox, connect: Callable[..., StripeConnection], clock: Any
) -> None:
    source = StripeSource(connect(account="acct_7"), config=StripeConfig())
    source.fetch(Window(since=clock.now - HOUR_MS, until=clock.now), now=clock.now, deadline_s=5)
    assert {request.headers["stripe-account"] for request in stripe.requests} == {"acct_7"}
    source.close()


def test_a_window_too_large_for_the_deadline_says_what_to_change(
    stripe: StripeSandbox, source: StripeSource, clock: Any
) -> None:
    stripe.behaviour.page_size = 1
    for at in range(300):
        stripe.charge(ts=clock.now - at * 1000)
    with pytest.raises(Transient, match=r"deadline|no answer in time"):
        source.fetch(Window(since=clock.now - HOUR_MS, until=clock.now), now=clock.now, deadline_s=0.1)
