"""Where systems differ and where clicks get lost: example 14."""

from __future__ import annotations

from typing import Any

from correlator.reconciliation import leak_table

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}


def test_three_systems_within_the_band_raise_no_alarm(world: Any) -> None:  # example 14
    counts = {"analytics": 1247, "backend": 1243, "crm": 1239}
    for origin, count in counts.items():
        for number in range(count):
            world.conversion("09:00", type="lead", origin=origin, conversion_id=str(number))
    world.settle("12:00")
    (table,) = world.get("/reconciliation", **DAY)["tables"]
    leads = [leak for leak in table["leaks"] if leak["step"].startswith("lead")]
    assert [(leak["step"], leak["count"], leak["difference"], leak["within_band"]) for leak in leads] == [
        ("lead (analytics)", 1247, None, None),
        ("lead (backend)", 1243, -4, True),
        ("lead (crm)", 1239, -4, True),
    ]
    assert [(s["system"], s["difference"], s["believed"], s["within_band"]) for s in table["systems"]] == [
        ("analytics", 4, False, True), ("backend", 0, True, True), ("crm", -4, False, True),
    ]  # fmt: skip


def test_the_leak_table_follows_the_click_to_the_sale(world: Any) -> None:
    clicks = [world.click(f"09:0{n}") for n in range(4)]
    for click in clicks[:3]:
        world.touch("09:10", "page_view", click)
        world.touch("09:11", "page_view", click)
    for click in clicks[:2]:
        world.touch("09:12", "form_submit", click)
    world.conversion("09:13", click_id=clicks[0])
    world.spend("09:00", 10, known="11:00", clicks=5)
    world.settle("12:00")
    (table,) = world.get("/reconciliation", campaign="google:1:2", **DAY)["tables"]
    assert [(leak["step"], leak["count"], leak["difference"]) for leak in table["leaks"]] == [
        ("billed_clicks", 5, None), ("hits", 4, -1), ("clicks", 4, 0), ("landings", 3, -1), ("form_submits", 2, -1),
        ("order (backend)", 1, None),
    ]  # fmt: skip


def test_by_the_hour_there_is_a_table_for_each_hour(world: Any) -> None:
    world.click("09:30")
    world.click("11:30")
    world.settle("12:00")
    tables = world.get("/reconciliation", grain="1h", **DAY)["tables"]
    assert [table["since"] for table in tables] == ["2026-09-21T09:00:00.000Z", "2026-09-21T11:00:00.000Z"]


def test_outside_the_band_is_said() -> None:
    leaks = leak_table([], {"order": [("platform", 100), ("backend", 90)]}, band=0.02)
    assert [leak.within_band for leak in leaks] == [None, False]
