"""The commands against a real HTTP server: tables for people, JSON for programs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from app.cli.attribution import app as attribution_app
from app.cli.compare import app as compare_app
from app.cli.main import load_command
from app.cli.reconcile import app as reconcile_app
from app.cli.reports import app, told_apart
from app.cli.roi import app as roi_app
from app.cli.traffic import app as traffic_app
from app.cli.traffic import list_sentence
from core.errors import NotFound, Transient
from core.records import Reading

TODAY = ["--from", "2026-09-21T00:00:00Z", "--to", "2026-09-22T00:00:00Z"]


@pytest.fixture
def served(world: Any) -> Iterator[Any]:
    """The world with its API on a real port; `world.run(...)` runs a command against it."""
    server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]

    def run(*arguments: str, code: int = 0, of: Any = app) -> str:
        environ = {"CLICKTRACE_URL": f"http://127.0.0.1:{port}", "CLICKTRACE_KEY": world.key, "COLUMNS": "200"}
        result = CliRunner().invoke(of, list(arguments), env=environ, catch_exceptions=code != 0)
        assert result.exit_code == code, result.output
        return result.output

    world.run = run
    world.run_roi = partial(run, of=roi_app)
    world.run_traffic = partial(run, of=traffic_app)
    world.run_attribution = partial(run, of=attribution_app)
    world.run_reconcile = partial(run, of=reconcile_app)
    yield world
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def sold(served: Any) -> Any:
    """One campaign, three clicks, one order, spend that the platform has told."""
    served.campaign("08:00", name="Spring [sale]", currency="USD", source="push")
    served.bought = served.click("09:00", routing=["slug s"])
    for minute in (1, 2):
        served.click(f"09:0{minute}")
    served.span(
        "09:00:30", click_id=served.bought, trace_id=served.bought, span_id="02" * 8, route="/pay", http_status=200
    )
    served.conversion("09:03", click_id=served.bought, value_micros=50_000_000, currency="USD")
    served.conversion("09:04", value_micros=10_000_000, currency="USD")
    served.spend("09:00", 20, known="11:00", clicks=3)
    served.settle("12:00")
    return served


def test_roi_shows_rate_with_interval_spend_and_completeness(sold: Any) -> None:
    shown = sold.run_roi(*TODAY)
    assert "Spring [sale]" in shown
    assert "33.33 % (6.15 to 79.23)" in shown
    assert "20.00 USD" in shown
    assert "2.50" in shown
    assert "(no campaign)" in shown
    assert "Complete through 2026-09-21 10:00:00" in shown
    assert [row["campaign"] for row in json.loads(sold.run_roi(*TODAY, "--json"))["rows"]] == ["", "google:1:2"]


def test_roi_by_a_dimension_and_from_an_earlier_figure(sold: Any) -> None:
    shown = " ".join(sold.run_roi(*TODAY, "--by", "page").split())
    assert "(not told) 2026-09-21 00:00:00 0 20.00 USD" in shown
    assert "not told by this" in shown
    assert "spend by clicks" in shown
    assert json.loads(sold.run_roi(*TODAY, "--by", "page", "--json"))["rows"][0]["page"] == ""
    sold.conversion("09:05", type="lead", click_id=sold.bought, known="12:10")
    sold.settle("12:30")
    bridge = " ".join(sold.run_roi(*TODAY, "--bridge-from", "2026-09-21T12:00:00Z").split())
    assert "leads learned later +1" in bridge
    assert "20.00 USD" in bridge
    assert "1 may still come back" in bridge


def test_attribution_says_by_what_and_how_many_found_no_click(sold: Any) -> None:
    shown = sold.run_attribution(*TODAY)
    assert "click_id 1" in shown
    assert "1 of 2 found no click (50.0 %)" in shown


def test_attribution_shows_the_models_side_by_side_by_what_is_asked(sold: Any) -> None:
    earlier = sold.click("08:00", visitor_id="0a" * 16, campaign="google:1:first", page="shop.example/first")
    later = sold.click("10:00", visitor_id="0a" * 16, campaign="google:1:last")
    assert earlier != later
    sold.conversion("10:10", click_id=later, value_micros=30_000_000, currency="USD")
    sold.settle("12:00")
    lines = " ".join(sold.run_attribution(*TODAY, "--campaign", "google:1:first").split())
    assert (
        "campaign type last click first click linear time decay position based assisted matched by confidence" in lines
    )
    assert "google:1:first order 0 1 0.5 0.5 0.5 1 click_id 1 100.0 %" in lines
    assert "0.00 USD 30.00 USD 15.00 USD" in lines
    one = " ".join(sold.run_attribution(*TODAY, "--by", "page", "--model", "first_click").split())
    assert "page type first click assisted" in one
    assert "shop.example/first order 1 1" in one
    rows = json.loads(sold.run_attribution(*TODAY, "--model", "linear", "--json"))["rows"]
    assert {(row["model"], row["campaign"], row["credit"]) for row in rows} >= {("linear", "google:1:last", "0.50")}


def test_reconcile_prints_the_leak_table_with_names_and_how_far_the_platform_has_told(sold: Any) -> None:
    shown = sold.run_reconcile(*TODAY, "--by-campaign")
    assert "billed_clicks" in shown
    assert "order (backend)" in shown
    assert "00:00:00 Spring [sale]" in shown
    assert (
        "billed clicks are complete through 2026-09-21 10:00:00: 3 hits of before then are held against them." in shown
    )
    tables = json.loads(sold.run_reconcile(*TODAY, "--by-campaign", "--json"))["tables"]
    assert {(table["campaign"], table["campaign_name"]) for table in tables} == {
        (None, ""), ("", ""), ("google:1:2", "Spring [sale]"),
    }  # fmt: skip


def test_attribution_tells_names_beside_ids_in_json_too(sold: Any) -> None:
    rows = json.loads(sold.run_attribution(*TODAY, "--model", "last_click", "--json"))["rows"]
    assert {(row["campaign"], row["campaign_name"]) for row in rows} == {("", ""), ("google:1:2", "Spring [sale]")}
    assert "campaign_name" not in json.loads(sold.run_attribution(*TODAY, "--by", "page", "--json"))["rows"][0]


def test_a_name_that_several_campaigns_have_stands_with_the_id() -> None:
    names = told_apart({"google:1:2": "Spring", "meta:7:1": "Spring", "google:1:3": "Autumn"})
    assert names == {"google:1:2": "Spring (google:1:2)", "meta:7:1": "Spring (meta:7:1)", "google:1:3": "Autumn"}


def test_reconcile_says_what_does_not_agree_and_what_is_likely_behind_it(served: Any) -> None:
    for number in range(20):
        served.conversion("09:30", known="11:00", conversion_id=str(number))
    served.tally("09:00", "order", 40, known="11:00")
    served.watermark("2026-09-22T00:00:00Z", known="11:00", source="ga4:shop")
    served.settle("12:00")
    shown = " ".join(served.run_reconcile(*TODAY, "--by-campaign").split())
    assert "order: analytics counts 40, backend 20." in shown
    assert "counted twice (accounts for 100% of it): analytics counts 2.00 times" in shown
    assert "The daily runs found nothing" in served.run_reconcile(*TODAY, "--found")
    assert json.loads(served.run_reconcile(*TODAY, "--found", "--json"))["findings"] == []


def test_freshness_names_every_source_and_its_state(sold: Any) -> None:
    sold.watermark("09:00", known="12:00", source="google_ads:1", lag_s=3 * 3600)
    sold.watermark("2026-09-20T19:00:00Z", known="12:00", source="google_conversions:1", lag_s=15 * 3600)
    sold.settle()
    shown = " ".join(sold.run("freshness").split())
    assert "journal" in shown
    assert "on time" in shown
    assert "conversion" in shown
    # State, watermark, how far that is behind, and the lag that the vendor documents.
    assert "google_ads:1 on time 2026-09-21 09:00:00 3.0 h 3.0 h" in shown
    assert "google_conversions:1 on time 2026-09-20 19:00:00 17.0 h 15.0 h" in shown
    assert "spend 2026-09-21 09:00:00 google_ads:1" in shown
    assert "tallies 2026-09-20 19:00:00 google_conversions:1" in shown
    assert "rest on clicks, conversions and spend: complete through 2026-09-21 09:00:00" in shown


def test_names_of_accounts_that_begin_alike_are_told_apart_in_a_narrow_terminal(sold: Any) -> None:
    names = ["google_conversions:1234567890", "google_conversions:1234567891"]
    for name in names:
        sold.watermark("09:00", known="12:00", source=name, lag_s=15 * 3600)
    sold.settle()
    table = sold.run("freshness").partition("figure")[0]
    assert [name for name in names if name not in table] == []


def test_freshness_says_what_is_wrong_with_a_source(sold: Any) -> None:
    stopped = Reading(
        ts=sold.clock.now,
        source="ga4:1",
        state="stopped",
        detail="[no] access",
        findings=["missing_columns"],
        details=["sessions"],
        quota_unit="tokens a day",
        quota_used=1500.0,
        quota_limit=200_000.0,
    )
    sold.tell(stopped)
    sold.settle()
    shown = " ".join(sold.run("freshness").split())
    assert "ga4:1: [no] access" in shown
    assert "ga4:1 changed: missing_columns: sessions" in shown
    assert "1,500 of 200,000" in shown


def test_trace_tells_the_journey_in_order(sold: Any) -> None:
    shown = sold.run("trace", sold.bought)
    assert shown.index("answered 302") < shown.index("matched by click_id")
    assert "/pay" in shown
    assert "6.67 USD" in shown
    assert json.loads(sold.run("trace", sold.bought, "--json"))["click_id"] == sold.bought


def test_traffic_shows_who_is_flagged_by_which_word_and_what_it_rests_on(served: Any) -> None:
    served.click("09:00")
    served.click("09:01", user_agent="curl/8.4.0", bot_signals=["no_accept"])
    served.conversion("09:01:30", click_id=served.click("09:01", user_agent="curl/8.4.0"))
    served.settle("12:00")
    shown = served.run_traffic(*TODAY)
    assert "66.7 %" in shown
    assert "crawler 2, no_accept 1" in shown
    assert "flagged_click 1" in shown
    assert "Behaviour is judged through 2026-09-21 11:50." in shown
    assert "correlator.traffic.datacenter_networks" in shown
    [row] = json.loads(served.run_traffic(*TODAY, "--json"))["rows"]
    assert (row["clicks"], row["flagged_clicks"], row["unflagged_clicks"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"state": "ok", "entries": 3, "changed": "2026-09-21T09:00:00.000Z"},
            "datacenter: a.txt, 3 entries, of 2026-09-21 09:00.",
        ),
        ({"state": "missing"}, "datacenter: a.txt is missing."),
        ({"state": "unreadable", "problem": "no list"}, "datacenter: a.txt is unreadable. no list"),
    ],
)
def test_the_state_of_a_list_is_a_sentence(state: dict[str, Any], sentence: str) -> None:
    assert list_sentence({"word": "datacenter", "path": "a.txt", "problem": "", **state}) == sentence


def test_what_did_not_happen_is_said(served: Any) -> None:
    served.settle("12:00")
    assert "Nothing happened in this period." in served.run_roi(*TODAY)
    assert "No conversions in this period." in served.run_attribution(*TODAY)
    assert "Nothing happened in this period." in served.run_reconcile(*TODAY)


def test_all_pages_are_read(served: Any) -> None:
    for number in range(3):
        served.click("09:00", campaign=f"google:1:{number}")
    served.settle("10:00")
    rows = json.loads(served.run_roi(*TODAY, "--grain", "1m", "--json"))
    assert (len(rows["rows"]), rows["next_cursor"]) == (3, None)


def test_a_refusal_reaches_the_command_as_an_error_of_ours(served: Any) -> None:
    served.settle("12:00")
    with pytest.raises(NotFound, match="unknown_click"):
        served.run("trace", "ab" * 16)


def test_a_monitor_that_is_not_there_is_said_with_what_to_do() -> None:
    with pytest.raises(Transient, match="is the monitor running there"):
        CliRunner().invoke(app, ["freshness", "--url", "http://127.0.0.1:1", "--key", "x"], catch_exceptions=False)


@pytest.mark.parametrize("name", ["trace", "roi", "attribution", "reconcile", "freshness", "traffic"])
def test_the_commands_are_where_the_root_looks_for_them(name: str) -> None:
    assert load_command(name).name == name


def test_compare_shows_what_there_is_and_says_what_is_missing(sold: Any) -> None:
    about = ["google:1:2", "--from", "2026-09-21T09:00:00Z", "--to", "2026-09-21T10:00:00Z"]
    shown = sold.run(*about, of=compare_app)
    assert "2026-09-21 09:00:00 to 2026-09-21 10:00:00" in shown
    assert "Spring [sale]" in shown
    assert "20.00 USD" in shown
    assert "No same hours yesterday: nothing happened then." in shown
    assert "No target: nobody set one." in shown
    assert "Complete through 2026-09-21 12:00:00 (clicks" in shown
    found = json.loads(sold.run(*about, "--json", of=compare_app))
    assert (found["figures"]["clicks"], found["figures"]["spend"], found["currency"]) == (3.0, "20.00", "USD")
    assert (found["campaign"], found["campaign_name"]) == ("google:1:2", "Spring [sale]")
