"""Prometheus's HTTP API, as far as it is needed: range queries, and whether the server is there.

"HTTP API" (prometheus.io/docs/prometheus/latest/querying/api): `POST /api/v1/query_range` with query, start, end and step answers
`{"status": "success", "data": {"resultType": "matrix", "result": [{"metric", "values"}]}, "warnings"}`; an error has `errorType` and
`error` with 400 (a parameter or the query is wrong), 422 (it cannot be executed) or 503 (time-out).
"""

from __future__ import annotations

import base64
from typing import Final

import httpx
import msgspec

from core.errors import Permanent, SourceError, Transient
from core.http_client import HttpClient, redact
from core.retry import RetryPolicy
from core.token_file import read_token

POLICY: Final = RetryPolicy(attempts=2, first_wait_s=0.2, longest_wait_s=5.0)


class Series(msgspec.Struct, frozen=True):
    """One series: its labels, and (seconds, value as text)."""

    metric: dict[str, str]
    #: None of a native histogram: such a series has `histograms` instead, and says nothing here.
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: list[Series]


class Answer(msgspec.Struct, frozen=True):
    data: _Data
    warnings: list[str] = []


class _Error(msgspec.Struct, frozen=True, rename="camel"):
    error_type: str = ""
    error: str = ""


class PrometheusApi:
    """Raises `core.errors.SourceError` only."""

    def __init__(self, source: str, *, endpoint: str, credentials_file: str, basic_auth_file: str, org_id: str) -> None:
        self._source = source
        self._credentials_file = credentials_file
        self._basic_auth_file = basic_auth_file
        headers = {"X-Scope-OrgID": org_id} if org_id else {}
        self._http = HttpClient(
            source, base_url=f"{endpoint}/", headers=headers, policy=POLICY, classify=self._error_of
        )

    def query_range(self, query: str, *, start_s: int, end_s: int, step_s: int, deadline_s: float) -> Answer:
        """The values of a query at start, start + step, … up to end, both included.

        Raises:
            Transient: time-out, 5xx, or an answer that is cut off.
            QuotaExceeded: 429.
            Permanent: the query is wrong, the key is, or the answer has another shape.
        """
        form = {
            "query": query,
            "start": str(start_s),
            "end": str(end_s),
            "step": str(step_s),
            "timeout": f"{max(1, round(deadline_s))}s",
        }
        response = self._http.request(
            "POST", "api/v1/query_range", data=form, headers=self._authorization(), deadline_s=deadline_s
        )
        try:
            answer = msgspec.json.decode(response.content, type=Answer)
        except msgspec.ValidationError as error:
            raise Permanent(self._source, f"the answer has another shape than documented: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(self._source, "the answer is not whole JSON") from None
        if answer.data.result_type != "matrix":
            raise Permanent(self._source, f"the answer to a range query is a {answer.data.result_type}")
        return answer

    def close(self) -> None:
        self._http.close()

    def _authorization(self) -> dict[str, str]:
        if self._credentials_file:
            return {"Authorization": f"Bearer {read_token(self._source, self._credentials_file)}"}
        if self._basic_auth_file:
            pair = read_token(self._source, self._basic_auth_file, setting="basic_auth_file").encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _error_of(self, response: httpx.Response) -> SourceError | None:
        """Prometheus says in its own words what is wrong with a query."""
        if response.status_code not in (400, 422):
            return None
        try:
            said = msgspec.json.decode(response.content, type=_Error)
        except msgspec.MsgspecError:
            return None
        return Permanent(self._source, f"{said.error_type}: {redact(said.error[:300])}")
