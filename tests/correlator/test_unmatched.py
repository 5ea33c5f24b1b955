"""Why conversions found no click: every word once, by who told them, as known at a time, as metric and as a fault to mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from core.identity import derive
from core.settings import StoreConfig
from core.store.client import Store, protocol_connector
from core.store.read_server import build_read_app
from correlator.intervals import wilson
from correlator.period import Question
from correlator.unmatched import ENOUGH, UnmatchedSource, count_and_show, faults, unmatched_sources
from correlator.unmatched_words import WORDS
from tests.collectors.internet import served
from tests.correlator.conftest import moment

DAY = {"since": "2026-09-21T00:00:00Z", "until": "2026-09-22T00:00:00Z"}


def test_every_conversion_without_a_click_has_the_reason_that_came_nearest_to_a_match(
    world: Any, engine_dir: Path
) -> None:
    old = world.click("2026-05-01T09:00:00Z")
    later = world.click("18:00")
    world.conversion("2026-05-01T09:05:00Z", type="lead", crm_id="old", click_id=old)
    world.conversion("18:05", type="lead", crm_id="later", click_id=later)
    world.conversion("09:00", origin="analytics", order_id="A-1", click_id=world.click("08:59"), client="bolt")
    expected = {
        world.conversion("09:01", conversion_id="a", click_id=old): "click_too_old",
        world.conversion("09:02", conversion_id="b", crm_id="old"): "click_too_old",
        world.conversion("09:03", conversion_id="c", crm_id="later"): "click_later",
        world.conversion("09:04", conversion_id="d", click_id=later, visitor_id="ab" * 16): "click_later",
        world.conversion("09:05", conversion_id="e", order_id="A-1", client="acme"): "other_client",
        world.conversion("09:06", conversion_id="f", click_id="cd" * 16, email_sha256="x"): "unknown_click",
        world.conversion("09:07", conversion_id="g", platform_ids={"gclid": "never-seen"}): "unknown_click",
        world.conversion("09:08", conversion_id="h", visitor_id="ab" * 16): "unseen_key",
        world.conversion("09:09", conversion_id="i", email_sha256="nobody"): "unseen_key",
        world.conversion("09:10", conversion_id="j", platform_ids={"gbraid": "nobody"}): "unseen_key",
        world.conversion("09:11", conversion_id="k", platform_ids={"gclid": "{gclid}"}): "unusable_key",
        world.conversion("09:12", conversion_id="l"): "no_key",
    }
    world.conversion("09:13", conversion_id="m", status="rejected")  # counts nowhere
    world.conversion("09:14", conversion_id="n", click_id=world.click("09:13"))
    world.settle("20:00")
    assert set(expected.values()) == set(WORDS)
    rows = {(row["origin"], row["type"]): row for row in world.get("/unmatched", **DAY)["rows"]}
    orders = rows["backend", "order"]
    counted = {word: list(expected.values()).count(word) for word in WORDS}
    assert (orders["source"], orders["conversions"], orders["unmatched"]) == ("push", 13, 12)
    assert orders["by_reason"] == counted
    assert orders["share"]["rate"] == 12 / 13
    assert rows["analytics", "order"]["unmatched"] == 0

    # Which word belongs to which conversion is asked one client at a time; a click that arrives late changes no answer of before.
    mine = world.get("/unmatched", **DAY, client="acme")["rows"]
    assert [(row["conversions"], row["by_reason"]) for row in mine] == [(1, {"other_client": 1})]
    before = world.get("/unmatched", **DAY, as_of="20:00")
    assert before["rows"] == world.get("/unmatched", **DAY)["rows"]
    world.click("09:00", click_id=derive("gclid", b"never-seen"), known="20:30")
    world.settle("21:00")
    assert world.get("/unmatched", **DAY, as_of="20:00")["rows"] == before["rows"]
    now = {(row["origin"], row["type"]): row for row in world.get("/unmatched", **DAY)["rows"]}["backend", "order"]
    assert (now["unmatched"], now["by_reason"]["unknown_click"]) == (11, 1)

    # Doctor asks through the monitor's read protocol, where nothing can be kept meanwhile.
    database, asked = world.store.database, Question(since=moment("00:00"), until=moment("23:00"), now=world.clock())
    with served(build_read_app(StoreConfig(), engine_dir, database=database)) as port:
        reader = Store(protocol_connector(f"http://127.0.0.1:{port}/{database}", password=""), database=database)
        assert unmatched_sources(reader, world.config, asked) == unmatched_sources(world.store, world.config, asked)
        reader.close()

    assert count_and_show(world.store, config=world.config, now=world.clock()) == 15
    labels = {"origin": "backend", "source": "push"}
    assert REGISTRY.get_sample_value("clicktrace_day_conversions", labels) == 14
    assert REGISTRY.get_sample_value("clicktrace_day_unmatched_conversions", {**labels, "reason": "no_key"}) == 1


def told(conversions: int, **by_reason: int) -> UnmatchedSource:
    unmatched = sum(by_reason.values())
    return UnmatchedSource(
        origin="backend", source="push", type="order", conversions=conversions, unmatched=unmatched,
        share=wilson(unmatched, conversions), by_reason=by_reason,
    )  # fmt: skip


def test_a_reason_that_a_wrong_set_up_explains_is_a_fault_from_its_share_on() -> None:
    assert faults([told(100, unseen_key=90, click_too_old=10)]) == []  # most sales of a shop are nobody's advertisement
    assert faults([told(100, unusable_key=1)]) == []
    assert faults([told(ENOUGH - 1, no_key=ENOUGH - 1)]) == []
    found = faults([told(100, unusable_key=2), told(100, no_key=60)])
    assert [(fault.reason, fault.conversions, fault.of) for fault in found] == [
        ("no_key", 60, 100),
        ("unusable_key", 2, 100),
    ]
