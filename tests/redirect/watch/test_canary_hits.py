"""A canary takes the way of a click and counts as none: real worker, real journal, real store."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from core.clock import now_ms
from core.store.client import Store
from redirect.canary_mark import HEADER, VALID_MS, is_valid, mark
from redirect.privacy import Networks
from redirect.salts import Salts

from ..live_worker import ProcessWorker, Reply, ThreadWorker, link

if TYPE_CHECKING:
    from ...conftest import Ship

NOW = 1_790_000_000_000
OURS = Networks(b"s" * 32)
PAGE_VIEW = b'{"click":"%b","events":[{"name":"page_view"}]}'


def mark_of(worker: ProcessWorker | ThreadWorker) -> str:
    now = now_ms()
    return mark(Networks(Salts(worker.control).refresh(now)), nonce="n1", now=now)


def get(worker: ProcessWorker | ThreadWorker, target: str, marked: str = "") -> Reply:
    headers = {HEADER.replace("-", "_"): marked} if marked else {}
    return worker.get(target, User_Agent="Mozilla/5.0", Accept="text/html", **headers)


def test_a_mark_is_ours_for_a_minute() -> None:
    made = mark(OURS, nonce="abc", now=NOW).encode()
    assert is_valid(made, OURS, now=NOW)
    assert is_valid(made, OURS, now=NOW + VALID_MS)
    assert is_valid(made, OURS, now=NOW - VALID_MS), "clocks of two machines differ"
    assert not is_valid(made, OURS, now=NOW + VALID_MS + 1)
    assert not is_valid(made, Networks(b"t" * 32), now=NOW)


@pytest.mark.parametrize(
    "forged",
    [
        b"x",
        b"..",
        b"1790000000000.abc.",
        b"1790000000000.abc.0000000000000000",
        b"\xff\xfe",
        b"9" * 5_000,
        mark(OURS, nonce="abc", now=NOW).replace("abc", "abd").encode(),
        mark(OURS, nonce="abc", now=NOW).replace("1790000000000", "1790000000001").encode(),
        f"{NOW}.{OURS.hash(f'{NOW}')}".encode(),
    ],
)
def test_a_forged_mark_is_none(forged: bytes) -> None:
    assert not is_valid(forged, OURS, now=NOW)


def test_without_a_salt_nothing_is_marked_and_nothing_is_believed() -> None:
    assert mark(Networks(), nonce="abc", now=NOW) == ""
    assert not is_valid(f"{NOW}.abc.".encode(), Networks(), now=NOW)


def test_a_marked_hit_is_answered_like_any_and_journaled_as_a_canary(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link(campaign="google:1:2"))
    reply = get(worker, "/spring", mark_of(worker))
    assert reply.status == 302
    click_id = reply.location.rpartition("ct_click=")[2]
    headers = {HEADER.replace("-", "_"): mark_of(worker)}
    sent = worker.connect().request("POST", "/ct/e", body=PAGE_VIEW % click_id.encode(), **headers)
    assert sent.status == 204
    assert worker.lines("click") == worker.lines("touch") == []
    hit, touch = worker.lines("canary")
    assert (hit["step"], hit["slug"], hit["http_status"], hit["reason"]) == ("click", "spring", 302, "redirected")
    assert (touch["step"], touch["click_id"], hit["click_id"]) == ("touch", click_id, click_id)
    assert not {"campaign", "visitor_id", "network", "user_agent"} & set(hit)


def test_a_wrong_mark_is_refused_and_is_no_click(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link())
    for target in ("/spring", "/nowhere", "/ct.js"):
        reply = get(worker, target, "1790000000000.abc.0123456789abcdef")
        assert (reply.status, reply.json()["reason"]) == (403, "canary_refused")
    assert worker.lines("click") == worker.lines("canary") == []


def test_the_mark_does_not_reach_the_destination_and_does_not_stick_to_the_connection(
    start_worker: Callable[..., ThreadWorker],
) -> None:
    worker = start_worker(link())
    client = worker.connect()
    first = client.get("/spring", **{HEADER.replace("-", "_"): mark_of(worker)})
    second = client.get("/spring", User_Agent="Mozilla/5.0", Accept="text/html")
    assert (first.status, second.status) == (302, 302)
    assert HEADER.lower() not in first.location.lower()
    assert (len(worker.lines("canary")), len(worker.lines("click"))) == (1, 1)


def test_canaries_move_no_count_of_clicks_touches_or_visitors(
    start_process: Callable[..., ProcessWorker], store: Store, ship: Ship
) -> None:
    process = start_process(link(campaign="google:1:2", client="acme"))
    clicked = get(process, "/spring").location.rpartition("ct_click=")[2]
    process.connect().request("POST", "/ct/e", body=PAGE_VIEW % clicked.encode())
    for _ in range(5):
        marked = mark_of(process)
        canary = get(process, "/spring", marked).location.rpartition("ct_click=")[2]
        headers = {HEADER.replace("-", "_"): marked}
        process.connect().request("POST", "/ct/e", body=PAGE_VIEW % canary.encode(), **headers)
    process.signal(signal.SIGTERM)
    process.process.join(10)
    assert ship().dead_letters == 0
    [counts] = store.rows(
        "SELECT (SELECT count() FROM click) AS clicks, (SELECT count() FROM touch) AS touches, (SELECT count() FROM canary) AS canaries,"
        " (SELECT uniqExact(click_id) FROM canary WHERE step = 'touch' AND click_id IN (SELECT click_id FROM canary WHERE step = 'click'))"
        " AS whole, (SELECT lower(hex(any(click_id))) FROM click) AS id"
    )
    assert counts == {"clicks": 1, "touches": 1, "canaries": 10, "whole": 5, "id": clicked}
    tables = store.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    for table in {str(row["name"]) for row in tables} - {"canary"}:
        columns = store.rows(
            f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{table}' AND name = 'click_id'"
        )
        if columns:
            found = store.rows(f"SELECT count() AS n FROM {table} WHERE click_id IN (SELECT click_id FROM canary)")
            assert found == [{"n": 0}], table


def test_nothing_but_the_watch_reads_the_canary_table() -> None:
    """The one query that reads it is the watch's own; a report that joined it would count our own clicks."""
    from pathlib import Path

    root = Path(__file__).parents[3]
    readers = [
        path.relative_to(root).as_posix()
        for folder in ("correlator", "alerts", "app", "grafana", "collectors", "core", "redirect")
        for path in (root / folder).rglob("*")
        if path.suffix in {".py", ".sql"} and "FROM canary" in path.read_text("utf-8")
    ]
    # The schema's view of the past is read by nobody: its name begins with the table's, so a reader would be found here.
    assert set(readers) <= {"redirect/watch/canary.py", "core/store/schema/0009_as_of.sql"}
