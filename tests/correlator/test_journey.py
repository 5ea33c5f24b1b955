"""One click's whole journey, through the API."""

from __future__ import annotations

from typing import Any

from core.identity import root_span_id
from correlator.journey import span_tree


def test_a_journey_shows_hits_touches_spans_conversion_spend_and_deploys(world: Any) -> None:
    world.campaign("08:00", name="Spring sale", cpc_micros=2_000_000, currency="USD", client="acme", source="push")
    click = world.click("09:00", routing=["slug s", "campaign macro"], visitor_id="ab" * 16)
    world.click("09:20")
    world.touch("09:01", "form_submit", click, page="shop.example/p")
    root = root_span_id(click)
    world.span("09:00:30", click_id=click, trace_id=click, span_id="02" * 8, parent_span_id=root, route="/p")
    world.span(
        "09:00:31", click_id=click, trace_id=click, span_id="03" * 8, parent_span_id="02" * 8, route="/pay", error="CardRefused",
        http_status=500, status="error",
    )  # fmt: skip
    world.deploy("08:50", "1.4.2", author="kim")
    world.deploy("2026-09-20T08:50:00Z", "1.4.1")
    order = world.conversion("09:02", click_id=click, value_micros=59_900_000, currency="EUR")
    world.settle("09:30")
    found = world.get(f"/clicks/{click}")
    assert (found["campaign"], found["campaign_name"], found["client"], found["lost"]) == (
        "google:1:2",
        "Spring sale",
        "acme",
        False,
    )
    (hit,) = found["hits"]
    assert (hit["routing"], hit["device"], hit["http_status"], hit["flag"]) == (
        ["slug s", "campaign macro"],
        "mobile",
        302,
        "",
    )
    assert [touch["name"] for touch in found["touches"]] == ["form_submit"]
    assert [(span["route"], span["depth"], span["error"]) for span in found["spans"]] == [
        ("/p", 0, ""),
        ("/pay", 1, "CardRefused"),
    ]
    (conversion,) = found["conversions"]
    assert (conversion["fact_id"], conversion["value"], conversion["currency"], conversion["method"], conversion["confidence"]) == (
        order, "59.90", "EUR", "click_id", 1.0,
    )  # fmt: skip
    assert found["spend"] == {
        "cost": "2.00",
        "currency": "USD",
        "basis": "modelled",
        "hour_spend": "4.00",
        "hour_clicks": 2,
    }
    assert [(deploy["version"], deploy["before_s"]) for deploy in found["deploys"]] == [("1.4.2", 600.0)]


def test_repeats_and_reused_ids_are_told_apart(world: Any) -> None:
    click = world.click("09:00")
    world.click("09:10", click_id=click)
    world.click("09:11", click_id=click, network="198.51.100.0/24")
    world.click("09:31", click_id=click)
    world.settle("10:00")
    assert [hit["flag"] for hit in world.get(f"/clicks/{click}")["hits"]] == ["", "repeat", "reused_id", "reused_id"]


def test_a_journey_as_of_a_moment_knows_only_what_was_known(world: Any) -> None:
    click = world.click("09:00")
    world.conversion("09:02", click_id=click, known="10:00")
    world.settle("11:00")
    assert len(world.get(f"/clicks/{click}")["conversions"]) == 1
    assert world.get(f"/clicks/{click}", as_of="09:30")["conversions"] == []
    world.get(f"/clicks/{click}", as_of="08:00", status=404)


def test_an_unknown_or_misspelt_click_is_refused_by_name(world: Any) -> None:
    world.settle("10:00")
    assert world.get(f"/clicks/{'ab' * 16}", status=404)["reason"] == "unknown_click"
    assert world.get("/clicks/nonsense", status=422)["reason"] == "bad_click_id"


def test_another_clients_click_does_not_exist_for_a_key(world: Any) -> None:
    click = world.click("09:00", client="acme")
    world.settle("10:00")
    mine, other = (world.keys.add(name, scopes=["read"], clients=[name]) for name in ("acme", "bolt"))
    assert world.get(f"/clicks/{click}", key=mine)["client"] == "acme"
    assert world.get(f"/clicks/{click}", key=other, status=404)["reason"] == "unknown_click"


def span(span_id: str, parent: str = "", ts: int = 0) -> dict[str, Any]:
    return {
        "ts": ts, "trace_id": "t", "span_id": span_id, "parent_span_id": parent, "service": "s", "name": span_id, "route": "",
        "version": "", "duration_us": 1, "status": "", "http_status": 0, "error": "",
    }  # fmt: skip


def test_spans_come_depth_first_and_a_loop_is_shown_once() -> None:
    rows = [
        span("a"),
        span("b", "a"),
        span("c", "b"),
        span("d", "a"),
        span("x", "y"),
        span("y", "x"),
        span("orphan", "gone"),
    ]
    tree = [(node.span_id, node.depth) for node in span_tree(rows)]
    assert tree == [("a", 0), ("b", 1), ("c", 2), ("d", 1), ("orphan", 0), ("x", 0), ("y", 1)]


def test_what_is_said_of_a_campaign_shows_in_the_next_answer(world: Any) -> None:
    world.campaign("08:00", name="Spring sale", cpc_micros=2_000_000, currency="USD", source="push")
    click = world.click("09:00")
    world.settle("09:30")
    assert [world.get(f"/clicks/{click}")["campaign_name"] for _ in range(2)] == ["Spring sale"] * 2
    world.campaign("10:00", name="Summer sale", cpc_micros=3_000_000, currency="USD", source="push")
    world.settle("10:01")
    found = world.get(f"/clicks/{click}")
    assert (found["campaign_name"], found["spend"]["cost"]) == ("Summer sale", "3.00")
    assert world.get(f"/clicks/{click}", as_of="09:30")["campaign_name"] == "Spring sale"
