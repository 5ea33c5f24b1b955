"""A version that spans name for the first time makes a deploy marker by itself: once, and only when it is news."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from collectors.config import OtlpConfig
from collectors.otlp import protobuf
from collectors.otlp.receiver import Receiver
from collectors.otlp.versions import MARKS_PER_HOUR, MAX_SERVICES, NewVersions, StoreDeploys
from core.clock import HOUR_MS
from core.control.checkpoints import Checkpoints
from core.errors import JournalError, StoreError
from core.records import Change, Deploy
from core.store.client import Store
from tests.collectors.test_otlp import NOW, as_protobuf, span, traces

START_MS = NOW - 1020


class Shop:
    """A receiver with the real control database; `restart` forgets all that is only in memory."""

    def __init__(self, journal: Any, control: Any, clock: Any) -> None:
        self.journal, self.control, self.clock = journal, control, clock
        self.reported: set[tuple[str, str]] = set()
        self.store_answers = True
        self.restart()

    def restart(self) -> None:
        versions = NewVersions(Checkpoints(self.control, "otlp", clock=self.clock), self._was_reported)
        self.receiver = Receiver(
            self.journal, lambda _ids, since=0: {}, config=OtlpConfig(), versions=versions, clock=self.clock
        )

    def _was_reported(self, service: str, version: str) -> bool:
        if not self.store_answers:
            raise StoreError("gone")
        return (service, version) in self.reported

    def runs(self, *versions: str, service: str = "shop", **fields: Any) -> None:
        """Spans of these versions arrive, and are flushed."""
        for number, version in enumerate(versions):
            one = span(span_id=f"{number + 1:016x}", http__route="/p", **fields)
            self.receiver.offer(protobuf.decode_traces(as_protobuf(traces(one, service=service, version=version))))
        self.receiver.flush(self.clock.now)
        self.clock.advance(1000)


@pytest.fixture
def shop(journal: Any, control: Any, clock: Any) -> Shop:
    clock.now = NOW
    return Shop(journal, control, clock)


@pytest.fixture
def marked(journaled: Any) -> Any:
    return lambda: [(record.service, record.version) for record in journaled() if isinstance(record, Deploy)]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("clicktrace_otlp_versions_total", {"outcome": outcome}) or 0.0


def test_what_a_service_runs_when_we_first_see_it_is_no_news(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1", "1.4.0")
    assert marked() == []


def test_a_version_never_seen_makes_a_marker_at_the_start_of_its_earliest_span(shop: Shop, journaled: Any) -> None:
    shop.runs("1.4.1")
    shop.runs("1.4.2", "1.4.2")
    [marker] = [record for record in journaled() if isinstance(record, Deploy)]
    assert marker == Deploy(
        ts=START_MS,
        source="otlp",
        fact_id="deploy:shop:1.4.2:seen",
        service="shop",
        version="1.4.2",
        change="deploy",
        description="First seen in spans.",
    )


def test_a_canary_that_comes_and_goes_makes_one_marker(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1")
    for _ in range(5):
        shop.runs("1.4.1", "1.4.2")
        shop.runs("1.4.1")
    assert marked() == [("shop", "1.4.2")]


def test_neither_a_restart_nor_a_rollback_makes_another(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1")
    shop.runs("1.4.2")
    shop.restart()
    shop.runs("1.4.2")
    shop.runs("1.4.1")
    assert marked() == [("shop", "1.4.2")]
    shop.runs("1.4.3")
    assert marked()[1:] == [("shop", "1.4.3")]


def test_services_have_their_versions_each_for_itself(shop: Shop, marked: Any) -> None:
    shop.runs("7", service="cart")
    shop.runs("1.4.1")
    shop.runs("7")
    assert marked() == [("shop", "7")]


def test_spans_without_a_version_say_nothing(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1")
    shop.runs("")
    assert marked() == []


def test_a_deploy_that_somebody_reported_is_not_marked_again(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1")
    shop.reported.add(("shop", "1.4.2"))
    before = counted("reported")
    shop.runs("1.4.2")
    shop.reported.clear()
    shop.runs("1.4.2")
    assert marked() == []
    assert counted("reported") == before + 1


def test_reports_are_found_in_the_store(store: Any, journal: Any, ship: Any) -> None:
    report = Deploy(ts=NOW, source="api", fact_id="d", service="shop", version="1.4.2", change="deploy")
    journal.append_many([report])
    ship()
    reported = StoreDeploys(store)
    assert (reported("shop", "1.4.2"), reported("shop", "1.4.3"), reported("cart", "1.4.2")) == (True, False, False)


def test_while_the_store_does_not_answer_the_marker_waits(shop: Shop, marked: Any) -> None:
    shop.runs("1.4.1")
    shop.store_answers = False
    shop.runs("1.4.2")
    assert marked() == []
    shop.store_answers = True
    shop.receiver.flush(shop.clock.now)
    assert marked() == [("shop", "1.4.2")]


def test_while_the_journal_does_not_write_nothing_is_forgotten(shop: Shop, marked: Any, monkeypatch: Any) -> None:
    shop.runs("1.4.1")

    def refuse(_records: Any) -> int:
        raise JournalError("closed")

    with monkeypatch.context() as broken:
        broken.setattr(shop.journal, "append_many", refuse)
        shop.runs("1.4.2")
    shop.restart()  # with all that waited in memory
    shop.runs("1.4.2")
    assert marked() == [("shop", "1.4.2")]


def test_a_build_id_in_the_version_makes_a_few_markers_an_hour_and_the_rest_is_counted(shop: Shop, marked: Any) -> None:
    shop.runs("1")
    before = counted("too_many")
    shop.runs(*(f"1+{number}" for number in range(40)))
    assert len(marked()) == MARKS_PER_HOUR
    assert counted("too_many") - before == 40 - MARKS_PER_HOUR
    shop.clock.advance(HOUR_MS)
    shop.runs("2")
    assert len(marked()) == MARKS_PER_HOUR + 1


def test_made_up_names_of_services_fill_neither_memory_nor_the_journal(shop: Shop, marked: Any, control: Any) -> None:
    Checkpoints(control, "otlp").put("versions", b"%d" % (MAX_SERVICES - 1))
    before = counted("no_room")
    for number in range(3):
        shop.runs("1", service=f"made-up-{number}")
        shop.runs("2", service=f"made-up-{number}")
    assert marked() == [("made-up-0", "2")]
    assert counted("no_room") - before == 4
    assert not shop.receiver._versions._waiting


def test_a_marker_lies_neither_ahead_of_us_nor_long_ago(shop: Shop, journaled: Any) -> None:
    shop.runs("1")
    shop.runs("2", end_ms=NOW + 3 * HOUR_MS)
    assert [record.ts <= shop.clock.now for record in journaled() if isinstance(record, Deploy)] == [True]


def test_a_deploy_that_is_reported_after_its_spans_came_is_one_deploy(store: Store, journal: Any, ship: Any) -> None:
    def deploy(version: str, source: str, change: Change = "deploy") -> Deploy:
        return Deploy(
            ts=NOW, source=source, fact_id=f"{source}:{version}", service="shop", version=version, change=change
        )

    journal.append_many([deploy("1", "otlp"), deploy("2", "otlp"), deploy("3", "otlp"), deploy("3", "api", "rollback")])
    journal.append_many([deploy("2", "api")])
    ship()
    rows = store.rows("SELECT toString(version) AS version, toString(source) AS source FROM deploy_current")
    assert sorted((row["version"], row["source"]) for row in rows) == [
        ("1", "otlp"),
        ("2", "api"),
        ("3", "api"),
        ("3", "otlp"),
    ]
    [counted] = store.rows("SELECT count() AS n FROM deploy_as_of(as_of=0)")
    assert counted["n"] == 0
