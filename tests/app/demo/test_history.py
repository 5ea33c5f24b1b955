"""The written past: journal lines that decode, at the volume and the rates of the world."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from app.demo import world as w
from app.demo.history import HOUR_MS, Cells, clicks_of_last_hour, day_bounds, delays_s, write_day
from core.journal.reader import decode_line
from core.records import Click, Conversion, Spend, Touch

#: A Monday, 10:25 UTC.
END = 1_794_824_700_000
START = (END - 3 * 86_400_000) // HOUR_MS * HOUR_MS


@pytest.fixture(scope="module")
def world() -> w.World:
    return w.draw_world(3, site="shop.localhost:8090")


@pytest.fixture(scope="module")
def records(world: w.World) -> list[Any]:
    out = io.BytesIO()
    cells = Cells(world)
    for index in range(len(day_bounds(START, END))):
        write_day(out, world, cells, index, start=START, end=END)
    return [decode_line(line[:-1] + b',"o":0}', segment="s") for line in out.getvalue().splitlines()]


def of(records: list[Any], kind: type[Any]) -> list[Any]:
    return [line.record for line in records if isinstance(line.record, kind)]


def test_every_line_is_a_record_that_was_known_after_it_happened(records: list[Any]) -> None:
    assert len(records) > 250_000
    assert {line.record.__struct_config__.tag for line in records} == {
        "click", "touch", "conversion", "spend", "campaign", "deploy", "service",
    }  # fmt: skip
    assert all(line.envelope.known_at >= line.record.ts for line in records)


def test_there_is_about_a_click_every_two_seconds_and_nothing_after_the_end(records: list[Any]) -> None:
    clicks = of(records, Click)
    assert len(clicks) / (END - START) * 1000 == pytest.approx(0.5, rel=0.1)
    assert all(START <= click.ts < END for click in clicks)
    assert len({click.click_id for click in clicks}) == len(clicks)


def test_orders_belong_to_clicks_at_the_rates_of_the_world(world: w.World, records: list[Any]) -> None:
    clicks = {click.click_id: click for click in of(records, Click)}
    orders = [c for c in of(records, Conversion) if c.click_id]
    assert all(order.click_id in clicks for order in orders)
    expected = sum(
        link.share * part * world.rate(link, device)
        for link in world.links
        for device, part in zip(w.DEVICES, link.campaign.device_mix, strict=True)
    )
    assert len(orders) / len(clicks) == pytest.approx(expected, rel=0.1)
    delays = np.array([order.ts - clicks[order.click_id].ts for order in orders]) / 1000
    assert np.median(delays) == pytest.approx(20, rel=0.06)


def test_some_orders_come_without_a_click(records: list[Any]) -> None:
    orders = of(records, Conversion)
    organic = sum(not order.click_id for order in orders) / len(orders)
    assert 0.03 < organic < 0.1


def test_browser_events_follow_the_funnel(records: list[Any]) -> None:
    names = Counter(touch.name for touch in of(records, Touch) if touch.click_id)
    clicks = len(of(records, Click))
    assert names["page_view"] / clicks == pytest.approx(w.LANDING_SHARE, abs=0.01)
    assert names["page_view"] > names["form_start"] > names["form_submit"] > names["form_error"] > 0


def test_spend_adds_up_to_the_clicks_of_every_finished_hour(world: w.World, records: list[Any]) -> None:
    prices = {c.campaign: c.cpc_micros for c in world.campaigns}
    last_hour = END // HOUR_MS * HOUR_MS
    cost = sum(prices[click.campaign] for click in of(records, Click) if click.ts < last_hour)
    spend = of(records, Spend)
    assert sum(s.cost_micros for s in spend) == cost
    assert len({s.fact_id for s in spend}) == len(spend)
    assert {bool(s.device) for s in spend if s.platform == "meta"} == {False}


def test_the_clicks_of_the_unfinished_hour_are_told_for_the_platforms_to_charge(
    world: w.World, records: list[Any]
) -> None:
    last_hour = END // HOUR_MS * HOUR_MS
    told = clicks_of_last_hour(world, start=START, end=END)
    assert sum(told.values()) == sum(click.ts >= last_hour for click in of(records, Click)) > 0


def test_delays_drawn_by_thousands_follow_the_law_of_single_ones() -> None:
    drawn = delays_s(np.random.default_rng(1), 20_000)
    assert np.median(drawn) == pytest.approx(20, rel=0.05)
    assert drawn.max() <= w.DELAY_MAX_S


def test_a_line_of_history_has_the_fields_of_a_live_one(records: list[Any]) -> None:
    click = of(records, Click)[0]
    assert (click.source, click.reason, click.http_status) == ("redirect", "redirected", 302)
    assert click.page.startswith("shop.localhost:8090/")
    touch = of(records, Touch)[0]
    assert (touch.source, bool(touch.user_agent)) == ("snippet", True)
    assert msgspec.to_builtins(of(records, Conversion)[0])["origin"] == "backend"
