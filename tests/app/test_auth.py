from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from app import problems
from app.auth import CACHE_SECONDS, KeyAuthorization, KeyRing
from core.control.tables import api_keys
from core.errors import Conflict, Invalid, NotFound
from core.principal import SCOPES, Principal


@pytest.fixture
def api(keys: KeyRing) -> TestClient:
    app = FastAPI()
    problems.install(app)
    reader = Depends(KeyAuthorization(keys)("read"))

    @app.get("/read")
    def read(principal: Principal = reader) -> dict[str, object]:
        return {"name": principal.name, "clients": sorted(principal.clients)}

    return TestClient(app)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_opens_the_scopes_it_was_made_for(keys: KeyRing, api: TestClient) -> None:
    key = keys.add("reports", scopes=["read"], clients=["acme"])
    answer = api.get("/read", headers=bearer(key))
    assert answer.json() == {"name": "reports", "clients": ["acme"]}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_key"),
        ({"Authorization": "Basic YTpi"}, "missing_key"),
        ({"Authorization": "Bearer "}, "missing_key"),
        (bearer("ct_wrong"), "wrong_key"),
    ],
)
def test_no_key_or_a_wrong_one_is_unauthorized(api: TestClient, headers: dict[str, str], reason: str) -> None:
    answer = api.get("/read", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["reason"] == reason


def test_a_key_without_the_scope_is_forbidden(keys: KeyRing, api: TestClient) -> None:
    key = keys.add("shop", scopes=["ingest"])
    answer = api.get("/read", headers=bearer(key))
    assert (answer.status_code, answer.json()["reason"]) == (403, "missing_scope")


def test_the_scope_admin_includes_every_other(keys: KeyRing, api: TestClient) -> None:
    key = keys.add("root", scopes=["admin"])
    assert api.get("/read", headers=bearer(key)).status_code == 200


def test_a_revoked_key_ends_at_once_here_and_within_the_cache_time_elsewhere(control: Engine) -> None:
    at = [0.0]
    here, elsewhere = KeyRing(control), KeyRing(control, monotonic=lambda: at[0])
    key = here.add("shop", scopes=["ingest"])
    assert elsewhere.check(key) is not None
    here.revoke("shop")
    assert here.check(key) is None
    at[0] = CACHE_SECONDS + 0.1
    assert elsewhere.check(key) is None


def test_only_the_hash_of_a_key_is_stored(keys: KeyRing, control: Engine) -> None:
    key = keys.add("shop", scopes=["ingest"])
    with control.connect() as connection:
        row = connection.execute(select(api_keys)).mappings().one()
    assert key not in str(dict(row))


def test_the_first_start_writes_an_admin_key_that_only_its_owner_reads(keys: KeyRing, tmp_path: Path) -> None:
    path = keys.ensure_admin_key(tmp_path)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    principal = keys.check(path.read_text().strip())
    assert principal is not None
    assert principal.scopes == frozenset(SCOPES)


def test_the_second_start_makes_no_second_admin_key(keys: KeyRing, tmp_path: Path) -> None:
    keys.ensure_admin_key(tmp_path)
    assert keys.ensure_admin_key(tmp_path) is None
    assert [key.name for key in keys.list()] == ["admin"]


@pytest.mark.parametrize(
    ("name", "scopes", "reason"),
    [(" ", ["read"], "empty_name"), ("x", [], "no_scope"), ("x", ["read", "root"], "unknown_scope")],
)
def test_a_key_that_makes_no_sense_is_refused_by_name(keys: KeyRing, name: str, scopes: list[str], reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        keys.add(name, scopes=scopes)
    assert refused.value.reason == reason


def test_a_name_is_used_once_even_after_revoking(keys: KeyRing) -> None:
    keys.add("shop", scopes=["ingest"])
    keys.revoke("shop")
    with pytest.raises(Conflict, match="key_exists"):
        keys.add("shop", scopes=["ingest"])


def test_revoking_an_unknown_key_says_so(keys: KeyRing) -> None:
    with pytest.raises(NotFound, match="unknown_key"):
        keys.revoke("nobody")
