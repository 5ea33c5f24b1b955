"""The Google Analytics Data API (v1beta) over HTTPS: one property's reports with all their pages, and its token budget.

Shapes by the REST reference (`properties.runReport`, `RunReportResponse`, `ResponseMetaData`, `PropertyQuota`) and the guides "Data API
limits and quotas", "API Dimensions & Metrics" and "Pagination"; the sandbox's answers were checked against the types of the vendor's own
package (google-analytics-data 0.23.3). Read Nov 2026. Why no package of the vendor's: docs/adr/0009-vendor-clients.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import httpx
import msgspec

from collectors.bearer_api import Deadline
from collectors.ga4 import budget
from collectors.ga4.config import Ga4Connection
from core.clock import HOUR_MS
from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, redact, retry_after_s
from core.retry import RetryPolicy
from core.vendors.google_sign_in import ServiceAccount

ENDPOINT: Final = "https://analyticsdata.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/analytics.readonly"
#: A project may cause ten server errors an hour in a property, and is refused for the rest of it then: others need some, too.
SERVER_ERRORS_AN_HOUR: Final = 6
MAX_PAGES: Final = 1_000


class _Value(msgspec.Struct):
    value: str = ""


class _Header(msgspec.Struct):
    name: str


class _Row(msgspec.Struct, rename="camel"):
    dimension_values: list[_Value] = []
    metric_values: list[_Value] = []


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What the property says of an answer. With any of the flags its figures are less than what happened."""

    time_zone: str = ""
    currency_code: str = ""
    data_loss_from_other_row: bool = False
    subject_to_thresholding: bool = False
    sampling_metadatas: list[dict[str, Any]] = []

    @property
    def flaws(self) -> list[str]:
        found = {
            "rolled into (other)": self.data_loss_from_other_row,
            "subject to thresholding": self.subject_to_thresholding,
            "sampled": bool(self.sampling_metadatas),
        }
        return [word for word, is_so in found.items() if is_so]


class _Answer(msgspec.Struct, rename="camel"):
    dimension_headers: list[_Header] = []
    metric_headers: list[_Header] = []
    rows: list[_Row] = []
    row_count: int = 0
    metadata: Metadata = Metadata()
    property_quota: budget.PropertyQuota | None = None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A report. Days are the property's own, both included (`yyyy-mm-dd`). With `positive`, rows where this metric is 0 are left out."""

    dimensions: Sequence[str]
    metrics: Sequence[str]
    since: str
    until: str
    positive: str = ""

    def body(self, *, offset: int, limit: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "dateRanges": [{"startDate": self.since, "endDate": self.until}],
            "dimensions": [{"name": name} for name in self.dimensions],
            "metrics": [{"name": name} for name in self.metrics],
            # Without an order, rows may move between two pages.
            "orderBys": [{"dimension": {"dimensionName": name}} for name in self.dimensions],
            "offset": str(offset),
            "limit": str(limit),
            "returnPropertyQuota": True,
        }
        if self.positive:
            above = {"operation": "GREATER_THAN", "value": {"doubleValue": 0.0}}
            body["metricFilter"] = {"filter": {"fieldName": self.positive, "numericFilter": above}}
        return body


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Each row: its dimensions and metrics by name, all text."""

    rows: list[dict[str, str]]
    metadata: Metadata


class ReportApi:
    """One property. Raises `core.errors.SourceError` only; nothing is read or called before the first report."""

    def __init__(self, source: str, connection: Ga4Connection, *, reserve: float, page_rows: int) -> None:
        self._source = source
        self._connection = connection
        self._reserve = reserve
        self._page_rows = page_rows
        self._sign_in = ServiceAccount(source, connection.credentials_file, scope=SCOPE)
        self._server_errors: deque[int] = deque()
        self._now = 0
        self.left: list[budget.Left] = []

    def report(self, query: Query, *, now: int, deadline_s: float) -> Report:
        """All rows of a report.

        Raises:
            QuotaExceeded: the budget is down to its reserve, or the property refuses; with the wait.
            Transient, Permanent: the property's answer.
        """
        deadline = Deadline(self._source, deadline_s)
        rows: list[dict[str, str]] = []
        metadata = Metadata()
        for page in self._pages(query, now=now, deadline=deadline):
            self._check_columns(page, query)
            rows += (_as_dict(row, query) for row in page.rows)
            metadata = page.metadata
        return Report(rows=rows, metadata=metadata)

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        client: HttpClient | None = self.__dict__.pop("_http", None)
        if client is not None:
            client.close()

    # --- the wire ------------------------------------------------------------------------------------------------------------

    def _pages(self, query: Query, *, now: int, deadline: Deadline) -> Iterator[_Answer]:
        offset = 0
        for _ in range(MAX_PAGES):
            page = self._ask(query.body(offset=offset, limit=self._page_rows), now=now, left_s=deadline.left_s())
            yield page
            offset += len(page.rows)
            if offset >= page.row_count:
                return
            if not page.rows:
                raise Transient(self._source, f"{page.row_count} rows were promised and {offset} came")
        raise Permanent(self._source, f"more than {MAX_PAGES} pages")

    def _ask(self, body: dict[str, Any], *, now: int, left_s: float) -> _Answer:
        self._check_budget(now)
        self._now = now
        path = f"v1beta/properties/{self._connection.property}:runReport"
        headers = self._sign_in.bearer(timeout_s=left_s)
        response = self._http.request("POST", path, json=body, headers=headers, deadline_s=left_s)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.ValidationError as error:
            raise Permanent(self._source, f"the answer has another shape than documented: {error}") from None
        except msgspec.DecodeError:
            raise Transient(self._source, "the answer is not JSON") from None
        if answer.property_quota is not None:
            self.left = budget.read(answer.property_quota, analytics_360=self._connection.analytics_360, now=now)
        return answer

    def _check_budget(self, now: int) -> None:
        empty = budget.exhausted(self.left, reserve=self._reserve, now=now)
        if empty is not None:
            detail = f"{empty.remaining} of {empty.limit} {empty.unit} are left, the reserve for others"
            raise QuotaExceeded(self._source, detail, retry_after_s=(empty.resets_at - now) / 1000)
        while self._server_errors and self._server_errors[0] <= now - HOUR_MS:
            self._server_errors.popleft()
        if len(self._server_errors) >= SERVER_ERRORS_AN_HOUR:
            wait_s = (self._server_errors[0] + HOUR_MS - now) / 1000
            raise QuotaExceeded(self._source, "too many server errors within an hour", retry_after_s=wait_s)

    @cached_property
    def _http(self) -> HttpClient:
        endpoint = self._connection.endpoint or ENDPOINT
        base_url = endpoint if "://" in endpoint else f"https://{endpoint}"
        # One attempt: the runner tries again, and every server error counts against the project.
        policy = RetryPolicy(attempts=1)
        return HttpClient(self._source, base_url=f"{base_url.rstrip('/')}/", classify=self._error, policy=policy)

    def _error(self, response: httpx.Response) -> SourceError | None:
        """Google's error object decides; quota comes as 429, and from some gateways as 403."""
        try:
            error = msgspec.json.decode(response.content, type=_Refusal).error
        except msgspec.MsgspecError:
            return None  # not the API's own answer, but that of something before it
        detail = redact(f"{error.status}: {error.message}")
        if error.status == "RESOURCE_EXHAUSTED" or response.status_code == 429:
            told_s = retry_after_s(response, now=self._now)
            wait_s = budget.wait_of(error.message, now=self._now) if told_s is None else told_s
            return QuotaExceeded(self._source, detail, retry_after_s=wait_s)
        if response.status_code == 401:
            return self._sign_in.refused(detail)
        if response.status_code >= 500:
            self._server_errors.append(self._now)
            return Transient(self._source, detail)
        return Permanent(self._source, detail)

    def _check_columns(self, page: _Answer, query: Query) -> None:
        """An answer without rows may come without headers."""
        got = [header.name for header in (*page.dimension_headers, *page.metric_headers)]
        if page.rows and got != [*query.dimensions, *query.metrics]:
            raise Permanent(self._source, f"other columns came than were asked for: {', '.join(got)}")


def _as_dict(row: _Row, query: Query) -> dict[str, str]:
    """A short row lacks its last columns; whoever needs them finds it invalid."""
    names = (*query.dimensions, *query.metrics)
    values = (*row.dimension_values, *row.metric_values)
    return {name: value.value for name, value in zip(names, values, strict=False)}
