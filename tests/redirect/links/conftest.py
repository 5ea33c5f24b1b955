"""The real application with the links API on a real control database, and keys that see all or some clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app.auth import KeyAuthorization, KeyRing
from app.cli.links import app as commands
from app.http import build_app
from redirect.links.api import build_router
from redirect.links.store import LinkStore

from ..live_worker import listening_socket

MAX_BODY = 2**20
SIGNING_KEY = b"k" * 32


class Keys:
    """Headers of keys that are made when they are first asked for."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._made: dict[str, dict[str, str]] = {}

    def of(self, name: str, *clients: str, scope: str = "links") -> dict[str, str]:
        if name not in self._made:
            self._made[name] = {"Authorization": f"Bearer {self._ring.add(name, scopes=(scope,), clients=clients)}"}
        return self._made[name]


@pytest.fixture
def keys(control: Engine) -> Keys:
    return Keys(KeyRing(control))


@pytest.fixture
def store(control: Engine) -> LinkStore:
    return LinkStore(control, allowed_destinations=["shop.example"], base_url="https://go.example")


@pytest.fixture
def served(control: Engine, store: LinkStore) -> FastAPI:
    router = build_router(store, authorize=KeyAuthorization(KeyRing(control)), signing_key=SIGNING_KEY)
    return build_app([router], max_body_bytes=MAX_BODY)


@pytest.fixture
def command(
    served: FastAPI, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Run `clicktrace links …` against the application, which really listens."""
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    sock = listening_socket()
    server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    key = keys.of("eva")["Authorization"].removeprefix("Bearer ")
    environment = {
        "CLICKTRACE_URL": f"http://127.0.0.1:{sock.getsockname()[1]}", "CLICKTRACE_KEY": key, "COLUMNS": "200",
    }  # fmt: skip
    yield lambda *arguments: CliRunner().invoke(commands, arguments, env=environment)
    server.should_exit = True
    thread.join(10)
    sock.close()


@pytest.fixture
def api(served: FastAPI, keys: Keys) -> Iterator[TestClient]:
    with TestClient(served, headers=keys.of("eva"), base_url="http://localhost/api/v1/links") as client:
        yield client
