from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyRing
from app.sessions import LINK_LIFETIME_MS, Sessions
from app.sign_in import ConsoleGuard, build_router, local_path
from core.clock import HOUR_MS

if TYPE_CHECKING:
    from ..conftest import FakeClock


@pytest.fixture
def sessions(control: Engine, keys: KeyRing, clock: FakeClock) -> Sessions:
    keys.add("ada", scopes=["read", "approve"])
    return Sessions(control, keys, hours=12, clock=clock)


@pytest.fixture
def browser(keys: KeyRing, sessions: Sessions) -> TestClient:
    app = FastAPI()
    app.include_router(build_router(keys, sessions, secure=False))

    @app.get("/")
    @app.get("/incidents/x")
    def page(request: Request) -> str:
        return str(request.state.principal.name)

    app.add_middleware(ConsoleGuard, sessions=sessions)
    return TestClient(app, follow_redirects=False)


def test_a_cookie_signs_in_as_the_holder_of_its_key(sessions: Sessions) -> None:
    principal = sessions.check(sessions.issue("ada"))
    assert principal is not None
    assert (principal.name, principal.scopes) == ("ada", frozenset({"read", "approve"}))


@pytest.mark.parametrize("forged", ["", "x", "x.y", "YWRhfDk5OTk5OTk5OTk5OTk.00", "é.é"])
def test_a_forged_cookie_signs_nobody_in(sessions: Sessions, forged: str) -> None:
    assert sessions.check(forged) is None


def test_a_cookie_ends_by_itself(sessions: Sessions, clock: FakeClock) -> None:
    cookie = sessions.issue("ada")
    clock.advance(12 * HOUR_MS)
    assert sessions.check(cookie) is None


def test_revoking_the_key_ends_its_sessions(sessions: Sessions, keys: KeyRing) -> None:
    cookie = sessions.issue("ada")
    keys.revoke("ada")
    assert sessions.check(cookie) is None


def test_sessions_survive_a_restart(sessions: Sessions, control: Engine, keys: KeyRing, clock: FakeClock) -> None:
    cookie = sessions.issue("ada")
    assert Sessions(control, keys, clock=clock).check(cookie) is not None


def test_a_link_signs_in_once(sessions: Sessions) -> None:
    token = sessions.one_time_token("ada")
    first = sessions.redeem(token)
    assert first is not None
    assert first.name == "ada"
    assert sessions.redeem(token) is None


def test_a_link_expires_unused(sessions: Sessions, clock: FakeClock) -> None:
    token = sessions.one_time_token("ada")
    clock.advance(LINK_LIFETIME_MS)
    assert sessions.redeem(token) is None


def test_a_page_without_a_session_sends_to_the_sign_in_and_back(browser: TestClient, keys: KeyRing) -> None:
    key = keys.add("eve", scopes=["read"])
    answer = browser.get("/incidents/x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/incidents/x")
    answer = browser.post("/sign-in", data={"key": key, "next": "/incidents/x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/incidents/x")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert browser.get("/incidents/x").json() == "eve"


def test_a_wrong_key_is_told_and_sets_no_cookie(browser: TestClient) -> None:
    answer = browser.post("/sign-in", data={"key": "ct_no"})
    assert answer.status_code == 401
    assert "unknown or revoked" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_key_that_only_sends_data_in_does_not_open_the_console(browser: TestClient, keys: KeyRing) -> None:
    key = keys.add("shop", scopes=["ingest"])
    answer = browser.post("/sign-in", data={"key": key})
    assert answer.status_code == 403
    assert "lacks the scope read" in answer.text
    assert browser.get("/").status_code == 303


def test_a_one_time_link_opens_the_console(browser: TestClient, sessions: Sessions) -> None:
    token = sessions.one_time_token("ada")
    assert browser.get(f"/sign-in?token={token}").headers["location"] == "/"
    assert browser.get("/").json() == "ada"
    browser.cookies.clear()
    assert browser.get(f"/sign-in?token={token}").status_code == 401


def test_signing_out_ends_the_session_in_this_browser(browser: TestClient, sessions: Sessions) -> None:
    browser.get(f"/sign-in?token={sessions.one_time_token('ada')}")
    browser.get("/sign-out")
    assert browser.get("/").status_code == 303


def test_the_sign_in_page_runs_no_script(browser: TestClient) -> None:
    answer = browser.get("/sign-in", params={"next": '"><script>alert(1)</script>'})
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_a_sign_in_never_leads_to_another_site(target: str) -> None:
    assert local_path(target) == "/"
