"""What a flood of spans that nobody paid for may cost: bounded in questions to the store, in memory, and in journal lines."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.bench.span_load import MIXES, Mix, template
from collectors.config import OtlpConfig
from collectors.otlp import protobuf
from collectors.otlp.membership import BARE_LOOKUPS, BARE_SINCE_MS, NAMED_LOOKUPS
from collectors.otlp.receiver import Receiver
from collectors.otlp.signals import Batch, SpanData
from core.clock import DAY_MS
from core.identity import root_span_id
from core.records import Service, Span
from core.store.client import Store
from tests.collectors.test_otlp import CLICK, NOW, NS


def span(trace: int, *, number: int = 1, parent: str = "", kind: int = 1, **attributes: str) -> SpanData:
    return SpanData(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        parent_span_id=parent,
        trace_state="",
        name="work",
        kind=kind,
        start_ns=(NOW - 10) * NS,
        end_ns=NOW * NS,
        status=0,
        error="",
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
        service="shop",
        version="1.0",
    )


class Clicks:
    """A lookup that remembers what it was asked for."""

    def __init__(self) -> None:
        self.paid: set[str] = set()
        self.asked: list[tuple[int, int]] = []  # how many, since when

    def __call__(self, click_ids: Sequence[str], *, since: int = 0) -> Mapping[str, bool]:
        self.asked.append((len(click_ids), since))
        return {click_id: True for click_id in click_ids if click_id in self.paid}

    def ids_asked(self, *, since: int) -> int:
        return sum(count for count, from_when in self.asked if from_when == since)


@pytest.fixture
def clicks() -> Clicks:
    return Clicks()


@pytest.fixture
def receiver(journal: Any, clicks: Clicks, clock: Any) -> Receiver:
    clock.now = NOW
    return Receiver(journal, clicks, config=OtlpConfig(max_routes=20), clock=clock)


def take(receiver: Receiver, *spans: SpanData, now: int = NOW) -> None:
    assert receiver.offer(Batch(spans=list(spans), rejected={}))
    receiver.flush(now)


def kept(journaled: Any) -> set[str]:
    return {record.trace_id for record in journaled() if isinstance(record, Span)}


def test_traces_that_name_no_click_are_asked_for_up_to_a_number_among_recent_clicks(
    receiver: Receiver, clicks: Clicks
) -> None:
    take(receiver, *(span(trace) for trace in range(1, 3 * BARE_LOOKUPS)))
    assert clicks.asked == [(BARE_LOOKUPS, NOW - BARE_SINCE_MS)]
    clicks.asked.clear()
    receiver.flush(NOW + 1_000)
    assert clicks.asked == [], "not a second time at once"
    receiver.flush(NOW + 2_000)
    assert clicks.ids_asked(since=NOW + 2_000 - BARE_SINCE_MS) == BARE_LOOKUPS


def test_new_traces_go_before_those_that_had_their_turn(receiver: Receiver, clicks: Clicks, journaled: Any) -> None:
    take(receiver, *(span(trace) for trace in range(1, 3 * BARE_LOOKUPS)))
    fresh = 10**6
    clicks.paid.add(f"{fresh:032x}")
    take(receiver, span(fresh), now=NOW + 2_000)
    assert kept(journaled) == {f"{fresh:032x}"}


def test_traces_that_name_a_click_are_all_asked_for_within_a_few_flushes(
    receiver: Receiver, clicks: Clicks, journaled: Any
) -> None:
    named = {f"{n + 10**9:032x}" for n in range(NAMED_LOOKUPS + 500)}
    clicks.paid |= named
    take(receiver, *(span(n + 1, clicktrace__click_id=f"{n + 10**9:032x}") for n in range(NAMED_LOOKUPS + 500)))
    assert len(kept(journaled)) == NAMED_LOOKUPS
    receiver.flush(NOW + 1_000)
    assert len(kept(journaled)) == NAMED_LOOKUPS + 500
    assert {since for _, since in clicks.asked} == {0}, "however old the click is"


def test_a_child_of_a_clicks_root_span_names_it_however_old_it_is(
    receiver: Receiver, clicks: Clicks, journaled: Any
) -> None:
    trace_id = f"{7:032x}"
    clicks.paid.add(trace_id)
    take(receiver, span(7, parent=root_span_id(trace_id)), span(8, parent="1" * 16))
    assert (1, 0) in clicks.asked
    assert kept(journaled) == {trace_id}


def test_a_platform_id_decides_without_a_question(receiver: Receiver, clicks: Clicks, journaled: Any) -> None:
    take(receiver, span(1, url__query="gclid=abc"), span(1, number=2))
    assert clicks.asked == []
    assert kept(journaled) == {f"{1:032x}"}


def test_old_clicks_are_found_by_name_and_not_by_a_bare_trace_id(store: Store, journal: Any, ship: Any) -> None:
    from collectors.otlp.click_lookup import StoreClicks
    from core.records import Click

    click = Click(
        ts=NOW, source="redirect", click_id=CLICK, hit_id="1" * 16, link_id="l", link_version=1, slug="s", domain="d",
        http_status=302, reason="ok", duration_us=1, platform_ids={"gclid": "x"},
    )  # fmt: skip
    journal.append_many([click])
    ship()
    known_at = int(store.rows("SELECT toUnixTimestamp64Milli(max(known_at)) AS at FROM click")[0]["at"])
    found = StoreClicks(store)
    assert found([CLICK]) == {CLICK: True}
    assert found([CLICK], since=known_at) == {CLICK: True}
    assert found([CLICK], since=known_at + DAY_MS) == {}


def test_what_is_held_is_bounded_in_bytes_and_the_oldest_go_first(journal: Any, clicks: Clicks, journaled: Any) -> None:
    receiver = Receiver(journal, clicks, config=OtlpConfig(held_max_bytes=20_000), clock=lambda: NOW)
    for trace in range(1, 100):
        take(receiver, span(trace, url__path="/" + "x" * 400))
    assert 0 < receiver._traces.held_bytes <= 20_000
    clicks.paid |= {f"{trace:032x}" for trace in range(1, 100)}
    receiver.flush(NOW + 2_000)
    traces = sorted(int(trace, 16) for trace in kept(journaled))
    assert traces == list(range(100 - len(traces), 100))
    assert receiver._traces.held_bytes == 0


def test_a_held_span_is_kept_later_as_if_it_had_been_decided_at_once(
    receiver: Receiver, clicks: Clicks, journaled: Any
) -> None:
    attributes = {"url__path": "/p", "http__route": "/p/{id}", "http__response__status_code": "503"}
    take(receiver, span(1, kind=2, **attributes))
    clicks.paid.add(f"{1:032x}")
    receiver.flush(NOW + 2_000)
    take(receiver, span(1, number=2, kind=2, **attributes), now=NOW + 3_000)
    held, direct = [record for record in journaled() if isinstance(record, Span)]
    assert held.span_id != direct.span_id
    assert (held.route, held.http_status, held.attributes) == ("/p/{id}", 503, {"url.path": "/p"})
    assert held == Span(**{n: getattr(direct, n) for n in direct.__struct_fields__} | {"span_id": held.span_id})


def test_after_the_hold_nothing_of_unpaid_traffic_is_left(receiver: Receiver) -> None:
    for second in range(130):
        now = NOW + second * 1000
        if second < 60:
            take(receiver, *(span(second * 100 + n + 1) for n in range(50)), now=now)
        else:
            receiver.flush(now)
    traces = receiver._traces
    assert (traces.held, traces.held_bytes, len(traces._traces)) == (0, 0, 0)
    assert [len(queue) for queue in traces._turns] == [0] * len(traces._turns)


def test_made_up_services_end_in_one_bucket_like_made_up_routes(receiver: Receiver, journaled: Any) -> None:
    spans = [span(n + 1, kind=2) for n in range(200)]
    for number, one in enumerate(spans):
        one.service = f"made-up-{number}"
    take(receiver, *spans)
    minutes = [record for record in journaled() if isinstance(record, Service)]
    assert len(minutes) <= 2 * 20 + 1
    assert sum(minute.requests for minute in minutes) == 200
    assert [minute.requests for minute in minutes if minute.service == "(other)"] == [160]


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.name)
def test_the_bench_sends_new_traffic_with_every_copy(mix: Mix) -> None:
    batch = template(mix, now=NOW)
    copies = [zlib.decompress(batch.copy(number), wbits=31) for number in (1, 2)]
    decoded = [protobuf.decode_traces(body).spans for body in copies]
    assert [len(spans) for spans in decoded] == [batch.spans] * 2
    first, second = ({one.trace_id for one in spans} for spans in decoded)
    assert len(first) == mix.traces
    assert not first & second
    assert sum(one.kind == 2 for one in decoded[0]) == batch.requests
    assert ExportTraceServiceRequest.FromString(copies[0]) != ExportTraceServiceRequest.FromString(copies[1])


@pytest.mark.parametrize(("after_s", "kept_then"), [(58, {1, 2}), (61, {2})])
def test_a_span_waits_a_minute_for_a_sibling_that_names_its_click_and_no_longer(
    receiver: Receiver, journaled: Any, after_s: int, kept_then: set[int]
) -> None:
    take(receiver, span(1))
    for second in range(1, after_s):
        receiver.flush(NOW + second * 1000)
    take(receiver, span(1, number=2, url__query="gclid=abc"), now=NOW + after_s * 1000)
    receiver.flush(NOW + after_s * 1000 + 1000)
    assert {int(record.span_id, 16) for record in journaled() if isinstance(record, Span)} == kept_then
