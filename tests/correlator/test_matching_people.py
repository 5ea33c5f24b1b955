"""One person over several domains, devices and weeks; keys that many people share; clocks that disagree. Few worlds, many conversions."""

from __future__ import annotations

from typing import Any

from core.control.checkpoints import Checkpoints
from core.identity import derive
from correlator.config import ConversionType, QualificationRule
from correlator.engine import Correlator

DESKTOP = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)


def found(world: Any) -> dict[str, tuple[str, str, float]]:
    """(method, click ID, confidence) by fact."""
    return {
        fact: (str(row["method"]), bytes(row["click_id"]).hex() if row["method"] != "none" else "", row["confidence"])
        for fact, row in world.matches().items()
    }


def test_a_person_is_followed_over_domains_and_devices(world: Any) -> None:
    gclid = derive("gclid", b"Cross-1")
    world.click("08:00", click_id=gclid, platform_ids={"gclid": "Cross-1"}, domain="go.example", page="shop.example/p")
    # The page on the first domain decorates its links, the third has no cookie of ours and sends what it got.
    third = world.conversion("08:20", click_id=gclid, page="pay.example/thanks", conversion_id="third")
    # The back end of the second knows only what the platform put in the address.
    second = world.conversion(
        "08:21", platform_ids={"gclid": "Cross-1"}, page="shop2.example/ok", conversion_id="second"
    )
    # The telephone leads to the desk: clicked on the one, bought on the other, by the order and the CRM number.
    phone = world.click("09:00")
    world.conversion("09:05", type="lead", status="captured", crm_id="C-7", click_id=phone)
    desk = world.conversion("21:00", crm_id="C-7", user_agent=DESKTOP, conversion_id="desk")
    world.conversion("09:06", origin="analytics", order_id="A-9", click_id=phone)
    paid = world.conversion("09:07", order_id="A-9", user_agent=DESKTOP, conversion_id="paid")
    # By file, three weeks later, from the till: the CRM number is all it has.
    till = world.conversion("2026-10-12T10:00:00Z", type="sale", origin="offline", crm_id="C-7", conversion_id="till")
    # A key whose only click lies after the conversion leads nowhere.
    world.conversion("12:00", type="lead", crm_id="C-8", click_id=world.click("11:59"))
    early = world.conversion("10:00", crm_id="C-8", conversion_id="early")
    world.settle("2026-10-12T10:01:00Z")
    assert {fact: found(world)[fact][:2] for fact in (third, second, desk, paid, till, early)} == {
        third: ("click_id", gclid),
        second: ("platform_click_id", gclid),
        desk: ("crm_id", phone),
        paid: ("order_id", phone),
        till: ("crm_id", phone),
        early: ("none", ""),
    }
    # The matched click's device, not the one that the order was placed on: the credit is the advertisement's.
    assert world.matches()[desk]["device"] == "mobile"


def test_a_key_that_many_people_share_is_asked_last_and_leads_nobody_else(world: Any) -> None:
    shared = {"gbraid": "0AAAA-aggregate"}
    other = world.click("08:00", platform_ids=shared, campaign="google:1:9")
    own = world.click("08:30")
    alone = world.conversion("09:00", platform_ids=shared, conversion_id="alone", email_sha256="e1")
    follows = world.conversion("10:00", conversion_id="follows", email_sha256="e1", type="lead")
    world.conversion("08:40", type="lead", email_sha256="e2", click_id=own)
    linked = world.conversion("11:00", platform_ids=shared, email_sha256="e2", conversion_id="linked")
    named = world.conversion("11:30", platform_ids=shared, click_id=own, conversion_id="named")
    unfilled = world.conversion("11:40", platform_ids={"gbraid": "{gbraid}"}, conversion_id="unfilled")
    world.settle("12:00")
    got = found(world)
    assert got[alone] == ("shared_platform_id", other, 0.5)
    assert {fact: got[fact][:2] for fact in (follows, linked, named, unfilled)} == {
        follows: ("none", ""),  # a guess is no ground for the next guess
        linked: ("email_sha256", own),
        named: ("click_id", own),
        unfilled: ("none", ""),
    }
    last = world.click("08:50", platform_ids=shared, known="12:10")
    world.settle("12:20")
    assert found(world)[alone] == ("shared_platform_id", last, 0.5)


def test_a_clock_that_went_back_hides_no_new_match(world: Any) -> None:
    click = "ef" * 16
    order = world.conversion("09:01", click_id=click)
    world.settle("2026-09-21T18:00:00Z")
    world.clock.now -= 6 * 3_600_000
    world.click("09:00", click_id=click, known=world.clock.now)
    world.settle()
    assert found(world)[order][:2] == ("click_id", click)


def test_what_makes_a_lead_qualified_is_the_catalogues_rule_and_a_new_rule_judges_old_leads(world: Any) -> None:
    def lead(name: str, status: str, **fields: Any) -> str:
        return str(world.conversion("09:00", type="lead", status=status, conversion_id=name, **fields))

    raw = lead("raw", "captured", attributes={"stage": "new"})
    told = lead("told", "qualified")
    scored = lead("scored", "captured", attributes={"stage": "sql"})
    refused = lead("refused", "rejected", attributes={"stage": "sql"})
    gone = lead("gone", "returned", attributes={"stage": "sql"})
    again = lead("again", "qualified", crm_id="7")
    world.conversion("08:00", type="lead", status="captured", conversion_id="once", crm_id="7")
    world.settle("10:00")
    facts = (raw, told, scored, refused, gone, again)
    assert [world.matches()[fact]["qualified"] for fact in facts] == [False, True, False, False, False, False]

    by_stage = QualificationRule(statuses=["confirmed"], attribute="stage", values=["sql", "opportunity"])
    entry = ConversionType(qualified=by_stage, duplicates=world.config.catalogue["lead"].duplicates)
    config = world.config.model_copy(update={"catalogue": {**world.config.catalogue, "lead": entry}})
    checkpoints = Checkpoints(world.control, "correlator")
    restarted = Correlator(world.store, world.journal, checkpoints, config=config, clock=world.clock)
    restarted.tick(world.clock() + 60_000)
    assert [world.matches()[fact]["qualified"] for fact in facts] == [False, False, True, False, False, False]
