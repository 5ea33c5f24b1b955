"""Meta's Graph API (v25.0) over HTTPS, as far as its callers share it: token, error objects, pages, usage headers.

Shapes by the vendor's documentation: "Error Handling", "Rate Limits", "Insights API, Limits & Best Practices"
(developers.facebook.com, read Nov 2026).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import httpx
import msgspec

from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, redact
from core.retry import RetryPolicy
from core.token_file import read_token

ENDPOINT: Final = "https://graph.facebook.com"
VERSION: Final = "v25.0"
PAGE_SIZE: Final = 500
MAX_PAGES: Final = 1_000

#: Error codes of rate limits: application, user, page, ad account, business use cases.
QUOTA_CODES: Final = frozenset({4, 17, 32, 613, *range(80_000, 80_015)})
TRANSIENT_CODES: Final = frozenset({1, 2})
_USE_SHARES: Final = ("call_count", "total_cputime", "total_time")
_THROTTLE_SHARES: Final = ("app_id_util_pct", "acc_id_util_pct")


class GraphRefusal(Permanent):
    """The Graph refused a call for good, in its own words."""

    def __init__(self, source: str, detail: str, *, code: int, subcode: int, message: str) -> None:
        self.code = code
        self.subcode = subcode
        self.message = message
        super().__init__(source, detail)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the hour's budget is used, as the newest answer says."""

    percent: float = 0.0
    #: Until calls are answered again, in seconds; 0 = they are.
    regain_s: float = 0.0


class Graph:
    """One access token's way to the Graph. May be used from several threads."""

    def __init__(self, source: str, *, endpoint: str, credentials_file: str, policy: RetryPolicy | None = None) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self._source = source
        self._endpoint = endpoint
        self._credentials_file = credentials_file
        self._policy = policy
        self.usage: Usage | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> dict[str, Any]:
        """One call; its answer as an object.

        Raises:
            GraphRefusal: the call is wrong or not allowed.
            Permanent: the token cannot be read.
            QuotaExceeded, Transient: it may succeed later.
        """
        response = self._http.request(
            method, path, params=params, data=data, json=json, headers=self._sign_in(), deadline_s=deadline_s
        )
        self.usage = usage_of(response.headers) or self.usage
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Transient(self._source, f"{response.request.url.path}: the answer is not a JSON object") from None

    def pages(self, path: str, params: Mapping[str, str], *, deadline_s: float) -> Iterator[dict[str, Any]]:
        """Rows of all pages, by cursor: the answer's own `next` link would carry the token."""
        ends = time.monotonic() + deadline_s
        after: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            left_s = ends - time.monotonic()
            if left_s <= 0:
                raise Transient(self._source, f"{path}: not all pages came before the deadline")
            query = {**params, "limit": str(PAGE_SIZE), **after}
            rows, cursor = self._page(self.call("GET", path, params=query, deadline_s=left_s), path=path)
            yield from rows
            if not cursor:
                return
            after = {"after": cursor}
        raise Permanent(self._source, f"{path}: more than {MAX_PAGES} pages")

    def _page(self, page: dict[str, Any], *, path: str) -> tuple[list[dict[str, Any]], str]:
        """(rows, cursor of the next page or "")."""
        try:
            paging = page.get("paging", {})
            cursor = str(paging["cursors"]["after"]) if "next" in paging else ""
            return msgspec.convert(page["data"], list[dict[str, Any]]), cursor
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError):
            raise Transient(self._source, f"{path}: the answer is no page of rows") from None

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        client: HttpClient | None = self.__dict__.pop("_http", None)
        if client is not None:
            client.close()

    @cached_property
    def _http(self) -> HttpClient:
        endpoint = self._endpoint or ENDPOINT
        if "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        base_url = f"{endpoint.rstrip('/')}/{VERSION}/"
        return HttpClient(self._source, base_url=base_url, classify=self._error, policy=self._policy)

    def _sign_in(self) -> dict[str, str]:
        """Read at every call, so that a rotated token counts at once. Graph takes it as a parameter or as a header; a header stays
        out of proxies' logs."""
        return {"Authorization": f"Bearer {read_token(self._source, self._credentials_file)}"}

    def _error(self, response: httpx.Response) -> SourceError | None:
        """Meta's error object decides; the HTTP status alone does not tell a rate limit from a wrong parameter."""
        self.usage = usage_of(response.headers) or self.usage
        try:
            error = msgspec.json.decode(response.content, type=dict[str, Any])["error"]
            code, subcode = int(error["code"]), int(error.get("error_subcode") or 0)
            said = [str(error[name]) for name in ("message", "error_user_msg") if error.get(name)]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            return None
        message = redact(": ".join(said))
        detail = f"{message} (code {code}{f', subcode {subcode}' if subcode else ''})"
        if code in QUOTA_CODES:
            return QuotaExceeded(self._source, detail, retry_after_s=regain_access_s(response.headers))
        if code in TRANSIENT_CODES or error.get("is_transient") is True:
            return Transient(self._source, detail)
        return GraphRefusal(self._source, detail, code=code, subcode=subcode, message=message)


def regain_access_s(headers: httpx.Headers) -> float | None:
    """The wait that X-Business-Use-Case-Usage announces, in seconds (it counts minutes); None when it says nothing."""
    usage = usage_of(headers)
    return usage.regain_s if usage is not None and usage.regain_s > 0 else None


def usage_of(headers: httpx.Headers) -> Usage | None:
    """What the usage headers say, the fullest budget first; None when there are none that can be read."""
    uses = _business_uses(headers.get("x-business-use-case-usage", ""))
    throttle = _throttle(headers.get("x-fb-ads-insights-throttle", ""))
    shares = [_number(use.get(name)) for use in uses for name in _USE_SHARES]
    shares += [_number(throttle.get(name)) for name in _THROTTLE_SHARES]
    waits = [_number(use.get("estimated_time_to_regain_access")) for use in uses]
    return Usage(percent=max(shares), regain_s=max(waits, default=0.0) * 60) if uses or throttle else None


def _business_uses(text: str) -> list[dict[str, Any]]:
    try:
        return [
            use for uses in msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]]).values() for use in uses
        ]
    except msgspec.MsgspecError:
        return []


def _throttle(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
