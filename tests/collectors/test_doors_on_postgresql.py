"""Lives of postbacks and deliveries of webhooks with PostgreSQL as the control database, from several processes at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.control.engine import open_control
from tests.collectors.internet import open_internet, secret_file, signature
from tests.postgresql import postgresql

CLICK = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def nodes(server: str, tmp_path: Path) -> Iterator[list[Engine]]:
    """Two nodes that share the database."""
    engines = [open_control(server, tmp_path) for _ in range(2)]
    yield engines
    for engine in engines:
        engine.dispose()


def test_steps_taken_at_once_on_two_nodes_are_all_taken_once(
    nodes: list[Engine], journal: Any, clock: Any, tmp_path: Path, journaled: Any
) -> None:
    senders = {"senders": [{"key": "network", "currency": "EUR", "duplicates": "add"}]}
    generic = {"connections": [{"name": "shop", "webhook_secret_file": secret_file(tmp_path)}]}
    doors = [open_internet(journal, node, clock=clock, postback=senders, generic=generic) for node in nodes]
    key = doors[0].keys.add("network", scopes=["postback"])
    body = json.dumps({"conversion_id": "1", "type": "lead", "ts": "2026-09-21T14:10:00Z"}).encode()
    at_s = clock.now // 1000
    signed = {"x_clicktrace_timestamp": str(at_s), "x_clicktrace_signature": signature(body, at_s=at_s)}

    def send(number: int) -> tuple[str, int]:
        door = doors[number % 2]
        # Half of them say the same again: a transaction counts once.
        paid = door.postback(key, click_id=CLICK, payout="1", txid=f"t{number // 2}")
        return paid.json()["result"], door.call("shop", body, **signed).status_code

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(send, range(16)))
    assert sorted(result for result, _ in said) == ["added"] * 7 + ["created"] + ["ignored"] * 8
    assert sorted(status for _, status in said) == [200] + [409] * 15
    payouts = [record.value_micros for record in journaled() if record.conversion_id == CLICK]
    assert max(payouts) == 8_000_000
    assert len(payouts) == 8
    assert len([record for record in journaled() if record.conversion_id == "1"]) == 1
