"""The daily run over real facts: what it finds, keeps and shows, and that it finds the same again."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from core.clock import DAY_MS, HOUR_MS
from core.records import Check, Touch
from correlator.config import CorrelatorConfig
from correlator.daily_reconciliation import DailyReconciliation
from correlator.period import Question
from correlator.reconciling_config import ReconciliationConfig
from correlator.steps_kept import learned
from tests.correlator.conftest import moment

DAY = moment("2026-09-21T00:00:00Z")
SHOP, OTHER = "google:1:2", "google:1:3"
PAGES = {SHOP: "shop.example/p", OTHER: "other.example/q"}
HISTORY_DAYS = 4
YESTERDAY = {"since": "2026-09-21T00:00:00Z", "until": "2026-09-22T00:00:00Z"}


SHORT = CorrelatorConfig(reconciliation=ReconciliationConfig(history_days=2, recheck_days=1))


@pytest.fixture
def config() -> CorrelatorConfig:
    return CorrelatorConfig(
        reconciliation=ReconciliationConfig(history_days=HISTORY_DAYS, least_days=3, recheck_days=2)
    )


@pytest.fixture
def daily(world: Any) -> DailyReconciliation:
    return DailyReconciliation(world.store, config=world.config, shipped_through=world.ship.shipper.shipped_through)


def day_of_traffic(world: Any, day: int, campaign: str, *, broken: str = "") -> None:
    """Ten hours of twelve clicks, ten of which land; from the sixth hour on as `broken` says. All of it is learned in the evening."""
    evening, page = day + 20 * HOUR_MS, PAGES[campaign]
    for hour in range(8, 18):
        down, stripped = (hour >= 13 and broken == word for word in ("outage", "stripped"))
        for number in range(12):
            at = day + hour * HOUR_MS + number * 240_000
            click = world.click(at, known=evening, campaign=campaign, page=page)
            if number < 10 and not down:
                view = Touch(
                    ts=at + 60_000, source="snippet", name="page_view", click_id="" if stripped else click, page=page
                )
                world.tell(view, known=evening)


def work_off(daily: DailyReconciliation, now: int) -> int:
    """How many runs took place."""
    runs = 0
    while daily.tick(now):
        runs += 1
    return runs


def kept(world: Any) -> list[Any]:
    tables = ("reconciliation_run", "reconciled_day", "reconciliation_finding")
    return [sorted(map(repr, world.store.rows(f"SELECT * FROM {table} FINAL"))) for table in tables]


@pytest.fixture
def broken(world: Any) -> Any:
    """Three usual days of two campaigns; on the fourth one's tag is down and the other's parameters are stripped, from 13 o'clock on."""
    world.campaign("2026-09-14T01:00:00Z", campaign=OTHER, client="acme", source="push")
    for number in range(3, 0, -1):
        for campaign in PAGES:
            day_of_traffic(world, DAY - number * DAY_MS, campaign)
    day_of_traffic(world, DAY, SHOP, broken="outage")
    day_of_traffic(world, DAY, OTHER, broken="stripped")
    lost = Check(
        ts=DAY + 14 * HOUR_MS,
        source="watch",
        url="https://other.example/q",
        host="other.example",
        state="changed",
        holds_until=DAY + 2 * DAY_MS,
        findings=["click_id_lost"],
        campaigns=[OTHER],
    )
    world.tell(lost, known=DAY + 20 * HOUR_MS)
    world.settle(DAY + DAY_MS + 7 * HOUR_MS)
    return world


def test_the_run_names_the_step_and_the_cause_keeps_them_and_finds_them_again(
    broken: Any, daily: DailyReconciliation
) -> None:
    now = DAY + DAY_MS + 7 * HOUR_MS
    assert work_off(daily, now) == HISTORY_DAYS
    found = broken.get("/reconciliation/findings", **YESTERDAY)["findings"]
    causes = {(one["campaign"], one["found"]["name"]): [c["cause"] for c in one["found"]["causes"]] for one in found}
    assert causes[SHOP, "landings"] == ["tag_outage"]
    assert causes[OTHER, "landings"] == ["parameters_stripped"]
    assert causes[None, "landings"][0] == "parameters_stripped", "together: the views of one campaign's pages go on"
    (other,) = [one["found"] for one in found if one["campaign"] == OTHER]
    assert (other["count"], other["expected"], other["system"], other["against"]) == (50, 100, "", "clicks")
    assert other["causes"][0]["share"] == pytest.approx(1.0)
    assert "https://other.example/q" in other["causes"][0]["evidence"][1]
    assert found[0]["known_by"] == "2026-09-22T06:00:00.000Z"

    of_acme = broken.keys.add("acme", scopes=["read"], clients=["acme"])
    theirs = broken.get("/reconciliation/findings", key=of_acme, **YESTERDAY)["findings"]
    assert {one["campaign"] for one in theirs} == {OTHER}, "neither others' campaigns nor all together"

    labels = {"scope": "campaign", "kind": "step", "name": "landings", "system": "", "cause": "tag_outage"}
    assert REGISTRY.get_sample_value("clicktrace_reconciliation_breaks", labels) == 1
    assert REGISTRY.get_sample_value("clicktrace_step_ratio", {"step": "landings"}) == pytest.approx(100 / 240)
    assert REGISTRY.get_sample_value("clicktrace_reconciled_day_timestamp_seconds") == DAY / 1000

    before = kept(broken)
    for table in ("reconciliation_run", "reconciled_day", "reconciliation_finding"):
        broken.store.command(f"TRUNCATE TABLE {table}")
    # Learned afterwards, so no run of before may know it.
    broken.click(DAY + 9 * HOUR_MS, known=now, campaign=SHOP, page=PAGES[SHOP])
    broken.settle(now + HOUR_MS)
    again = DailyReconciliation(broken.store, config=broken.config, shipped_through=broken.ship.shipper.shipped_through)
    assert work_off(again, now + HOUR_MS) == HISTORY_DAYS
    assert kept(broken) == before

    asked = {**YESTERDAY, "grain": "1d"}
    (live,) = broken.get("/reconciliation", campaign=SHOP, **asked)["tables"]
    landings = next(leak for leak in live["leaks"] if leak["step"] == "landings")
    assert (landings["count"], landings["state"], landings["usual"]["days"]) == (50, "low", 3)
    assert [one["causes"][0]["cause"] for one in live["breaks"]] == ["tag_outage"]
    then = Question(since=DAY, until=DAY + DAY_MS, now=now, as_of=now - HOUR_MS // 2, campaign=SHOP)
    live_now = Question(since=DAY, until=DAY + DAY_MS, now=now + HOUR_MS, campaign=SHOP)
    again_then, as_kept = (learned(broken.store, broken.config, question)[SHOP] for question in (then, live_now))
    days = [DAY - number * DAY_MS for number in (3, 2, 1)]
    assert [again_then[day] for day in days] == [as_kept[day] for day in days], (
        "as-of counts again what a live answer reads"
    )


def test_nothing_runs_before_its_hour_or_before_the_journal_is_shipped(world: Any) -> None:
    world.settle("12:00")
    behind = DailyReconciliation(world.store, config=SHORT, shipped_through=lambda now: moment("05:59"))
    newest = moment("06:00")
    assert behind.waiting(newest)[-1] == newest
    behind.run(newest - DAY_MS)
    assert newest - DAY_MS not in behind.waiting(newest)
    while behind.tick(moment("12:00")):
        pass
    assert behind.waiting(newest) == [newest], "everything before is done, and this one waits"


def test_an_as_of_answer_about_findings_waits_for_the_run_that_was_due(world: Any) -> None:
    world.settle("12:00")
    assert world.get("/reconciliation/findings", as_of="11:00", status=409)["reason"] == "as_of_not_complete"
    daily = DailyReconciliation(world.store, config=SHORT, shipped_through=world.ship.shipper.shipped_through)
    assert work_off(daily, moment("12:00")) == 2
    assert world.get("/reconciliation/findings", as_of="11:00")["findings"] == []


def test_an_as_of_answer_knows_what_was_usual_for_conversions_then(world: Any) -> None:
    for number in range(4):
        day = DAY - number * DAY_MS
        for lead in range(110):
            for system in ("backend", "crm")[: 1 if number == 0 and lead >= 10 else 2]:
                at = day + 9 * HOUR_MS + lead * 1000
                world.conversion(
                    at, known=day + 20 * HOUR_MS, type="lead", origin=system, conversion_id=f"{day}-{lead}"
                )
    world.settle(DAY + DAY_MS + HOUR_MS)
    (table,) = world.get("/reconciliation", as_of="2026-09-22T00:30:00Z", **YESTERDAY)["tables"]
    crm = next(leak for leak in table["leaks"] if leak["step"] == "lead (crm)")
    assert (crm["count"], crm["usual"]["ratio"], crm["usual"]["days"], crm["state"]) == (10, 1.0, 3, "low")
