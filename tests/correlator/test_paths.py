"""Paths computed by hand: whose clicks are on the way to a conversion, and what each model gives them, to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.settings import StoreConfig
from core.store.client import Store, protocol_connector
from core.store.read_server import build_read_app
from correlator.attribution import attribution
from correlator.attribution_config import AttributionConfig
from correlator.config import ConversionType, CorrelatorConfig
from correlator.period import Question
from tests.collectors.internet import served
from tests.correlator.conftest import moment

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
PHONE, LAPTOP, TILL, ROBOT = "0a" * 16, "0b" * 16, "0c" * 16, "0d" * 16
A, B, C = "google:1:a", "google:1:b", "google:1:c"


@pytest.fixture
def config() -> CorrelatorConfig:
    catalogue = CorrelatorConfig().catalogue
    sale = ConversionType(value_source="reported", authoritative_origin="offline", lookback_days=5)
    few = AttributionConfig(person_keys=4, person_clicks=5)
    return CorrelatorConfig(catalogue={**catalogue, "sale": sale}, attribution=few)


def rows(world: Any, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.get("/attribution", **{**DAY, **query})["rows"]
    return found


def shared(found: list[dict[str, Any]], model: str = "linear", by: str = "campaign") -> dict[str, tuple[str, str]]:
    """By the dimension's value: (credit, worth) in a model, without what gets nothing."""
    return {row[by]: (row["credit"], row["value"]) for row in found if row["model"] == model and row["conversions"]}


@pytest.fixture
def walked(world: Any) -> Any:
    """One visitor: A a week before the sale, B half of that, C, an order of 100.00 at once, and A once more.

    What is no click of theirs lies between: B reloaded, a robot's, and the address of another visitor's click opened again.
    """
    world.click("2026-09-14T12:00:00Z", visitor_id=PHONE, campaign=A, page="shop.example/a", creative="x")
    between = world.click("2026-09-18T00:00:00Z", visitor_id=PHONE, campaign=B, page="shop.example/b", creative="x")
    world.click("2026-09-19T00:00:00Z", visitor_id=PHONE, campaign=B, click_id=between)
    world.click("2026-09-20T00:00:00Z", visitor_id=PHONE, campaign=A, bot_signals=["headless"])
    passed_on = world.click("2026-09-18T06:00:00Z", visitor_id=LAPTOP, campaign="google:1:z")
    world.click("2026-09-18T07:00:00Z", visitor_id=PHONE, campaign="google:1:z", click_id=passed_on)
    last = world.click("12:00", visitor_id=PHONE, campaign=C, page="shop.example/c")
    world.conversion("12:00", click_id=last, value_micros=100_000_000, currency="USD")
    world.click("12:30", visitor_id=PHONE, campaign=A)
    world.settle("13:00")
    return world


def test_each_model_shares_a_path_of_three_clicks_as_worked_out_by_hand(walked: Any) -> None:
    found = rows(walked)
    assert shared(found, "last_click") == {C: ("1.00", "100.00")}
    assert shared(found, "first_click") == {A: ("1.00", "100.00")}
    # 333,333 each, and the last millionth to the click nearest to the sale.
    assert shared(found, "linear") == {
        A: ("0.333333", "33.333333"), B: ("0.333333", "33.333333"), C: ("0.333334", "33.333334"),
    }  # fmt: skip
    assert shared(found, "position_based") == {A: ("0.40", "40.00"), B: ("0.20", "20.00"), C: ("0.40", "40.00")}
    # 2^-1, 2^-0.5 and 1, together 2.207107.
    assert shared(found, "time_decay") == {
        A: ("0.226541", "22.654092"), B: ("0.320377", "32.037724"), C: ("0.453082", "45.308184"),
    }  # fmt: skip
    helped = {row["campaign"]: (row["assisted"], row["assisted_value"]) for row in found}
    assert helped == {A: (1, "100.00"), B: (1, "100.00"), C: (0, "0.00")}
    # By any dimension, and of one campaign out of the same paths.
    by_creative = shared(rows(walked, by="creative"), by="creative")
    assert by_creative == {"x": ("0.666666", "66.666666"), "": ("0.333334", "33.333334")}
    assert shared(rows(walked, by="device"), by="device") == {"mobile": ("1.00", "100.00")}
    assert shared(rows(walked, by="country"), by="country") == {"": ("1.00", "100.00")}
    of_b = rows(walked, by="page", campaign=B)
    assert shared(of_b, by="page") == {"shop.example/b": ("0.333333", "33.333333")}
    assert {row["assisted"] for row in of_b} == {1}
    words = [walked.get("/attribution", status=422, **asked)["reason"] for asked in ({"by": "shoe"}, {"model": "luck"})]
    assert words == ["bad_dimension", "bad_model"]


def test_an_engine_that_may_only_be_read_answers_the_same_over_the_clickhouse_protocol(
    walked: Any, engine_dir: Path
) -> None:
    asked = Question(since=moment("00:00"), until=moment("2026-09-22T00:00:00Z"), now=moment("13:00"))
    database = walked.store.database
    with served(build_read_app(StoreConfig(), engine_dir, database=database)) as port:
        reader = Store(protocol_connector(f"http://127.0.0.1:{port}/{database}", password=""), database=database)
        found = attribution(reader, walked.config, asked, notes=False)
        reader.close()
    assert found == attribution(walked.store, walked.config, asked)
    assert len(found) == 15


def test_a_click_learned_late_joins_the_path_but_neither_what_was_answered_nor_what_is_being_read(walked: Any) -> None:
    before = rows(walked, as_of="13:00")
    first = walked.get("/attribution", **DAY, limit="8")
    walked.click("09:00", visitor_id=PHONE, campaign=B, known="13:00:30")
    walked.settle("13:00:40")
    rest = walked.get("/attribution", **DAY, limit="8", cursor=first["next_cursor"])
    assert sorted(map(str, first["rows"] + rest["rows"])) == sorted(map(str, before))
    assert shared(rows(walked))[B] == ("0.50", "50.00")
    assert rows(walked, as_of="13:00") == before


def test_a_person_is_followed_over_devices_and_offline_but_not_over_keys_that_many_share(world: Any) -> None:
    # The phone clicked and left a lead; the laptop bought under the same CRM ID, and the till told a sale by telephone.
    phone = world.click("2026-09-15T12:00:00Z", visitor_id=PHONE, campaign=A)
    world.conversion("2026-09-15T12:05:00Z", type="lead", click_id=phone, crm_id="7")
    world.click("2026-09-18T12:00:00Z", visitor_id=LAPTOP, campaign=B)
    world.conversion("10:00", visitor_id=LAPTOP, crm_id="7", value_micros=30_000_000, currency="USD")
    # Five days back from the sale lies B, not A.
    world.conversion("11:00", type="sale", origin="offline", crm_id="7", value_micros=8_000_000, currency="USD")
    # One till's address stands under the orders of many.
    for number in range(5):
        visitor = f"{number + 1:032x}"
        world.click(f"08:0{number}", visitor_id=visitor, campaign=C)
        world.conversion(
            f"08:1{number}", visitor_id=visitor, email_sha256="ee" * 32, value_micros=1_000_000, currency="EUR"
        )
    # A visitor with more clicks than a person makes.
    for minute in range(6):
        robot = world.click(f"07:0{minute}", visitor_id=ROBOT, campaign=A)
    world.conversion("07:10", click_id=robot, value_micros=2_000_000, currency="CHF")
    # Another client's clicks of the same visitor are nobody's business.
    world.click("06:00", visitor_id=TILL, campaign=A, client="other")
    world.conversion(
        "06:30",
        click_id=world.click("06:20", visitor_id=TILL, campaign=B, client="acme"),
        value_micros=5_000_000,
        currency="GBP",
    )
    world.settle("12:00")
    found = {
        (row["type"], row["currency"], row["campaign"]): (row["credit"], row["value"], row["origin"])
        for row in rows(world, model="linear")
        if row["conversions"]
    }
    assert found == {
        ("order", "USD", A): ("0.50", "15.00", "backend"),
        ("order", "USD", B): ("0.50", "15.00", "backend"),
        ("sale", "USD", B): ("1.00", "8.00", "offline"),
        ("order", "EUR", C): ("5.00", "5.00", "backend"),
        ("order", "CHF", A): ("1.00", "2.00", "backend"),
        ("order", "GBP", B): ("1.00", "5.00", "backend"),
    }
    assert shared(rows(world, by="client"), by="client")["acme"] == ("1.00", "5.00")
    for working in ("path_key", "path_click"):
        assert world.store.rows(f"SELECT count() AS left FROM {working}") == [{"left": 0}]
