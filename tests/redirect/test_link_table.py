"""The links in memory: bounded by their size, those hit most stay, and a million others cost one read each."""

from __future__ import annotations

import random
import string
import tracemalloc
from typing import Any

import msgspec
import pytest

from core.destinations import AllowList
from redirect.link_size import Sharing, deep_size, size_of
from redirect.link_table import OFTEN, Change, LinkTable
from redirect.links.model import Link, LinkDefinition
from redirect.links.routing import Variant
from redirect.live_link import LiveLink, to_live

ALLOWED = AllowList(["shop.example"])


def live(slug: str, *, version: int = 1, domain: str = "", **fields: Any) -> LiveLink:
    definition = LinkDefinition(**{"slug": slug, "destination": "https://shop.example/p", "domain": domain, **fields})
    link = Link(link_id=f"{domain}-{slug}", version=version, definition=definition, updated_at=1)
    return to_live(link, allowed=ALLOWED)


class Everything:
    """A source that has every slug that begins with s, without a domain."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, slug: str, domain: str) -> LiveLink | None:
        self.asked.append(f"{domain}/{slug}")
        return live(slug) if slug.startswith("s") else None


def test_memory_stays_below_its_bound_whatever_is_hit() -> None:
    table = LinkTable(Everything(), max_bytes=200_000)
    for number in range(10_000):
        assert table.find(b"x", b"/s%d" % (number % 6000))
        assert table.memory_bytes <= 200_000
    assert 1500 < len(table) < 4000
    assert table.memory_bytes > 150_000


@pytest.mark.parametrize("max_bytes", [10_000_000, 1_500_000])
def test_the_table_counts_what_it_takes_in_memory(max_bytes: int) -> None:
    source = Everything()
    paths = [b"/s%d" % number for number in range(4000)]
    tracemalloc.start()
    table = LinkTable(source, max_bytes=max_bytes)
    for path in paths:
        table.find(b"x", path)
    source.asked.clear()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(table) == len(paths), "they fit, prepared or packed"
    assert 0.9 < table.memory_bytes / taken < 1.6, f"{table.memory_bytes} counted, {taken} taken"


def test_a_link_is_the_same_whether_prepared_or_packed() -> None:
    table = LinkTable(Everything(), max_bytes=60_000)
    for turn in range(40):
        for number in range(100):
            found = table.find(b"x", b"/s%d" % number)
            assert found == live(f"s{number}"), (turn, number)


def test_a_packed_link_that_is_hit_often_is_prepared_and_one_that_is_no_more_is_packed_again() -> None:
    table = LinkTable(Everything(), max_bytes=60_000)
    for number in range(40 * OFTEN):
        table.find(b"x", b"/s%d" % (number % 40))
    for _ in range(3 * OFTEN):
        table.find(b"x", b"/sale")
        prepared = table.find(b"x", b"/sale") is table.find(b"x", b"/sale")
    assert not prepared, "the first ones hold the room for prepared links until they are looked at"
    for number in range(20_000):
        table.find(b"x", b"/s%d" % (1000 + number // 2))
        table.find(b"x", b"/sale")
    assert table.find(b"x", b"/sale") is table.find(b"x", b"/sale")


def test_links_with_rules_are_never_packed() -> None:
    class WithVariants(Everything):
        def read(self, slug: str, domain: str) -> LiveLink | None:
            return live(slug, variants=(Variant(name="a", destination="https://shop.example/a"),))

    table = LinkTable(WithVariants(), max_bytes=200_000)
    for number in range(500):
        table.find(b"x", b"/s%d" % (number % 60))
        assert table.memory_bytes <= 200_000
    assert table.find(b"x", b"/s1") is not None


def test_a_link_too_long_to_be_packed_stays_while_it_is_hit() -> None:
    draw = random.Random(1)

    def token(length: int) -> str:
        return "".join(draw.choices(string.ascii_letters + string.digits, k=length))

    class Long(Everything):
        def read(self, slug: str, domain: str) -> LiveLink | None:
            if slug != "sale":
                return super().read(slug, domain)
            self.asked.append("/sale")
            names = {name: f"google:1:{token(240)}" for name in ("campaign", "ad_group", "creative")}
            return live(slug, destination=f"https://shop.example/{token(2000)}", **names)

    source = Long()
    table = LinkTable(source, max_bytes=60_000)
    for number in range(20_000):
        table.find(b"x", b"/s%d" % (number // 2))
        if number % 400 == 0:
            table.find(b"x", b"/sale")
    assert source.asked.count("/sale") <= 3


def test_a_table_that_lost_all_its_links_counts_nothing() -> None:
    class Every(Everything):
        def read(self, slug: str, domain: str) -> LiveLink | None:
            more: dict[str, Any] = (
                {"variants": (Variant(name="größe", destination="https://shop.example/a"),)} if slug > "s2" else {}
            )
            return live(slug, **more)

    table = LinkTable(Every(), max_bytes=100_000)
    for number in range(2000):
        found = table.find(b"x", b"/s%d" % (number % 400))
        assert found is not None
        if found.plan is not None:
            _grown(found.plan)
    assert table.memory_bytes > 50_000
    table.apply([Change(slug=f"s{number}", domain="") for number in range(400)])
    assert (len(table), table.memory_bytes) == (0, 0)


def _grown(plan: object) -> None:
    """As by use: a text that was once encoded keeps its UTF-8 beside it, which getsizeof counts."""
    for text in _texts(plan):
        msgspec.json.encode(text)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value if isinstance(value, tuple) else [getattr(value, name, None) for name in _fields(value)]
    return [text for part in parts for text in _texts(part)]


def _fields(value: object) -> tuple[str, ...]:
    return tuple(getattr(type(value), "__struct_fields__", getattr(type(value), "__slots__", ())))


def test_a_link_that_is_hit_often_stays_while_thousands_pass_by() -> None:
    source = Everything()
    table = LinkTable(source, max_bytes=200_000)
    for number in range(20_000):
        table.find(b"x", b"/s%d" % number)
        table.find(b"x", b"/sale")
    assert source.asked.count("/sale") <= 2


def test_most_hits_of_a_zipf_mix_are_in_memory() -> None:
    draw, source = random.Random(7), Everything()
    table = LinkTable(source, max_bytes=600_000)
    ranks = range(1, 10_001)
    hits = draw.choices(ranks, weights=[1 / rank for rank in ranks], k=30_000)
    for rank in hits[:15_000]:
        table.find(b"x", b"/s%d" % rank)
    before, most = len(source.asked), len(table)
    for rank in hits[15_000:]:
        table.find(b"x", b"/s%d" % rank)
    ideal = sum(1 / rank for rank in ranks[:most]) / sum(1 / rank for rank in ranks)
    share = 1 - (len(source.asked) - before) / 15_000
    assert share > ideal - 0.08, f"{share:.3f} of the hits in memory, {ideal:.3f} is the best there is"


@pytest.mark.parametrize(
    "path", [b"/", b"/ct/e", b"/ct.js", b"/healthz", b"/favicon.ico", b"/a/b", b"/%73", b"/s?", b"/" + b"s" * 129, b"s"]
)
def test_what_can_be_no_slug_is_not_looked_up(path: bytes) -> None:
    source = Everything()
    assert LinkTable(source).find(b"x", path) is None
    assert source.asked == []


def test_unknown_slugs_are_asked_for_each_time_and_take_no_memory() -> None:
    source = Everything()
    table = LinkTable(source)
    for _ in range(3):
        assert table.find(b"x", b"/unknown") is None
    assert (len(source.asked), len(table), table.memory_bytes) == (3, 0, 0)


def test_unusual_spellings_find_the_same_link() -> None:
    table = LinkTable(Everything())
    assert table.find_unusual(b"x", b"/%73ale/") == table.find(b"x", b"/sale")


def test_hosts_without_links_of_their_own_share_one_place_in_memory() -> None:
    source = Everything()
    table = LinkTable(source)
    table.know_domains(["go.example"])
    for number in range(100):
        table.find(b"host-%d.example" % number, b"/sale")
    table.find(b"go.example", b"/sale")
    assert source.asked == ["/sale", "go.example/sale"]
    assert len(table) == 2


def test_a_change_of_the_link_of_every_domain_leaves_a_domains_own_alone() -> None:
    table = LinkTable(Everything())
    table.put(live("sale", domain="go.example"))
    table.know_domains(["other.example"])
    table.find(b"other.example", b"/sale")
    table.apply([Change(slug="sale", domain="", link=live("sale", version=2, disabled=True))])
    assert [table.find(host, b"/sale").decision.target.outcome for host in (b"go.example", b"other.example")] == [  # type: ignore[union-attr]
        "redirected",
        "disabled",
    ]


def test_a_change_that_nobody_read_ahead_makes_the_next_hit_read() -> None:
    source = Everything()
    table = LinkTable(source)
    table.find(b"x", b"/sale")
    table.apply([Change(slug="sale", domain="")])
    assert len(table) == 0
    table.find(b"x", b"/sale")
    assert len(source.asked) == 2


def test_what_was_read_after_a_change_was_is_not_taken_back() -> None:
    table = LinkTable()
    table.put(live("sale", version=3))
    table.apply([Change(slug="sale", domain="", link=live("sale", version=2))])
    table.put(live("sale", version=1))
    assert table.find(b"x", b"/sale").version == 3  # type: ignore[union-attr]


def test_what_is_put_out_and_replaced_is_accounted_for() -> None:
    table = LinkTable(Everything(), max_bytes=100_000)
    draw = random.Random(3)
    for _ in range(3000):
        slug = f"s{draw.randrange(200)}"
        match draw.randrange(4):
            case 0:
                table.apply([Change(slug=slug, domain="")])
            case 1:
                table.apply([Change(slug=slug, domain="", link=live(slug, version=9, note="n" * draw.randrange(900)))])
            case _:
                table.find(b"x", f"/{slug}".encode())
    assert 0 < table.memory_bytes <= 100_000
    table.forget()
    assert (len(table), table.memory_bytes) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"destination": "https://shop.example/p?season=spring", "campaign": "google:1:2", "platform": "google"},
        {"destination": "https://shop.example/" + "p" * 1500},
        {"disabled": True},
        {"max_clicks": 5, "fallback": "https://shop.example/over"},
        {"variants": tuple(Variant(name=f"v{n}", destination="https://shop.example/v") for n in range(9))},
    ],
)
def test_the_size_of_a_link_is_about_what_it_takes_in_memory(fields: dict[str, Any]) -> None:
    tracemalloc.start()
    sharing = Sharing()
    links = [sharing.shared(live(f"s{n}", **fields)) for n in range(200)]
    taken = tracemalloc.get_traced_memory()[0] / 200
    tracemalloc.stop()
    size = size_of(links[0]) + (deep_size(links[0].plan) if links[0].plan is not None else 0)
    assert 0.8 < size / taken < 2.0, f"{size} for {taken:.0f}"


def test_equal_parts_are_kept_once() -> None:
    sharing = Sharing()
    first, second = (
        sharing.shared(live(f"s{n}", destination=f"https://shop.example/{n}?season=spring")) for n in range(2)
    )
    assert first.own is second.own is first.decision.target.own is second.decision.target.own
    assert first.own == {b"season"}
