"""The collectors' doors inside a real FastAPI app, with the real keys and the real journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyAuthorization, KeyRing
from app.problems import install
from collectors.config import OtlpConfig, PushConfig
from collectors.otlp import api as otlp_api
from collectors.otlp.receiver import Receiver
from collectors.push import api as push_api
from collectors.versions import Versions
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Record
from core.store.client import Store

Journaled = Callable[[], list[Record]]


@pytest.fixture
def journaled(journal_dir: Path) -> Journaled:
    """All records in the journal, in order."""
    return lambda: [line.record for segment in list_segments(journal_dir) for line in iter_lines(segment.path)]


class Doors:
    """A running app; `key` and `tenant_key` may ingest, `reader_key` may not."""

    def __init__(self, client: TestClient, keys: KeyRing, receiver: Receiver, known_clicks: dict[str, bool]) -> None:
        self.client = client
        self.receiver = receiver
        self.known_clicks = known_clicks
        self.key = keys.add("all", scopes=["ingest"])
        self.tenant_key = keys.add("tenant", scopes=["ingest"], clients=["acme"])
        self.two_tenants_key = keys.add("two", scopes=["ingest"], clients=["acme", "zenith"])
        self.reader_key = keys.add("reader", scopes=["read"])

    def post(self, path: str, content: bytes, *, key: str | None = None, **headers: str):  # type: ignore[no-untyped-def]  # httpx.Response
        bearer = {"authorization": f"Bearer {self.key if key is None else key}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=content, headers=bearer | named)


@pytest.fixture
def push_config() -> PushConfig:
    return PushConfig(max_body_bytes=100_000, max_items=500)


@pytest.fixture
def otlp_config() -> OtlpConfig:
    return OtlpConfig(max_body_bytes=200_000, max_decompressed_bytes=1_000_000, queue_max_spans=1_000)


def build_doors(
    *, journal: JournalWriter, control: Engine, clock, store: Store | None, push: PushConfig, otlp: OtlpConfig
) -> Iterator[Doors]:  # type: ignore[no-untyped-def]
    keys = KeyRing(control)
    authorize = KeyAuthorization(keys)
    known_clicks: dict[str, bool] = {}
    receiver = Receiver(
        journal,
        lambda ids, since=0: {click: known_clicks[click] for click in ids if click in known_clicks},
        config=otlp,
        clock=clock,
    )
    app = FastAPI()
    install(app)
    client_of = {("google", "1"): "acme", ("google", "2"): "zenith"}.get
    app.include_router(
        push_api.build_router(
            journal,
            authorize=authorize,
            versions=Versions(store, clock=clock),
            client_of=lambda platform, account: client_of((platform, account), ""),
            config=push,
            clock=clock,
        )
    )
    app.include_router(otlp_api.build_router(receiver, authorize=authorize, config=otlp, clock=clock))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Doors(client, keys, receiver, known_clicks)


@pytest.fixture
def doors(journal, control, clock, push_config, otlp_config) -> Iterator[Doors]:  # type: ignore[no-untyped-def]
    """Without a store: the memory of recent facts alone."""
    yield from build_doors(
        journal=journal, control=control, clock=clock, store=None, push=push_config, otlp=otlp_config
    )


@pytest.fixture
def doors_with_store(journal, control, clock, store, push_config, otlp_config) -> Iterator[Doors]:  # type: ignore[no-untyped-def]
    yield from build_doors(
        journal=journal, control=control, clock=clock, store=store, push=push_config, otlp=otlp_config
    )
