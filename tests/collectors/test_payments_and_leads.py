"""The whole way of a sale and of a lead: vendors on loopback, the public listener, the runner, the journal, the store, the matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.config import CollectorsConfig
from collectors.registry import build_sources
from collectors.runner import Runner
from collectors.versions import RECENT_MS, Versions
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.control.checkpoints import Checkpoints
from core.identity import derive
from core.records import Conversion, Record
from correlator.config import CorrelatorConfig
from tests.collectors.internet import PUBLIC_URL, Internet, open_internet
from tests.collectors.sandboxes.hubspot import HubspotSandbox
from tests.collectors.sandboxes.stripe import StripeSandbox, body_of
from tests.correlator.conftest import World

ADDRESS = "jo.doe@shop.example"


@pytest.fixture
def stripe(tmp_path: Path, clock: Any) -> Iterator[StripeSandbox]:
    with StripeSandbox(tmp_path / "stripe", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def hubspot(tmp_path: Path, clock: Any) -> Iterator[HubspotSandbox]:
    with HubspotSandbox(tmp_path / "hubspot", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sections(stripe: StripeSandbox, hubspot: HubspotSandbox) -> dict[str, Any]:
    def connection(sandbox: Any, **fields: Any) -> dict[str, Any]:
        return dict(sandbox.connection(webhook_secret_file=str(sandbox.secret_file), **fields))

    quick = {"backfill_s": 5 * 86_400, "recent_s": 86_400, "documented_lag_s": 0}
    return {
        "stripe": quick | {"connections": [connection(stripe, name="shop")]},
        "hubspot": quick
        | {"searches_per_second": 1_000, "connections": [connection(hubspot, name="sales", currency="EUR")]},
    }


@pytest.fixture
def versions(store: Any, clock: Any) -> Versions:
    """One for all doors, as in the monitor."""
    return Versions(store, clock=clock)


@pytest.fixture
def internet(journal: Any, control: Any, versions: Versions, clock: Any, sections: dict[str, Any]) -> Internet:
    return open_internet(journal, control, clock=clock, versions=versions, **sections)


@pytest.fixture
def pull(
    journal: Any, control: Any, versions: Versions, clock: Any, sections: dict[str, Any], ship: Any
) -> Iterator[Callable[[], None]]:
    runner = Runner(
        build_sources(CollectorsConfig.model_validate(sections), []),
        journal,
        Checkpoints(control, "collectors", clock=clock),
        versions=versions,
        clock=clock,
    )

    def pull() -> None:
        """An hour later, when everything before has reached the store."""
        ship()
        clock.advance(HOUR_MS)
        runner.run_once(clock.now)
        assert {status.state for status in runner.statuses()} == {"complete"}

    yield pull
    runner.stop()


@pytest.fixture
def conversions(journaled: Callable[[], list[Record]]) -> Callable[[], list[Conversion]]:
    return lambda: [each for each in journaled() if isinstance(each, Conversion)]


def deliver(internet: Internet, stripe: StripeSandbox, event: dict[str, Any]) -> tuple[int, str]:
    """(status, what became of it) of a webhook call with the event."""
    body = body_of(event)
    answer = internet.call("shop", body, stripe_signature=stripe.sign(body))
    return answer.status_code, answer.json().get("result") or answer.json().get("reason")


def test_a_sales_life_is_one_fact_whoever_tells_it(
    internet: Internet,
    stripe: StripeSandbox,
    pull: Callable[[], None],
    conversions: Callable[[], list[Conversion]],
    ship: Any,
    store: Any,
    clock: Any,
) -> None:
    made = clock.now
    charge = stripe.charge(captured=False, amount_captured=0, metadata={"order_id": "o-1"})
    authorised = stripe.last_event()
    assert deliver(internet, stripe, authorised) == (200, "written")
    assert deliver(internet, stripe, authorised) == (409, "replayed")
    stripe.change(charge, "charge.captured", captured=True, amount_captured=5990)
    captured = stripe.last_event()
    pull()
    assert deliver(internet, stripe, captured) == (200, "unchanged"), "the pull was first"
    ship()
    clock.advance(RECENT_MS)
    stripe.refund(charge, 990)
    assert deliver(internet, stripe, stripe.last_event()) == (200, "written")
    ship()
    clock.advance(RECENT_MS)
    stripe.refund(charge, 5000)
    pull()
    pull()
    assert deliver(internet, stripe, authorised) == (200, "unchanged"), "sent again, hours later"
    ship()
    assert [(each.status, each.value_micros) for each in conversions()] == [
        ("qualified", 59_900_000),
        ("confirmed", 59_900_000),
        ("confirmed", 50_000_000),
        ("refunded", 59_900_000),
    ]
    assert {each.fact_id for each in conversions()} == {f"conversion:acme:backend:order:{charge['id']}"}
    query = "SELECT status, toUnixTimestamp64Milli(ts) AS ts FROM conversion_as_of(as_of={as_of:Int64})"
    known = [store.rows(query, {"as_of": at}) for at in (made, made + HOUR_MS, clock.now)]
    assert known == [[{"status": status, "ts": made}] for status in ("qualified", "confirmed", "refunded")]


def test_a_lead_and_its_deal_follow_the_click_and_nobody_is_named(
    internet: Internet,
    hubspot: HubspotSandbox,
    pull: Callable[[], None],
    conversions: Callable[[], list[Conversion]],
    journal_dir: Path,
    journal: Any,
    control: Any,
    ship: Any,
    store: Any,
    clock: Any,
) -> None:
    world = World(store, control, journal, ship, clock, CorrelatorConfig())
    click = world.click("09:00", click_id=derive("gclid", b"Cj0K"), platform_ids={"gclid": "Cj0K"})
    person = hubspot.contact(email=ADDRESS, firstname="Jo", phone="+49 30 1234567", hs_google_click_id="Cj0K")
    url, body = f"{PUBLIC_URL}/api/v1/hooks/sales", hubspot.events(("contact.creation", person))
    headers = {name.replace("-", "_"): value for name, value in hubspot.sign("POST", url, body).items()}
    assert internet.call("sales", body, **headers).json() == {"result": "written", "records": 1, "written": 1}
    clock.advance(DAY_MS)
    deal = hubspot.deal(person, amount="1250", dealname="Doe & Sons")
    pull()
    clock.advance(DAY_MS)
    hubspot.change("contacts", person, lifecyclestage="customer")
    hubspot.change("deals", deal, dealstage="closedwon", hs_is_closed="true", hs_is_closed_won="true")
    pull()
    story = {kind: [each.status for each in conversions() if each.type == kind] for kind in ("lead", "deal")}
    assert story == {"lead": ["captured", "confirmed"], "deal": ["captured", "confirmed"]}
    ship()
    world.correlator.tick(clock.now)
    matches = world.matches()
    for fact_id in (f"conversion:acme:crm:lead:{person}", f"conversion:acme:crm:deal:{deal}"):
        assert bytes(matches[fact_id]["click_id"]).hex() == click
        assert matches[fact_id]["method"] == "platform_click_id"
    written = b"".join(file.read_bytes() for file in journal_dir.rglob("*") if file.is_file()).lower()
    assert not [text for text in (b"jo.doe", b"1234567", b"doe &") if text in written]


def test_hooks_answer_503_while_the_vendor_is_away_and_take_the_same_call_later(
    internet: Internet, hubspot: HubspotSandbox, clock: Any
) -> None:
    person = hubspot.contact()
    url, body = f"{PUBLIC_URL}/api/v1/hooks/sales", hubspot.events(("contact.creation", person))
    headers = {name.replace("-", "_"): value for name, value in hubspot.sign("POST", url, body).items()}
    hubspot.scopes = set()
    assert internet.call("sales", body, **headers).status_code == 503
    hubspot.scopes = {"contacts", "deals"}
    clock.advance(MINUTE_MS)
    assert internet.call("sales", body, **headers).json()["result"] == "written"
