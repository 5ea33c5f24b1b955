"""Traffic quality from the journal to the report: which words flag what, and that nothing is ever left out of a count.

Setting up a world costs more than a situation, so the situations share one: each has a campaign of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from core.records import Touch
from correlator.config import CorrelatorConfig, TrafficConfig
from correlator.traffic_quality import judge_new
from correlator.traffic_words import CONVERSION_WORDS, HIT_WORDS
from tests.correlator.conftest import CAMPAIGN, moment
from tests.correlator.crowd import Crowd

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
CURL = "curl/8.4.0"
ODD = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/97.0.4692.71 Safari/537.36"
CARRIER, DATACENTER = "198.51.100.0/24", "203.0.113.0/24"
ONE = "ab" * 8
_numbers = count(1)


class Campaign:
    """One campaign's traffic: what happens is told to the journal."""

    def __init__(self, world: Any, campaign: str = CAMPAIGN) -> None:
        self.world, self.campaign = world, campaign

    def visit(self, at: int | str, *, lands: bool = True, after_ms: int = 400, **fields: Any) -> str:
        """A click by a new visitor from an address of its own, and its page view."""
        at = moment(at) if isinstance(at, str) else at
        n = next(_numbers)
        own = {"network": f"10.{n // 250 % 250}.{n % 250}.0/24", "visitor_id": f"{n:032x}", "network_hash": f"{n:016x}"}
        click_id: str = self.world.click(at, **{"campaign": self.campaign, **own, **fields})
        if lands:
            self.world.tell(Touch(ts=at + after_ms, source="snippet", name="page_view", click_id=click_id))
        return click_id

    def visits(self, number: int, start: str = "09:00", **fields: Any) -> list[str]:
        """That many, ten a second."""
        return [self.visit(moment(start) + n * 100, **fields) for n in range(number)]

    def buys(self, clicks: list[str], *, after_s: float = 30.0, **fields: Any) -> None:
        """Each clicked at 09:00 and some tenths, and buys for another sum."""
        for n, click in enumerate(clicks):
            given = {"click_id": click, "value_micros": 10_000_000 + n, **fields}
            self.world.conversion(moment("09:00") + n * 100 + round(after_s * 1000), **given)


# --- situations: what happens, and how many clicks and conversions carry which word -------------------------------------------------


def ordinary(c: Campaign) -> None:
    c.buys(c.visits(60)[:20])


def request_and_kept_list(c: Campaign) -> None:
    c.visit("09:00")
    c.visit("09:00", lands=False, user_agent=CURL, bot_signals=["no_accept"])
    c.visit("09:00", lands=False, user_agent="", bot_signals=["no_user_agent", "no_accept"])


def data_centre(c: Campaign) -> None:
    c.visits(3)
    c.visit("09:00", network=DATACENTER)


def click_id_from_elsewhere(c: Campaign) -> None:
    click_id = c.visit("09:00")
    c.world.click("09:01", click_id=click_id, campaign=c.campaign, network=CARRIER)


def burst_of_a_network(c: Campaign) -> None:
    c.visits(60)
    c.visits(30, network=CARRIER)


def burst_of_an_address(c: Campaign) -> None:
    c.visits(60)
    c.visits(30, network_hash=ONE)


def carrier_that_is_always_busy(c: Campaign) -> None:
    for ten in range(36):
        c.visits(6, f"{3 + ten // 6:02}:{ten % 6}0", network=CARRIER)
    c.visits(60)
    c.visits(22, network=CARRIER)


def reloads_of_one_click(c: Campaign) -> None:
    c.visits(60)
    click_id = c.visit("09:00", network=CARRIER, network_hash=ONE)
    for n in range(30):
        c.world.click(
            moment("09:00") + n * 1000, click_id=click_id, campaign=c.campaign, network=CARRIER, network_hash=ONE
        )


def silence(c: Campaign) -> None:
    c.visits(60)
    c.visits(12, network=CARRIER, lands=False)


def silence_of_a_page_without_snippet(c: Campaign) -> None:
    c.visits(60)
    c.visits(72, page="shop.example/bare", lands=False)
    c.visits(12, page="shop.example/bare", lands=False, network=CARRIER)


def some_leave_before_the_page_shows(c: Campaign) -> None:
    c.visits(60)
    c.visits(8, network=CARRIER)
    c.visits(4, network=CARRIER, lands=False)


def page_view_too_soon(c: Campaign) -> None:
    c.visits(20)
    c.visit("09:00", after_ms=3)
    c.visit("09:00", after_ms=3, parallel=True)


def one_agent_over_many_networks(c: Campaign) -> None:
    c.visits(250, "07:00")
    c.visits(60)
    c.visits(30, user_agent=ODD, lands=False)


def new_version_of_a_browser(c: Campaign) -> None:
    c.visits(250, "07:00")
    c.visits(60)
    c.visits(30, user_agent=ODD)


def new_visitor_at_every_click(c: Campaign) -> None:
    c.visits(60)
    c.visits(12, network_hash=ONE, user_agent=ODD, lands=False)


def many_people_behind_one_address(c: Campaign) -> None:
    c.visits(60)
    c.visits(12, network_hash=ONE)


def conversion_too_fast(c: Campaign) -> None:
    clicks = c.visits(20)
    c.buys(clicks[:1], after_s=0.3)
    c.buys(clicks[1:])


def form_too_fast(c: Campaign) -> None:
    for click_id, submitted in zip(c.visits(2), ("09:00:20", "09:00:32"), strict=True):
        c.world.touch("09:00:20", "form_start", click_id)
        c.world.touch(submitted, "form_submit", click_id)
        c.buys([click_id], after_s=40)


def spike_of_a_network(c: Campaign) -> None:
    c.buys(c.visits(40))
    c.buys(c.visits(8, network=CARRIER))


def same_person_again_and_again(c: Campaign) -> None:
    clicks = c.visits(20)
    c.buys(clicks[:16])
    c.buys(clicks[16:], type="lead", status="qualified", email_sha256="ab" * 32)


def same_value_from_one_network(c: Campaign) -> None:
    c.buys(c.visits(40))
    c.buys(c.visits(6, network=CARRIER), value_micros=77_000_000)


def one_price_for_everything(c: Campaign) -> None:
    c.buys(c.visits(40), value_micros=77_000_000)


def conversion_of_a_machine(c: Campaign) -> None:
    c.buys([c.visit("09:00"), c.visit("09:00", bot_signals=["no_accept"]), c.visit("09:00", user_agent=CURL)])


SITUATIONS: tuple[tuple[Callable[[Campaign], None], dict[str, int], dict[str, int]], ...] = (
    (ordinary, {}, {}),
    (request_and_kept_list, {"crawler": 1, "no_accept": 2, "no_user_agent": 1}, {}),
    (data_centre, {"datacenter": 1}, {}),
    (click_id_from_elsewhere, {"reused_id": 1}, {}),
    (burst_of_a_network, {"network_burst": 30}, {}),
    (burst_of_an_address, {"address_burst": 30}, {}),
    (carrier_that_is_always_busy, {}, {}),
    (reloads_of_one_click, {}, {}),
    (silence, {"no_landing": 12}, {}),
    (silence_of_a_page_without_snippet, {}, {}),
    (some_leave_before_the_page_shows, {}, {}),
    (page_view_too_soon, {"fast_landing": 1}, {}),
    (one_agent_over_many_networks, {"same_agent": 30}, {}),
    (new_version_of_a_browser, {}, {}),
    (new_visitor_at_every_click, {"no_cookies": 12}, {}),
    (many_people_behind_one_address, {}, {}),
    (conversion_too_fast, {}, {"too_fast": 1}),
    (form_too_fast, {}, {"form_too_fast": 1}),
    (spike_of_a_network, {}, {"network_spike": 8}),
    (same_person_again_and_again, {}, {"repeated_identity": 4}),
    (same_value_from_one_network, {}, {"network_spike": 6, "repeated_value": 6}),
    (one_price_for_everything, {}, {}),
    (conversion_of_a_machine, {"crawler": 1, "no_accept": 1}, {"flagged_click": 1}),
)


@pytest.fixture
def config(tmp_path: Path) -> CorrelatorConfig:
    file = tmp_path / "hosters.txt"
    file.write_text(f"{DATACENTER} # somebody's machines\n")
    return CorrelatorConfig(traffic=TrafficConfig(datacenter_networks=(str(file),)))


def report(world: Any, **query: Any) -> Any:
    return world.get("/traffic", **{**DAY, **query})


def flags(world: Any) -> list[Any]:
    hits = "SELECT ts, o, flags, observed, usual FROM hit_flag FINAL WHERE notEmpty(flags) ORDER BY ts, o"
    sales = "SELECT fact_id, flags, observed, usual FROM conversion_flag FINAL WHERE notEmpty(flags) ORDER BY fact_id"
    return [world.store.rows(hits), world.store.rows(sales)]


def test_each_situation_gets_its_words_and_no_other_and_a_rebuilt_store_the_same(world: Any, ship: Any) -> None:
    names = {f"meta:1:{n}": happens.__name__ for n, (happens, _, _) in enumerate(SITUATIONS)}
    for n, (happens, _, _) in enumerate(SITUATIONS):
        happens(Campaign(world, f"meta:1:{n}"))
        if n == len(SITUATIONS) // 2:  # what is judged in two parts is judged the same
            world.settle("09:30")
    world.settle("10:00")
    found = report(world)
    rows = {names[row["campaign"]]: row for row in found["rows"]}
    expected = {happens.__name__: (hits, sales) for happens, hits, sales in SITUATIONS}
    assert {name: (row["hits_by_flag"], row["conversions_by_flag"]) for name, row in rows.items()} == expected
    assert {word for row in rows.values() for word in row["hits_by_flag"]} | {"headless"} == set(HIT_WORDS)
    assert {word for row in rows.values() for word in row["conversions_by_flag"]} == set(CONVERSION_WORDS)
    assert found["judged_through"] == "2026-09-21T09:50:00.000Z"

    machines, elsewhere, sold = (
        rows["request_and_kept_list"],
        rows["click_id_from_elsewhere"],
        rows["conversion_too_fast"],
    )
    assert (machines["clicks"], machines["flagged_clicks"], machines["unflagged_clicks"]) == (3, 2, 1)
    assert machines["flagged_share"] == pytest.approx(2 / 3)
    assert (elsewhere["hits"], elsewhere["clicks"], elsewhere["clicks_by_flag"]) == (2, 1, {})
    assert (sold["conversions"], sold["flagged_conversions"], sold["unflagged_conversions"]) == (20, 1, 19)
    orders = {row["campaign"]: row["outcome"]["conversions"] for row in world.get("/roi", **DAY)["rows"]}
    assert {names[campaign]: orders[campaign] for campaign in orders}["conversion_too_fast"] == 20

    before = flags(world)
    world.store.wipe()
    ship._shipper = None  # a shipper belongs to one store
    world.settle("10:01")
    assert flags(world) == before


def test_the_figures_a_flag_rests_on_stand_beside_it(world: Any) -> None:
    burst_of_a_network(Campaign(world))
    world.settle("10:00")
    [flag] = world.store.rows("SELECT DISTINCT flags, observed, usual FROM hit_flag FINAL")
    assert flag == {"flags": ["network_burst"], "observed": [30.0], "usual": [1.0]}
    shares = {word: shown("clicktrace_traffic_flagged_ratio", word) for word in (*HIT_WORDS, "any")}
    assert {word: share for word, share in shares.items() if share} == {"network_burst": 1 / 3, "any": 1 / 3}
    assert {shown("clicktrace_traffic_flagged_conversions_ratio", word) for word in (*CONVERSION_WORDS, "any")} == {0.0}


def shown(metric: str, word: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"flag": word})


def test_a_click_says_what_it_was_flagged_for_and_so_does_its_conversion(world: Any) -> None:
    conversion_too_fast(Campaign(world))
    burst_of_a_network(Campaign(world, "meta:1:9"))
    world.settle("10:00")
    [sale] = world.store.rows("SELECT fact_id FROM conversion_flag FINAL WHERE notEmpty(flags)")
    [match] = world.store.rows(
        f"SELECT DISTINCT lower(hex(click_id)) AS click_id FROM conversion WHERE fact_id = '{sale['fact_id']}'"
    )
    bought = world.get(f"/clicks/{match['click_id']}")
    assert {one["fact_id"]: one["flags"] for one in bought["conversions"]}[sale["fact_id"]] == ["too_fast"]
    burst = "SELECT lower(hex(click_id)) AS id FROM click WHERE (segment, o) IN (SELECT segment, o FROM hit_flag FINAL) LIMIT 1"
    [flagged] = world.store.rows(burst)
    assert [hit["behaviour"] for hit in world.get(f"/clicks/{flagged['id']}")["hits"]] == [["network_burst"]]


def test_a_missing_accept_header_alone_makes_no_bot(world: Any) -> None:
    world.click("09:00", bot_signals=["no_accept"])
    world.click("09:01", bot_signals=["no_accept", "headless"])
    world.settle("10:00")
    [row] = world.get("/roi", **DAY)["rows"]
    assert (row["clicks"], row["bot_clicks"]) == (1, 1)
    assert [bool(hit["bot"]) for hit in world.store.rows("SELECT bot FROM hit ORDER BY ts")] == [False, True]


def test_a_late_page_view_acquits(world: Any) -> None:
    there = Campaign(world)
    there.visits(60)
    silent = there.visits(12, network=CARRIER, lands=False)
    world.settle("10:00")
    assert report(world)["rows"][0]["clicks_by_flag"] == {"no_landing": 12}
    for click_id in silent[:9]:  # what another machine ships later
        world.tell(Touch(ts=moment("09:00:02"), source="snippet", name="page_view", click_id=click_id), known="10:01")
    world.settle("10:02")
    assert report(world)["rows"][0]["clicks_by_flag"] == {}


def test_a_window_is_judged_once_when_it_is_over_even_if_nothing_arrives_any_more(world: Any) -> None:
    Campaign(world).visits(30, network=CARRIER, lands=False)
    world.settle("09:03")
    assert report(world)["rows"][0]["flagged_clicks"] == 0
    assert report(world, until="09:30")["judged_through"] == "2026-09-21T08:50:00.000Z"
    world.correlator.tick(moment("09:16"))
    assert report(world)["rows"][0]["clicks_by_flag"] == {"network_burst": 30}
    # A row is stamped before it can be read, so a window is judged once more when its newest row is 20 s old; then never again.
    world.store.command(
        "INSERT INTO traffic_window (kind, window, judged_at) SELECT kind, window, now() + 60 FROM traffic_window"
    )
    assert judge_new(world.store, config=TrafficConfig(), now=moment("09:17")) == 0


def test_imported_conversions_are_judged_however_often_the_same_moment_ticks(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuilt store ticks at one moment until nothing is left to do: each tick must not put off what the last one matched."""
    monkeypatch.setattr("correlator.traffic_quality.OVERLAP_MS", 300)
    conversion_too_fast(Campaign(world))
    later = "2026-09-22T09:00:00Z"
    world.settle(later)
    for _ in range(2):
        time.sleep(0.4)  # rows count as settled by the store's own clock
        world.correlator.tick(moment(later))
    assert report(world)["rows"][0]["conversions_by_flag"] == {"too_fast": 1}


def test_a_conversion_that_is_told_to_lie_elsewhere_acquits_those_it_was_counted_with(world: Any) -> None:
    there = Campaign(world)
    same = {"type": "lead", "status": "qualified", "email_sha256": "ab" * 32}
    clicks = there.visits(20)
    there.buys(clicks[:17])
    there.buys(clicks[17:19], **same)
    third = {"click_id": clicks[19], "conversion_id": "third", **same}
    world.conversion("09:00:31", **third)
    world.settle("10:00")
    assert report(world)["rows"][0]["conversions_by_flag"] == {"repeated_identity": 3}
    world.conversion("09:40", known="10:01", **third)
    world.settle("10:02")
    assert report(world)["rows"][0]["conversions_by_flag"] == {}


def test_changed_lists_hold_for_what_was_there_before(world: Any, config: CorrelatorConfig) -> None:
    file = Path(config.traffic.datacenter_networks[0])
    Campaign(world).visits(3, network="192.0.2.0/24")

    def state_and_flags(now: str) -> tuple[str, dict[str, int]]:
        world.settle(now)
        found = report(world)
        [state] = found["lists"]
        return state["state"], found["rows"][0]["clicks_by_flag"]

    assert state_and_flags("09:01") == ("ok", {})
    file.write_text("192.0.2.0/23\n")
    assert state_and_flags("09:02") == ("ok", {"datacenter": 3})
    file.write_text("no network\n")
    assert state_and_flags("09:03") == ("unreadable", {})
    file.unlink()
    assert state_and_flags("09:04") == ("missing", {})


def test_an_ordinary_day_is_hardly_ever_flagged(world: Any, clock: Any) -> None:
    """The simulated visitors of the detector's tests, with addresses as people have them: homes, offices, two carriers' few exits."""
    clock.now = moment("00:00")
    crowd = Crowd(world, world.journal, clock)
    crowd.day(clicks=20_000)
    world.settle("2026-09-22T00:30:00Z")
    rows = world.get("/traffic", since="00:00", until="2026-09-22T00:00:00Z")["rows"]
    hits, flagged = sum(row["hits"] for row in rows), sum(row["flagged_hits"] for row in rows)
    sold, doubted = sum(row["conversions"] for row in rows), sum(row["flagged_conversions"] for row in rows)
    assert hits > 19_000
    assert sold > 1_000
    assert flagged < 0.01 * hits, [row["hits_by_flag"] for row in rows]
    assert doubted < 0.01 * sold, [row["conversions_by_flag"] for row in rows]


def test_the_report_goes_by_grain_campaign_and_tenant(world: Any) -> None:
    here, elsewhere = Campaign(world), Campaign(world, "meta:1:9")
    here.visits(3, client="acme")
    here.visits(2, "10:00", client="acme", user_agent=CURL)
    elsewhere.buys(elsewhere.visits(1, client="other"))
    world.settle("11:00")
    rows = report(world, grain="1h", campaign=CAMPAIGN)["rows"]
    assert [(row["since"][11:13], row["clicks"], row["flagged_clicks"]) for row in rows] == [("09", 3, 0), ("10", 2, 2)]
    key = world.keys.add("acme's", scopes=["read"], clients=["acme"])
    [row] = report(world, key=key)["rows"]
    assert (row["campaign"], row["client"], row["clicks"], row["conversions"]) == (CAMPAIGN, "acme", 5, 0)
    assert world.get("/traffic", key=key, client="other", status=403)["reason"] == "forbidden_client"
