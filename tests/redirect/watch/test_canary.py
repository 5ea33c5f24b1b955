"""Canaries on their way: a real worker, a real journal, the real store; and what is said when one is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from core.clock import now_ms
from core.errors import StoreError
from core.store.client import Store
from redirect.links.model import LinkDefinition
from redirect.watch.canary import Canaries, Outcome, may_carry
from redirect.watch.config import WatchConfig

from ..live_worker import ProcessWorker, ThreadWorker, link
from .shop import Shop

if TYPE_CHECKING:
    from ...conftest import Ship

NOW = 1_790_000_000_000


class NoStore:
    def rows(self, _sql: str, _params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        raise StoreError("away")


class Half:
    """A store that has clicks, but no touches."""

    def rows(self, _sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        ids: Any = (params or {})["ids"]
        return [{"id": each, "steps": ["click"]} for each in ids]


class Whole:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def rows(self, _sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        ids: Any = (params or {})["ids"]
        self.asked += ids
        return [{"id": each, "steps": ["touch", "click"]} for each in ids]


def canaries(worker: ThreadWorker | ProcessWorker, store: Any, **settings: Any) -> Canaries:
    return Canaries(
        worker.control,
        store,
        entrance=lambda: f"http://127.0.0.1:{worker.port}",
        config=WatchConfig(**{"canary_timeout_s": 0.3, "retry_s": 0.0, **settings}),
        host="go.example",
    )


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("clicktrace_canaries_total", {"outcome": outcome}) or 0.0


def lost(worker: ThreadWorker, store: Any) -> set[str]:
    sender = canaries(worker, store)
    sender.tick(now_ms())
    assert REGISTRY.get_sample_value("clicktrace_canary_lost_links") == len(sender.lost)
    return set(sender.lost.values())


def test_a_canary_of_every_link_reaches_the_store_and_its_time_is_measured(
    start_process: Callable[..., ProcessWorker], store: Store, ship: Ship
) -> None:
    process = start_process(link("a"), link("b", domain="go.example"), link("c", disabled=True))
    before = REGISTRY.get_sample_value("clicktrace_canary_seconds_count") or 0.0

    def pause(_seconds: float) -> bool:
        ship()
        return False

    sender = Canaries(
        process.control,
        store,
        entrance=lambda: f"http://127.0.0.1:{process.port}",
        config=WatchConfig(canary_timeout_s=10),
        pause=pause,
    )
    sender.tick(now_ms())
    assert sender.lost == {}
    assert REGISTRY.get_sample_value("clicktrace_canary_seconds_count") == before + 2
    rows = store.rows("SELECT slug, domain, step FROM canary ORDER BY slug, step")
    assert [(row["slug"], row["step"]) for row in rows] == [
        ("", "touch"),
        ("", "touch"),
        ("a", "click"),
        ("b", "click"),
    ]
    assert store.rows("SELECT count() AS n FROM click") == store.rows("SELECT count() AS n FROM touch") == [{"n": 0}]
    process.signal(signal.SIGTERM)


def test_a_redirect_that_does_not_answer_loses_the_canary(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    sender = Canaries(
        worker.control,
        Whole(),
        entrance=lambda: "http://127.0.0.1:9",
        config=WatchConfig(canary_timeout_s=0.3, retry_s=0),
    )
    sender.tick(now_ms())
    assert set(sender.lost.values()) == {"not_answered"}


def test_a_redirect_that_does_not_redirect_loses_the_canary(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link(), domains=("other.example",))
    assert lost(worker, Whole()) == {"not_redirected"}


def test_a_touch_that_is_refused_is_named(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    shop = Shop()
    shop.redirect("/spring", "https://shop.example/p?ct_click=0af7651916cd43dd8448eb211c80319c", keep_query=False)
    sender = Canaries(
        worker.control,
        Whole(),
        entrance=lambda: f"http://127.0.0.1:{shop.port}",
        config=WatchConfig(canary_timeout_s=0.3, retry_s=0),
    )
    sender.tick(now_ms())
    assert set(sender.lost.values()) == {"touch_refused"}
    shop.close()


@pytest.mark.parametrize(("store", "outcome"), [(NoStore(), "click_missing"), (Half(), "touch_missing")])
def test_what_does_not_reach_the_store_is_named(
    start_worker: Callable[..., ThreadWorker], store: Any, outcome: Outcome
) -> None:
    before = count(outcome)
    assert lost(start_worker(link()), store) == {outcome}
    assert count(outcome) == before + 1


def test_a_canary_is_lost_only_when_the_second_one_is_lost_too(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())

    class Late(Whole):
        def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
            ids: Any = (params or {})["ids"]
            self.first = getattr(self, "first", ids)
            return [] if ids == self.first else super().rows(sql, params)

    assert lost(worker, Late()) == set()


def test_links_take_turns_and_what_was_lost_comes_first(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(*(link(f"l{number}") for number in range(5)))
    sender = canaries(worker, Whole(), canary_links=2)

    at = now_ms()

    def slugs(*, after_ms: int = 300_000) -> list[str]:
        nonlocal at
        at += after_ms
        before = len(worker.lines("canary"))
        sender.tick(at)
        return [line["slug"] for line in worker.lines("canary")[before:] if line["step"] == "click"]

    assert [slugs(), slugs(), slugs(), slugs()] == [["l0", "l1"], ["l2", "l3"], ["l4", "l0"], ["l1", "l2"]]
    lost = {slug: worker.links.find(slug).link_id for slug in ("l0", "l4")}
    sender.lost = dict.fromkeys(lost.values(), "click_missing")
    assert slugs() == ["l0", "l3"], "what is lost leaves half of the places to the others"
    assert list(sender.lost) == [lost["l4"]], "and what had no turn is not forgotten"
    assert slugs(after_ms=60_000) == ["l4"], "between two rounds it comes alone"
    assert sender.lost == {}
    assert slugs(after_ms=60_000) == [], "and then nothing is due"
    sender.lost = {lost["l4"]: "click_missing"}
    worker.links.disable(lost["l4"], author="t")
    slugs()
    assert sender.lost == {}, "a link that was switched off has nothing to lose"


def test_a_clock_that_is_set_back_delays_no_canary(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    store = Whole()
    sender = canaries(worker, store)
    at = now_ms()
    sent = []
    for now in (at + 3_600_000, at, at + 60_000, at + 300_000):
        before = len(worker.lines("canary"))
        sender.tick(now)
        sent.append(len(worker.lines("canary")) > before)
    assert sent == [True, True, False, True]


def test_without_a_redirect_nothing_is_sent_and_nothing_is_lost(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    sender = Canaries(worker.control, NoStore(), entrance=lambda: "", config=WatchConfig())
    sender.tick(now_ms())
    assert sender.lost == {}


def test_a_stop_ends_the_waiting(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    sender = canaries(worker, NoStore(), canary_timeout_s=60)
    sender.stop()
    sender.tick(now_ms())
    assert sender.lost == {}, "and what was not waited for is not called lost"


@pytest.mark.parametrize(
    ("fields", "carries"),
    [
        ({}, True),
        ({"disabled": True}, False),
        ({"answer": "unavailable"}, False),
        ({"max_clicks": 10}, False),
        ({"sign": "destination"}, False),
        ({"starts": "2030-01-01T00:00:00Z"}, False),
        ({"starts": "2030-01-01T00:00:00Z", "fallback": "https://shop.example/"}, True),
        ({"expires": "2026-01-01T00:00:00Z"}, False),
        ({"expires": "2030-01-01T00:00:00Z"}, True),
    ],
)
def test_only_links_that_redirect_anybody_carry_a_canary(fields: dict[str, Any], carries: bool) -> None:
    definition = LinkDefinition(slug="spring", destination="https://shop.example/p", **fields)
    assert may_carry(definition, now=NOW) is carries
