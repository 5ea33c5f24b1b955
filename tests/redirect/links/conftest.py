"""The real application with the links API on a real control database, and keys that see all or some clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyAuthorization, KeyRing
from app.http import build_app
from redirect.links.api import build_router
from redirect.links.store import LinkStore

MAX_BODY = 2**20


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
    router = build_router(store, authorize=KeyAuthorization(KeyRing(control)))
    return build_app([router], max_body_bytes=MAX_BODY)


@pytest.fixture
def api(served: FastAPI, keys: Keys) -> Iterator[TestClient]:
    with TestClient(served, headers=keys.of("eva"), base_url="http://localhost/api/v1/links") as client:
        yield client
