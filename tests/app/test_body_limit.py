from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from app import problems
from app.body_limit import BodyLimit


@pytest.fixture
def api() -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.post("/parsed")
    def parsed(items: list[int]) -> int:
        return len(items)

    app.add_middleware(BodyLimit, max_bytes=100)
    return TestClient(app)


def in_chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 10):
        yield b"1,2,3,4,5,"


@pytest.mark.parametrize("path", ["/raw", "/parsed"])
def test_a_body_over_the_limit_is_refused_when_announced(api: TestClient, path: str) -> None:
    answer = api.post(path, content=b"[" + b"1," * 60 + b"1]", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/raw", "/parsed"])
def test_a_body_that_grows_over_the_limit_is_refused_too(api: TestClient, path: str) -> None:
    answer = api.post(path, content=in_chunks(200), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")


def test_a_body_within_the_limit_passes(api: TestClient) -> None:
    assert api.post("/raw", content=in_chunks(100)).json() == 100
