"""The history that benchmarks run on is the same for the same seed, and what its conversions name is there."""

from __future__ import annotations

import pytest

from app.bench import world
from app.bench.world import World
from core.clock import DAY_MS
from core.identity import derive
from core.store.client import Store

ENDS = 1_790_000_000_000
TWO_DAYS = World(ends=ENDS, days=2, clicks_a_day=3000, conversions_a_day=300, campaigns=40)


@pytest.fixture
def filled(store: Store) -> Store:
    world.fill(store, TWO_DAYS)
    return store


def one(store: Store, sql: str) -> dict[str, object]:
    return store.rows(sql)[0]


def test_a_world_is_as_large_as_asked_and_its_newest_day_does_not_depend_on_what_lies_before(filled: Store) -> None:
    assert one(filled, "SELECT count() AS clicks, uniqExact(click_id) AS ids, uniqExact(campaign) AS campaigns FROM click") == {
        "clicks": 6000, "ids": 6000, "campaigns": 40,
    }  # fmt: skip
    assert one(filled, "SELECT count() AS n FROM conversion")["n"] == 600
    newest = "SELECT groupBitXor(cityHash64(* EXCEPT (segment, o))) AS all FROM click WHERE ts >= fromUnixTimestamp64Milli({day:Int64})"
    day = {"day": ENDS - DAY_MS}
    before = filled.rows(newest, day)
    filled.command("TRUNCATE TABLE click")
    world.fill(filled, World(ends=ENDS, days=1, clicks_a_day=3000, conversions_a_day=300, campaigns=40))
    assert filled.rows(newest, day) == before
    assert one(filled, "SELECT count() AS clicks FROM click")["clicks"] == 3000


def test_click_ids_follow_from_the_platforms_own_and_conversions_name_clicks_before_them(filled: Store) -> None:
    row = one(
        filled,
        "SELECT lower(hex(click_id)) AS id, platform_ids['gclid'] AS gclid FROM click WHERE notEmpty(platform_ids) LIMIT 1",
    )
    assert derive("gclid", str(row["gclid"]).encode()) == row["id"]
    found = one(
        filled,
        "SELECT count() AS named, countIf(click.ts <= v.ts) AS after, uniqExact(v.fact_id) AS facts"
        " FROM conversion AS v INNER JOIN click USING (click_id)",
    )
    asked = one(filled, "SELECT countIf(click_id != toFixedString('', 16)) AS n FROM conversion")["n"]
    assert found["named"] == found["after"] == found["facts"]
    # Those of the first hours may name clicks of the day before history.
    assert 0.95 * int(str(asked)) < int(str(found["named"])) <= int(str(asked))


def test_the_traffic_goes_on_where_history_ended_without_a_gap_or_an_overlap(filled: Store) -> None:
    step = 600_000
    told = [
        world.go_on(filled, TWO_DAYS, since=ENDS + turn * step, until=ENDS + (turn + 1) * step) for turn in range(6)
    ]
    assert sum(told) == 125  # an hour of 3,000 clicks a day
    assert one(filled, "SELECT count() AS n, uniqExact(click_id) AS ids FROM click") == {"n": 6125, "ids": 6125}


def test_settled_traffic_is_judged_no_more(filled: Store) -> None:
    world.settle(filled)
    left = "SELECT count() AS n FROM (SELECT max(counted_at) > max(judged_at) AS due FROM traffic_window GROUP BY kind, window) WHERE due"
    assert one(filled, left)["n"] == 0
