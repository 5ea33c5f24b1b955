"""Every route of the links API under generated requests, good and bad: no 5xx, and nothing that the OpenAPI document does not say.

`LINKS_API_EXAMPLES` is the number of requests for each route (`make test-long PART=redirect` asks for more).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_asgi
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import create_engine

from app.auth import KeyAuthorization, KeyRing
from app.http import build_app
from core.control.engine import open_control
from core.destinations import AllowList
from core.records import Check
from redirect.links.api import build_router
from redirect.links.store import LinkStore
from redirect.watch.api import build_router as build_watch_router
from redirect.watch.check import Observation
from redirect.watch.config import WatchConfig
from redirect.watch.prober import Prober

from .conftest import MAX_BODY, SIGNING_KEY, Keys

EXAMPLES = int(os.environ.get("LINKS_API_EXAMPLES", "8"))
CHECKED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SPRING = {"slug": "spring", "destination": "https://shop.example/p", "tags": ["a"]}


class Nothing:
    """A journal and a store that keep nothing."""

    def append(self, _record: Check) -> None: ...

    def rows(self, _sql: str, _params: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        return []


async def look(url: str) -> Observation:
    return Observation(url=url, statuses=(200,), final_url=url, click_id_survived=True)


def application(engine: Any) -> FastAPI:
    """Everything below `/api/v1/links`, the watch included; nobody is visited."""
    store = LinkStore(engine, allowed_destinations=["shop.example"], base_url="https://go.example")
    authorize = KeyAuthorization(KeyRing(engine))
    links = build_router(store, authorize=authorize, signing_key=SIGNING_KEY)
    allowed = AllowList(["shop.example"])
    prober = Prober(engine, Nothing(), look, config=WatchConfig(retry_s=0, host_pause_s=0), allowed=allowed)
    watch = build_watch_router(store, prober, Nothing(), authorize=authorize)
    return build_app([links, watch], max_body_bytes=MAX_BODY)


#: (path, method) of every route, from an application that is never asked anything.
ROUTES = [
    (path, method)
    for path, operations in application(create_engine("sqlite://")).openapi()["paths"].items()
    for method in operations
    if path.startswith(("/api/v1/links", "/api/v1/destinations"))
]


class Served:
    """The API with one link, and what its document says."""

    def __init__(self, schema: BaseSchema, headers: dict[str, str]) -> None:
        self.schema = schema
        self.headers = headers


@pytest.fixture(scope="module")
def served_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine = open_control("", tmp_path_factory.mktemp("fuzzed"))
    served = application(engine)
    headers = Keys(KeyRing(engine)).of("eva")
    TestClient(served).post("/api/v1/links", json=SPRING, headers=headers)
    yield Served(from_asgi("/openapi.json", served), headers)
    engine.dispose()


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_whatever_is_asked_is_answered_as_documented(served_once: Served, path: str, method: str) -> None:
    operation = served_once.schema[path][method]
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @given(case=st.one_of(good, bad), there=st.booleans())
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Case, there: bool) -> None:
        if there and "name" in case.path_parameters:
            case.path_parameters["name"] = "spring"
        answer = case.call_and_validate(headers=served_once.headers, checks=CHECKED)
        if answer.status_code >= 400:
            problem = answer.json()
            assert problem["reason"] not in ("", "http_error")
            assert problem["detail"]

    ask()


def test_every_route_of_the_api_is_tried() -> None:
    assert len(ROUTES) >= 19
    assert ("/api/v1/links/{name}/checks", "post") in ROUTES
    assert ("/api/v1/links/bulk", "post") in ROUTES
