from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, redact, retry_after_s
from core.retry import RetryPolicy, call

NOW = 1_795_000_000_000
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


def client(handler: Callable[[httpx.Request], httpx.Response], *, policy: RetryPolicy = FAST) -> HttpClient:
    return HttpClient(
        "party",
        base_url="https://party.example/api/",
        policy=policy,
        transport=httpx.MockTransport(handler),
        clock=lambda: NOW,
    )


class Answers:
    """Gives the answers in order, the last one for ever; counts the calls."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_success_is_answered_at_once() -> None:
    answers = Answers(httpx.Response(200, json={"a": 1}))
    assert client(answers).request("GET", "things", deadline_s=1).json() == {"a": 1}
    assert answers.calls == 1


def test_not_modified_answers_a_conditional_request_only() -> None:
    answers = Answers(httpx.Response(304))
    asked = {"If-None-Match": 'W/"1"'}
    assert client(answers).request("GET", "things", headers=asked, deadline_s=1).status_code == 304
    with pytest.raises(Permanent):
        client(answers).request("GET", "things", deadline_s=1)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    answers = Answers(httpx.Response(status), httpx.Response(200))
    client(answers).request("GET", "things", deadline_s=1)
    assert answers.calls == 2


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 422, 501])
def test_a_lasting_failure_is_not_tried_again(status: int) -> None:
    answers = Answers(httpx.Response(status))
    with pytest.raises(Permanent):
        client(answers).request("GET", "things", deadline_s=1)
    assert answers.calls == 1


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("late"), httpx.ConnectError("refused"), httpx.RemoteProtocolError("cut")]
)
def test_a_broken_connection_is_transient_after_the_last_attempt(error: Exception) -> None:
    answers = Answers(error)
    with pytest.raises(Transient):
        client(answers).request("GET", "things", deadline_s=1)
    assert answers.calls == 3


def test_a_request_that_must_not_be_repeated_is_only_retried_when_it_was_not_delivered() -> None:
    delivered = Answers(httpx.ReadTimeout("late"))
    with pytest.raises(Permanent):
        client(delivered).request("POST", "things", deadline_s=1, repeatable=False)
    assert delivered.calls == 1
    refused = Answers(httpx.ConnectError("refused"), httpx.Response(200))
    client(refused).request("POST", "things", deadline_s=1, repeatable=False)
    assert refused.calls == 2


def test_quota_waits_as_long_as_told_if_that_fits_the_deadline() -> None:
    answers = Answers(httpx.Response(429, headers={"retry-after": "0"}), httpx.Response(200))
    client(answers).request("GET", "things", deadline_s=1)
    assert answers.calls == 2


def test_quota_gives_up_at_once_when_the_wait_does_not_fit() -> None:
    answers = Answers(httpx.Response(429, headers={"retry-after": "60"}))
    with pytest.raises(QuotaExceeded) as caught:
        client(answers).request("GET", "things", deadline_s=1)
    assert (answers.calls, caught.value.retry_after_s) == (1, 60)


def test_every_error_of_the_library_below_is_mapped() -> None:
    leaves = [kind for kind in _descendants(httpx.HTTPError) if kind is not httpx.HTTPStatusError]
    for kind in [*leaves, httpx.InvalidURL]:
        with pytest.raises(SourceError):
            client(Answers(kind("x"))).request("GET", "things", deadline_s=1)


def _descendants(kind: type[Exception]) -> list[type[Exception]]:
    return [found for child in kind.__subclasses__() for found in [child, *_descendants(child)]]


def test_secrets_do_not_reach_the_error() -> None:
    body = 'access_token=abc123&x=1 {"client_secret": "s3cret"} Authorization: Bearer ey.abc'
    with pytest.raises(Permanent) as caught:
        client(Answers(httpx.Response(400, text=body))).request(
            "GET", "things", params={"access_token": "inquery"}, deadline_s=1
        )
    for secret in ("abc123", "s3cret", "ey.abc", "inquery"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_credential_that_the_answer_quotes_does_not_reach_the_error(encoding: str) -> None:
    body = b'{"error": "no such key: sk-0123456789"}'

    def quotes(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer sk-0123456789"
        headers = {"content-encoding": "gzip", "retry-after": "7"} if encoding else {"retry-after": "7"}
        return httpx.Response(429, headers=headers, content=gzip.compress(body) if encoding else body)

    with pytest.raises(QuotaExceeded) as caught:
        client(quotes).request("GET", "things", headers={"Authorization": "Bearer sk-0123456789"}, deadline_s=1)
    assert "0123456789" not in str(caught.value)
    assert "no such key: ***" in str(caught.value)
    assert caught.value.retry_after_s == 7, "its headers are still read"


def test_redaction_keeps_what_is_not_a_secret() -> None:
    assert redact("code 17: too many calls") == "code 17: too many calls"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        ("", None),
        ("soon", None),
        ("Wed, 18 Nov 2026 11:47:00 GMT", 340.0),
        ("Wed, 18 Nov 2020 11:47:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    response = httpx.Response(429, headers={"retry-after": header})
    found = retry_after_s(response, now=1_795_002_080_000)
    assert found == seconds


def test_the_deadline_bounds_all_attempts_together() -> None:
    at = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        at[0] += seconds

    def work(_left_s: float) -> None:
        at[0] += 4.0
        raise Transient("party", "down")

    with pytest.raises(Transient):
        call(
            work,
            policy=RetryPolicy(attempts=100, first_wait_s=1, longest_wait_s=2),
            deadline_s=30.0,
            monotonic=lambda: at[0],
            sleep=sleep,
        )
    assert 26 <= at[0] <= 34
    assert len(set(waits)) > 1, "waits are jittered"


def test_an_answer_that_comes_byte_by_byte_without_an_end_is_left_at_the_deadline() -> None:
    def bytes_for_ever() -> Iterator[bytes]:
        while True:
            time.sleep(0.01)
            yield b" "

    started = time.monotonic()
    with pytest.raises(Transient, match="no answer in time"):
        client(lambda _request: httpx.Response(200, content=bytes_for_ever())).request("GET", "things", deadline_s=0.1)
    assert time.monotonic() - started < 2
