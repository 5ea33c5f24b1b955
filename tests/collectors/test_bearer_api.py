"""The client of JSON APIs with a bearer token: over loopback, against a server that answers what it is told to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collectors.bearer_api import BearerApi, Deadline, fetched, rows_of
from core.errors import Permanent, QuotaExceeded, Transient
from tests.collectors.sandboxes.base import Answer, Request, Sandbox, bearer


class Thing(msgspec.Struct):
    id: int


class Echo(Sandbox):
    """Answers the token's last digit, or whatever `said` is."""

    said: Answer | None = None

    def answer(self, request: Request) -> Answer:
        return self.said or Answer(body={"id": int(bearer(request.headers)[-1])})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as sandbox:
        yield sandbox


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("token-1\n")
    return file


@pytest.fixture
def api(echo: Echo, token: Path) -> Iterator[BearerApi]:
    api = BearerApi("vendor:x", endpoint=echo.endpoint, credentials_file=str(token))
    yield api
    api.close()


def ask(api: BearerApi, seconds: float = 5.0) -> int:
    found, _ = api.call("GET", "v1/thing", Thing, deadline=Deadline("vendor:x", seconds))
    return found.id


def test_a_rotated_token_is_seen_at_the_next_call(api: BearerApi, token: Path) -> None:
    assert ask(api) == 1
    token.write_text("token-2")
    assert ask(api) == 2


@pytest.mark.parametrize("content", [b"", b"two tokens", b"\xff", b"t\xc3\xb6ken"])
def test_a_file_without_one_token_is_a_permanent_error_that_names_it(
    api: BearerApi, token: Path, content: bytes
) -> None:
    token.write_bytes(content)
    with pytest.raises(Permanent, match=r"credentials_file .*token"):
        ask(api)


def test_a_missing_file_is_a_permanent_error(api: BearerApi, token: Path) -> None:
    token.unlink()
    with pytest.raises(Permanent, match="cannot be read: FileNotFoundError"):
        ask(api)


def test_the_token_stands_in_no_error_and_no_url(api: BearerApi, echo: Echo) -> None:
    echo.said = Answer(status=401, body=b"token=token-1 is wrong")
    with pytest.raises(Permanent) as error:
        ask(api)
    assert "token-1" not in str(error.value)
    assert all("token-1" not in request.path and not request.query for request in echo.requests)


def test_an_answer_that_is_cut_is_tried_again_later(api: BearerApi, echo: Echo) -> None:
    echo.said = Answer(body=b'{"id": 1')
    with pytest.raises(Transient, match="not whole JSON"):
        ask(api)


def test_an_answer_of_another_shape_is_a_permanent_error(api: BearerApi, echo: Echo) -> None:
    echo.said = Answer(body={"id": "seven"})
    with pytest.raises(Permanent, match="another shape than documented"):
        ask(api)


def test_a_server_error_in_between_is_tried_again_at_once(api: BearerApi, echo: Echo) -> None:
    echo.behaviour.server_errors = 2
    assert ask(api) == 1
    assert len(echo.requests) == 3


def test_quota_is_told_with_its_wait(api: BearerApi, echo: Echo) -> None:
    echo.behaviour.quota_errors, echo.behaviour.retry_after_s = 1, 3600
    with pytest.raises(QuotaExceeded) as error:
        ask(api)
    assert error.value.retry_after_s == 3600


def test_a_deadline_ends_all_calls_together() -> None:
    now = [100.0]
    deadline = Deadline("vendor:x", 10, monotonic=lambda: now[0])
    now[0] = 109.0
    assert deadline.left_s() == 1.0
    now[0] = 110.0
    with pytest.raises(Transient, match="before the deadline"):
        deadline.left_s()


def test_a_hanging_call_ends_long_before_the_deadline_of_the_read(echo: Echo, token: Path) -> None:
    api = BearerApi("vendor:x", endpoint=echo.endpoint, credentials_file=str(token), request_s=0.3)
    echo.behaviour.hangs = 1
    started = time.monotonic()
    with pytest.raises(Transient, match="no answer in time"):
        ask(api, seconds=60)
    assert time.monotonic() - started < 10
    assert ask(api, seconds=60) == 1
    api.close()


def test_one_odd_row_does_not_cost_the_rest() -> None:
    rows = rows_of([msgspec.Raw(b'{"id": 1}'), msgspec.Raw(b'{"id": "x"}'), msgspec.Raw(b'{"id": 3}')], Thing)
    assert [row.id for row in rows.items] == [1, 3]
    assert "`id`" in rows.problems[0] or "$.id" in rows.problems[0]
    assert (fetched([], rows.problems).invalid, fetched([], []).detail) == (1, "")
