"""Which click a conversion belongs to: every method, its order of precedence, and independence of the order of arrival."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.control.checkpoints import Checkpoints
from core.identity import IDENTITY_PARAMETERS, derive, first_values
from core.store.client import Store
from correlator import matching
from correlator.engine import Correlator

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "identity.json").read_text("utf-8"))["vectors"]


def match(world: Any, fact_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.matches()[fact_id]
    return found


def click_of(world: Any, fact_id: str) -> str:
    return bytes(match(world, fact_id)["click_id"]).hex()


def test_a_conversion_with_a_click_id_belongs_to_that_click_and_gets_its_dimensions(world: Any) -> None:
    click = world.click("09:00", creative="google:1:77", link_id="spring")
    order = world.conversion("09:01", click_id=click)
    world.settle()
    found = match(world, order)
    assert (found["method"], found["confidence"]) == ("click_id", 1.0)
    assert click_of(world, order) == click
    assert (found["campaign"], found["creative"], found["device"], found["page"], found["link_id"]) == (
        "google:1:2", "google:1:77", "mobile", "shop.example/p", "spring",
    )  # fmt: skip


def test_a_platform_id_is_compared_by_the_click_id_derived_from_it(world: Any) -> None:
    click = world.click("09:00", click_id=derive("gclid", b"Abc_123"), platform_ids={"gclid": "Abc_123"})
    order = world.conversion("09:01", platform_ids={"gclid": "Abc_123"})
    world.settle()
    assert click_of(world, order) == click
    assert match(world, order)["method"] == "platform_click_id"


def test_an_unexpanded_macro_identifies_nobody(world: Any) -> None:
    world.click("09:00", click_id=derive("gclid", b"{gclid}"))
    order = world.conversion("09:01", platform_ids={"gclid": "{gclid}"})
    world.settle()
    assert match(world, order)["method"] == "none"


def test_a_visitor_gives_the_credit_to_the_last_click_before_the_conversion(world: Any) -> None:
    visitor = "ab" * 16
    world.click("09:00", visitor_id=visitor)
    last = world.click("10:00", visitor_id=visitor)
    world.click("12:00", visitor_id=visitor)
    order = world.conversion("11:00", visitor_id=visitor)
    world.settle("12:00")
    assert click_of(world, order) == last
    assert match(world, order)["method"] == "visitor_id"


def test_an_order_number_seen_with_a_click_elsewhere_leads_to_that_click(world: Any) -> None:
    click = world.click("09:00")
    world.conversion("09:01", origin="analytics", order_id="A-1", click_id=click)
    order = world.conversion("09:02", order_id="A-1")
    world.settle()
    assert (click_of(world, order), match(world, order)["method"]) == (click, "order_id")


@pytest.mark.parametrize(
    ("key", "method"), [("crm_id", "crm_id"), ("email_sha256", "email_sha256"), ("phone_sha256", "phone_sha256")]
)
def test_a_later_sale_of_the_same_person_follows_the_leads_click(world: Any, key: str, method: str) -> None:
    click = world.click("09:00")
    world.conversion("09:01", type="lead", click_id=click, **{key: "p1"})
    sale = world.conversion("15:00", **{key: "p1"})
    world.settle()
    assert (click_of(world, sale), match(world, sale)["method"]) == (click, method)


def test_keys_of_another_client_lead_nowhere(world: Any) -> None:
    click = world.click("09:00")
    world.conversion("09:01", order_id="1001", click_id=click, client="acme", origin="analytics")
    order = world.conversion("09:02", order_id="1001", client="bolt")
    world.settle()
    assert match(world, order)["method"] == "none"


def test_what_fits_nothing_is_counted_as_unattributed(world: Any) -> None:
    order = world.conversion("09:00", page="shop.example/thanks", user_agent="")
    world.settle()
    found = match(world, order)
    assert (found["method"], found["campaign"], found["page"]) == ("none", "", "shop.example/thanks")


def test_the_first_method_that_fits_wins(world: Any) -> None:
    visitor = "cd" * 16
    named = world.click("09:00")
    world.click("09:30", visitor_id=visitor)
    order = world.conversion("10:00", click_id=named, visitor_id=visitor)
    world.settle()
    assert click_of(world, order) == named


def test_a_conversion_known_before_its_click_is_matched_when_the_click_arrives(world: Any) -> None:
    click = "ef" * 16
    order = world.conversion("09:01", click_id=click)
    world.settle()
    assert match(world, order)["method"] == "none"
    world.click("09:00", click_id=click, known="09:05")
    world.settle()
    assert click_of(world, order) == click


def test_a_click_hours_late_still_gets_its_conversion(world: Any) -> None:
    visitor, click = "12" * 16, "ef" * 16
    order = world.conversion("09:01", visitor_id=visitor)
    for minute in range(10, 20):
        world.click(f"09:{minute}")
    world.settle("15:00")
    world.click("09:00", click_id=click, visitor_id=visitor, known="15:00")
    world.settle("15:00:10")
    assert click_of(world, order) == click


def test_a_click_that_the_redirect_lost_is_still_the_click_of_its_order(world: Any) -> None:
    click = world.click("09:00", http_status=503, reason="unavailable", parallel=True)
    order = world.conversion("09:01", click_id=click)
    world.settle()
    assert click_of(world, order) == click


def test_a_reused_id_starts_no_new_click(world: Any) -> None:
    shared = derive("gclid", b"shared")
    world.click("09:00", click_id=shared, campaign="google:1:2")
    world.click("13:00", click_id=shared, campaign="google:1:9", network="198.51.100.0/24")
    order = world.conversion("13:01", click_id=shared)
    world.settle()
    assert match(world, order)["campaign"] == "google:1:2"


def test_a_click_may_lie_after_its_conversion_by_the_tolerated_clock_skew_only(world: Any) -> None:
    near, far = world.click("09:04"), world.click("09:30")
    soon = world.conversion("09:00", click_id=near)
    late = world.conversion("09:00", click_id=far)
    world.settle("10:00")
    assert (match(world, soon)["method"], match(world, late)["method"]) == ("click_id", "none")


def test_a_click_older_than_the_types_look_back_gets_nothing(world: Any) -> None:
    old = world.click("2026-06-01T09:00:00Z")
    order = world.conversion("09:00", click_id=old)
    world.settle()
    assert match(world, order)["method"] == "none"


def test_a_quiet_tick_writes_nothing(world: Any) -> None:
    world.conversion("09:01", click_id=world.click("09:00"))
    world.settle()
    before = world.store.rows("SELECT count() AS n FROM conversion_match")
    world.settle("09:02")
    world.conversion("09:01", conversion_id="o-1", fact_id="backend:order:o-1", click_id="00" * 16)
    assert world.store.rows("SELECT count() AS n FROM conversion_match") == before


def test_an_equal_version_is_no_change_and_a_value_may_return(world: Any) -> None:
    order = world.conversion("09:01", conversion_id="o", value_micros=10)
    world.settle()
    world.conversion("09:01", conversion_id="o", value_micros=10, known="09:10")
    world.settle()
    assert match(world, order)["known_at"].minute == 1
    for value, minute in ((12, 20), (10, 30)):
        world.conversion("09:01", conversion_id="o", value_micros=value, known=f"09:{minute}")
        world.settle()
        assert (match(world, order)["value_micros"], match(world, order)["known_at"].minute) == (value, minute)


def test_a_return_next_month_does_not_move_the_sale(world: Any) -> None:
    order = world.conversion("09:01", conversion_id="o")
    world.settle()
    world.conversion("2026-10-05T12:00:00Z", conversion_id="o", status="returned")
    world.settle()
    found = match(world, order)
    assert (found["status"], found["ts"].isoformat()) == ("returned", "2026-09-21T09:01:00+00:00")


def test_the_same_person_at_nine_and_at_three_is_one_lead(world: Any) -> None:  # example 16
    first = world.conversion("09:00", type="lead", email_sha256="ab" * 32)
    second = world.conversion("15:00", type="lead", email_sha256="ab" * 32)
    stranger = world.conversion("15:00", type="lead", email_sha256="cd" * 32)
    next_week = world.conversion("2026-09-28T09:00:00Z", type="lead", email_sha256="ab" * 32)
    world.settle()
    assert [match(world, fact)["status"] for fact in (first, second, stranger, next_week)] == [
        "confirmed", "duplicate", "confirmed", "confirmed",
    ]  # fmt: skip
    assert match(world, second)["duplicate_of"] == first


def test_an_order_sent_under_two_ids_counts_once(world: Any) -> None:
    first = world.conversion("09:00", order_id="A-1")
    second = world.conversion("2026-09-25T09:00:00Z", order_id="A-1")
    world.settle()
    assert match(world, second)["duplicate_of"] == first


def test_a_rejected_lead_makes_no_duplicate_of_the_next(world: Any) -> None:
    world.conversion("09:00", type="lead", status="rejected", crm_id="7")
    second = world.conversion("15:00", type="lead", crm_id="7")
    world.settle()
    assert match(world, second)["status"] == "confirmed"


def test_a_new_store_is_matched_from_the_beginning_with_the_same_answers(
    world: Any, store: Store, control: Engine
) -> None:
    click = world.click("09:00", visitor_id="ab" * 16)
    world.settle()
    world.conversion("09:01", click_id=click, order_id="A-1", email_sha256="e")
    world.settle()
    world.conversion("09:02", origin="analytics", order_id="A-1")
    world.conversion("10:00", email_sha256="e")
    world.settle()
    grown = world.matches()
    store.command("TRUNCATE TABLE conversion_match")
    Correlator(store, world.journal, Checkpoints(control, "rebuilt"), config=world.config).tick(world.clock())
    assert world.matches() == grown


def test_the_engine_derives_the_click_ids_that_python_and_the_browser_derive(world: Any) -> None:
    """The identity vectors, as platform IDs of conversions: those that identify nobody must match nothing."""
    expected: dict[str, str] = {}
    for vector in VECTORS:
        values = {name.decode(): value for name, value in first_values(vector["query"].encode()).items()}
        try:
            ids = {name: values[name].decode() for name in IDENTITY_PARAMETERS if name in values}
        except UnicodeDecodeError:
            continue  # such a value cannot stand in a JSON line
        derived = vector["click_id"]
        if derived:
            world.click("09:00", click_id=derived)
        expected[world.conversion("09:01", platform_ids=ids)] = derived or ""
    world.settle()
    found = {
        fact: bytes(row["click_id"]).hex().strip("0") and bytes(row["click_id"]).hex()
        for fact, row in world.matches().items()
    }
    assert len(expected) > 10
    assert found == expected


def test_the_methods_grow_less_sure_from_first_to_last() -> None:
    confidences = [confidence for _, confidence in matching.METHODS[1:]]
    assert confidences == sorted(confidences, reverse=True)
