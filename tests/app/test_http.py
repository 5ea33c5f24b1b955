from __future__ import annotations

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from app.http import PublicOnly, build_app, is_public
from core.errors import Conflict, JournalError, NotFound, QuotaExceeded, StoreError, Transient


def failing_router() -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    errors = {
        "missing": NotFound("unknown_link", "there is no link x"),
        "taken": Conflict("link_exists", "x is taken"),
        "store": StoreError("the engine did not answer"),
        "journal": JournalError("the disk is full"),
        "outside": Transient("google_ads:1", "timed out"),
        "quota": QuotaExceeded("google_ads:1", "too many calls", retry_after_s=30),
        "bug": RuntimeError("password=hunter2"),
    }

    @router.get("/fail/{name}")
    def fail(name: str) -> None:
        raise errors[name]

    @router.get("/count/{number}", summary="Counts")
    def count(number: int) -> int:
        return number

    return router


@pytest.fixture
def api() -> TestClient:
    return TestClient(build_app([failing_router()], max_body_bytes=1000), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("missing", 404, "unknown_link"),
        ("taken", 409, "link_exists"),
        ("store", 503, "store_unavailable"),
        ("journal", 503, "journal_unavailable"),
        ("outside", 502, "source_unavailable"),
        ("quota", 502, "source_unavailable"),
        ("bug", 500, "internal_error"),
    ],
)
def test_every_error_is_a_problem_with_its_reason(api: TestClient, name: str, status: int, reason: str) -> None:
    answer = api.get(f"/api/v1/fail/{name}")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "reason"}


def test_an_unexpected_error_tells_nothing_of_its_inside(api: TestClient) -> None:
    assert "hunter2" not in api.get("/api/v1/fail/bug").text


def test_a_spent_quota_says_when_to_come_back(api: TestClient) -> None:
    assert api.get("/api/v1/fail/quota").headers["retry-after"] == "30"


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("POST", "/api/v1/count/1", 405, "method_not_allowed"),
        ("GET", "/api/v1/count/x", 422, "invalid_request"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(
    api: TestClient, method: str, path: str, status: int, reason: str
) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


def test_the_documentation_needs_nothing_from_elsewhere(api: TestClient) -> None:
    page = api.get("/docs")
    assert "/api/v1/count/{number}" in page.text
    assert "Counts" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


@pytest.mark.parametrize("path", ["/api/v1/postback", "/api/v1/hooks/github", "/approve/abc"])
def test_the_public_listener_exposes_postbacks_hooks_and_approvals(path: str) -> None:
    assert is_public(path)


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/api/v1/links", "/api/v1/postbacks", "/api/v1/hooks", "/approve", "/sign-in", "/docs",
     "/approve/../api/v1/links", "//approve/x", "/api/v1/hooks//../links"],
)  # fmt: skip
def test_the_public_listener_exposes_nothing_else(path: str) -> None:
    assert not is_public(path)


def test_the_public_listener_answers_404_for_the_rest() -> None:
    public = TestClient(PublicOnly(build_app([failing_router()], max_body_bytes=1000)))
    assert public.get("/api/v1/count/1").status_code == 404
