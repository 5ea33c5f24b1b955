"""Live and settled return: examples 10, 12, 13, 15 and 21 through the API, and the sums behind them."""

from __future__ import annotations

from typing import Any

import pytest

from correlator.config import ConversionType, CorrelatorConfig

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}


def row(world: Any, **query: str) -> dict[str, Any]:
    """The one row of the tests' campaign."""
    rows = [r for r in world.get("/roi", **(DAY | query))["rows"] if r["campaign"] == "google:1:2"]
    assert len(rows) == 1, rows
    return dict(rows[0])


def sell(world: Any, clicks: int, *, converting: int, **fields: Any) -> None:
    """`clicks` from 09:00 on, of which the first `converting` become conversions a minute later."""
    start = 1790000000000 - 1790000000000 % 86_400_000 + 9 * 3_600_000
    for number in range(clicks):
        click = world.click(start + number * 1000)
        if number < converting:
            world.conversion(start + number * 1000 + 60_000, click_id=click, **fields)


def test_fifty_clicks_say_less_than_five_thousand(world: Any) -> None:  # example 10
    sell(world, 50, converting=1, type="lead")
    world.settle("12:00")
    rate = row(world)["conversion_rate"]
    assert (round(rate["low"], 4), round(rate["rate"], 4), round(rate["high"], 4)) == (0.0035, 0.02, 0.105)


def test_a_late_fact_belongs_to_its_hour_and_restates_it(world: Any) -> None:  # example 12
    world.click("09:00")
    world.settle("09:30")
    world.conversion("09:00", value_micros=10_000_000, currency="USD", known="09:47")
    world.settle("09:50")
    hours = world.get("/roi", since="08:00", until="10:00", grain="1h")["rows"]
    late = next(r for r in hours if r["campaign"] == "")
    assert (late["since"], late["outcome"]["conversions"]) == ("2026-09-21T09:00:00.000Z", 1)
    assert late["restated_at"] == "2026-09-21T09:47:00.000Z"
    before = world.get("/roi", since="08:00", until="10:00", grain="1h", as_of="09:30")["rows"]
    assert [r["outcome"]["conversions"] for r in before] == [0]


def test_a_joined_figure_is_complete_through_its_slowest_source(world: Any) -> None:
    world.click("12:00")
    world.watermark("09:00", known="12:00", lag_s=3 * 3600)
    world.settle("12:05")
    complete = world.get("/roi", **DAY)["complete_through"]
    assert complete["spend"] == complete["all"] == "2026-09-21T09:00:00.000Z"
    assert complete["clicks"] > complete["all"]


def test_every_answer_rests_on_its_own_sources(world: Any) -> None:
    world.click("12:00")
    world.watermark("09:00", known="12:00", source="google_ads:1")
    world.watermark("06:00", known="12:00", source="meta_ads:7")
    world.watermark("11:30", known="12:00", source="stripe:shop")
    world.watermark("2026-09-20T21:00:00Z", known="12:00", source="google_conversions:1")
    world.settle("12:05")

    def through(path: str, **question: str) -> dict[str, str]:
        return {name: at[5:16] for name, at in world.get(path, **DAY, **question)["complete_through"].items()}

    ours = {"clicks": "09-21T12:05", "conversions": "09-21T11:30"}
    assert through("/roi") == {**ours, "spend": "09-21T06:00", "all": "09-21T06:00"}
    assert through("/roi", campaign="google:1:2") == {**ours, "spend": "09-21T09:00", "all": "09-21T09:00"}
    assert through("/attribution") == through("/traffic") == {**ours, "all": "09-21T11:30"}
    compared = {**ours, "spend": "09-21T06:00", "tallies": "09-20T21:00", "all": "09-20T21:00"}
    assert through("/reconciliation") == compared


def test_cost_per_lead_as_of_noon_stays_what_it_was_at_noon(world: Any) -> None:  # example 13
    sell(world, 10, converting=10, type="lead")
    world.spend("09:00", 470, known="11:30", clicks=10)
    world.settle("12:00")
    assert row(world)["live"]["cost_per_lead"] == "47.00"
    noon = world.get("/roi", as_of="12:00", **DAY)
    world.spend("09:00", 520, known="2026-09-22T08:00:00Z", clicks=10)
    world.settle("2026-09-22T08:00:00Z")
    assert row(world)["live"]["cost_per_lead"] == "52.00"
    assert row(world)["restated_at"] == "2026-09-22T08:00:00.000Z"
    assert world.get("/roi", as_of="12:00", **DAY) == noon
    assert noon["rows"][0]["live"]["cost_per_lead"] == "47.00"


def test_a_leads_return_rate_is_blank_until_its_window_closes(world: Any) -> None:  # example 15
    click = world.click("09:00")
    world.conversion("09:01", type="lead", status="captured", conversion_id="l", click_id=click)
    world.settle("10:00")
    captured = row(world)
    assert (captured["outcome"]["conversions"], captured["settled"]["conversions"]) == (1, 0)
    assert (captured["settled"]["return_rate"], captured["settled"]["complete"]) == (None, False)
    world.conversion("10:00", type="lead", status="confirmed", conversion_id="l", click_id=click)
    world.settle("2026-10-01T00:00:00Z")
    assert row(world)["settled"]["return_rate"] is None
    world.settle("2026-10-07T00:00:00Z")
    settled = row(world)["settled"]
    assert (settled["conversions"], settled["return_rate"], settled["complete"]) == (1, 0.0, True)


def test_a_returned_order_is_worth_nothing_and_shows_in_the_return_rate(world: Any) -> None:
    click = world.click("09:00")
    for name in ("kept", "returned"):
        world.conversion("09:01", conversion_id=name, value_micros=50_000_000, currency="USD", click_id=click)
    world.conversion(
        "2026-09-24T09:00:00Z",
        conversion_id="returned",
        status="returned",
        value_micros=50_000_000,
        currency="USD",
        click_id=click,
    )
    world.spend("09:00", 20, known="11:00", clicks=1)
    world.settle("2026-10-07T00:00:00Z")
    found = row(world)
    assert (found["outcome"]["value"], found["settled"]["value"], found["settled"]["return_rate"]) == (
        "50.00",
        "50.00",
        0.5,
    )
    assert (found["settled"]["roas"], found["settled"]["roi"]) == (2.5, 1.5)


def test_spend_is_modelled_from_live_clicks_until_the_platform_tells_it(world: Any) -> None:  # example 21
    world.campaign("08:00", cpc_micros=2_000_000, currency="USD", source="push")
    world.spend("08:00", 40, known="09:30", clicks=20)
    world.watermark("09:00", known="09:30")
    for minute in range(10):
        world.click(f"09:{minute:02d}")
    world.settle("09:30")
    cost = row(world)["cost"]
    assert cost == {
        "currency": "USD", "spend": "60.00", "reported": "40.00", "modelled": "20.00", "basis": "both", "cost_per_click": "2.00",
        "reported_through": "2026-09-21T09:00:00.000Z", "told": True, "other_currencies": {},
    }  # fmt: skip
    # A row for an hour that the platform has not finished changes nothing yet.
    world.spend("09:00", 4, known="09:40", clicks=2)
    world.settle("09:40")
    assert row(world)["cost"]["spend"] == "60.00"
    world.spend("09:00", 25, known="11:00", clicks=10)
    world.watermark("10:00", known="11:00")
    world.settle("11:00")
    told = row(world)["cost"]
    assert (told["spend"], told["modelled"], told["basis"]) == ("65.00", "0.00", "platform")


def test_nothing_sold_yet_by_young_clicks_is_no_return_of_minus_one(world: Any) -> None:
    world.campaign("08:00", cpc_micros=1_000_000, currency="USD", source="push")
    world.click("09:00")
    world.settle("09:01")
    young = row(world)
    assert (young["live"]["roi"], young["live"]["roas"], young["conversion_rate"]) == (None, None, None)
    world.settle("09:30")
    assert row(world)["live"]["roi"] == -1.0


def test_a_lead_without_revenue_has_its_catalogue_value(world: Any, config: CorrelatorConfig) -> None:
    world.campaign("08:00", cpc_micros=10_000_000, currency="USD", source="push")
    world.conversion("09:01", type="lead", click_id=world.click("09:00"))
    world.settle("09:30")
    found = row(world)
    assert (found["outcome"]["value"], found["outcome"]["believed"], found["live"]["roas"]) == ("40.00", "20.00", 4.0)


@pytest.fixture
def config(request: pytest.FixtureRequest) -> CorrelatorConfig:
    default = CorrelatorConfig()
    if "catalogue_value" not in request.node.name:
        return default
    lead = ConversionType(default_value="40", confidence=0.5, steers_live=True, lag_class="seconds")
    return default.model_copy(update={"catalogue": {**default.catalogue, "lead": lead}})


def test_an_order_told_by_two_origins_counts_once_by_the_believed_one(world: Any) -> None:
    click = world.click("09:00")
    world.conversion("09:01", origin="analytics", order_id="1", click_id=click, value_micros=9_000_000, currency="USD")
    world.conversion("09:01", origin="backend", order_id="1", value_micros=10_000_000, currency="USD")
    world.settle("10:00")
    assert (row(world)["outcome"]["conversions"], row(world)["outcome"]["value"]) == (1, "10.00")


def test_hits_clicks_bots_and_lost_hits_are_different_numbers(world: Any) -> None:
    first = world.click("09:00")
    world.click("09:01", click_id=first)  # a reload
    world.click("13:00", click_id=first, network="198.51.100.0/24")  # a shared address
    world.click("09:05", http_status=503)
    world.click("09:06", user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    world.settle("14:00")
    found = row(world)
    assert (found["hits"], found["clicks"], found["lost_hits"], found["bot_clicks"]) == (5, 2, 1, 1)


def test_other_currencies_stand_beside_and_are_not_converted(world: Any) -> None:
    click = world.click("09:00")
    world.campaign("08:00", currency="USD")
    world.conversion("09:01", click_id=click, value_micros=10_000_000, currency="EUR")
    world.settle("10:00")
    assert (row(world)["outcome"]["value"], row(world)["outcome"]["other_currencies"]) == ("0.00", {"EUR": "10.00"})


def test_four_quarters_are_the_hour_to_the_cent(world: Any) -> None:
    world.click("09:10")
    world.spend("09:00", 1, known="11:00", clicks=3)
    world.spend("10:00", 0, known="11:30")
    world.settle("12:00")
    path = "/campaigns/google:1:2/timeline"
    quarters = world.get(path, since="09:00", until="10:00", grain="15m")["buckets"]
    thirds = world.get(path, since="09:00", until="10:00", grain="1m")["buckets"]
    hour = world.get(path, since="09:00", until="10:00", grain="1h")["buckets"]
    assert [q["cost"]["reported"] for q in quarters] == ["0.25"] * 4
    assert sum(round(float(t["cost"]["reported"]) * 1_000_000) for t in thirds) == 1_000_000
    assert (len(hour), hour[0]["cost"]["reported"]) == (1, "1.00")


def test_a_bucket_whose_clicks_are_too_young_has_no_rate(world: Any) -> None:
    for hour in (8, 9):
        world.conversion(f"0{hour}:31", click_id=world.click(f"0{hour}:30"))
    world.settle("09:35")
    buckets = world.get("/campaigns/google:1:2/timeline", since="08:00", until="10:00", grain="1h")["buckets"]
    assert [b["conversion_rate"] and b["conversion_rate"]["rate"] for b in buckets] == [1.0, None]
