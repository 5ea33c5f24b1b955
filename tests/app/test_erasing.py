"""/api/v1/erasures: for administrators of all clients, and no answer repeats whom it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyAuthorization, KeyRing
from app.erasing import build_router
from app.http import build_app
from core.erasure.eraser import Eraser
from core.journal.writer import JournalWriter
from core.schedule import Periodic
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.erasure.people import ANNA, HOUR, annas, bens


@pytest.fixture
def api(
    store: Store, control: Engine, journal_dir: Path, journal: JournalWriter, ship: Ship, clock: FakeClock
) -> Iterator[tuple[TestClient, KeyRing, Eraser]]:
    eraser = Eraser(store, control, journal_dir, journal, node="here", paused=ship.shipper.paused, clock=clock)
    keys = KeyRing(control)
    erasing = SimpleNamespace(eraser=eraser, loop=Periodic("erasure", eraser.run_once, interval_s=3600))
    router = build_router(erasing, SimpleNamespace(ship_now=ship), authorize=KeyAuthorization(keys))  # type: ignore[arg-type] # what it asks of them
    with TestClient(build_app([router], max_body_bytes=1000)) as client:
        yield client, keys, eraser


def test_an_administrator_erases_and_reads_what_was_done(
    api: tuple[TestClient, KeyRing, Eraser], journal: JournalWriter, clock: FakeClock, store: Store
) -> None:
    client, keys, eraser = api
    client.headers["Authorization"] = f"Bearer {keys.add('dpo', scopes=['admin'])}"
    clock.advance(5 * HOUR)
    journal.append_many([*annas(), *bens()])
    dry = client.post("/api/v1/erasures", json={"visitor_id": ANNA, "dry_run": True})
    assert (dry.status_code, dry.json()["store_rows"]["click"]) == (202, 3)
    assert client.get("/api/v1/erasures").json() == {"erasures": []}

    asked = client.post("/api/v1/erasures", json={"visitor_id": ANNA})
    assert (asked.status_code, asked.json()["state"], asked.json()["by"]) == (202, "erasing", "dpo")
    eraser.run_once()
    journal.close()
    told = client.get(f"/api/v1/erasures/{asked.json()['erasure_id']}")
    assert (told.json()["state"], told.json()["nodes"][0]["segments_waiting"]) == ("waiting", 1)
    assert store.rows("SELECT count() AS n FROM click") == [{"n": 2}]
    assert client.get("/api/v1/erasures").json()["erasures"] == [told.json()]
    assert ANNA not in dry.text + asked.text + told.text
    assert client.get("/api/v1/erasures/none").status_code == 404


def test_nobody_else_may_and_nobody_is_erased_by_half_a_question(api: tuple[TestClient, KeyRing, Eraser]) -> None:
    client, keys, eraser = api
    allowed = {"Authorization": f"Bearer {keys.add('dpo', scopes=['admin'])}"}
    body = {"visitor_id": ANNA}
    assert client.post("/api/v1/erasures", json=body).status_code == 401
    for name, scopes, clients in (("reader", ["read", "approve"], []), ("acme", ["admin"], ["acme"])):
        key = {"Authorization": f"Bearer {keys.add(name, scopes=scopes, clients=clients)}"}
        refused = client.post("/api/v1/erasures", json=body, headers=key)
        assert (refused.status_code, refused.json()["reason"]) == (403, "missing_scope")
        assert client.get("/api/v1/erasures", headers=key).status_code == 403
    for wrong, reason in (
        ({}, "bad_body"),
        ({**body, "order_id": "1"}, "bad_body"),
        ({"visitor_id": 1}, "bad_body"),
        ({"name": "Anna"}, "unknown_subject"),
        ({"visitor_id": "Anna"}, "bad_value"),
    ):
        refused = client.post("/api/v1/erasures", json=wrong, headers=allowed)
        assert (refused.status_code, refused.json()["reason"]) == (422, reason)
        assert "Anna" not in refused.text
    assert eraser.audit.all() == []
