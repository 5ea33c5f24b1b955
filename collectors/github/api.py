"""GitHub's REST API: pages, conditional requests, its rate limit and its errors.

"Best practices for using the REST API": an answer has an ETag, and asking for it again costs nothing of the rate limit while nothing
has changed (304); `x-ratelimit-remaining: 0` or `retry-after` says when to come back; pages follow the Link header.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from collectors.base import Quota
from collectors.bearer_api import Deadline
from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, retry_after_s
from core.retry import RetryPolicy
from core.token_file import read_token

ENDPOINT: Final = "https://api.github.com"
API_VERSION: Final = "2022-11-28"
PER_PAGE: Final = 100
POLICY: Final = RetryPolicy(attempts=3, first_wait_s=0.2, longest_wait_s=5.0)
#: Answers kept with their ETag: the newest pages and the statuses of what is under way.
MAX_KEPT: Final = 1_000
#: Without a word from GitHub, wait as long after a secondary limit as it documents.
SECONDARY_WAIT_S: Final = 60.0


class NotThere(Permanent):
    """404: no such thing, or no right to see it; GitHub does not tell which."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it came, with where the next one is ("" = it is the last)."""

    etag: str
    rows: list[msgspec.Raw]
    following: str


class GithubApi:
    """One repository's API. Used by one thread at a time, as the runner does."""

    def __init__(self, source: str, *, endpoint: str, credentials_file: str) -> None:
        self._source = source
        self._base = (endpoint or ENDPOINT).rstrip("/")
        self._credentials_file = credentials_file
        self._kept: OrderedDict[str, Page] = OrderedDict()
        self._quota: Quota | None = None
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        self._http = HttpClient(
            source, base_url=f"{self._base}/", headers=headers, policy=POLICY, classify=self._error_of
        )

    def pages(self, path: str, *, deadline: Deadline, **parameters: str) -> Iterator[list[msgspec.Raw]]:
        """The rows of a listing, page by page, as GitHub orders them.

        Raises:
            NotThere, QuotaExceeded, Transient, Permanent: as `core.errors` says.
        """
        url = f"{self._base}/{path}?{urlencode({'per_page': PER_PAGE, **parameters})}"
        while url:
            page = self._page(url, deadline=deadline)
            yield page.rows
            url = page.following

    def quota(self) -> Quota | None:
        return self._quota

    def close(self) -> None:
        self._http.close()

    def _page(self, url: str, *, deadline: Deadline) -> Page:
        kept = self._kept.get(url)
        headers = self._credentials() | ({"If-None-Match": kept.etag} if kept and kept.etag else {})
        response = self._http.request("GET", url, headers=headers, deadline_s=deadline.left_s())
        self._note(response.headers)
        if response.status_code == 304 and kept is not None:
            self._kept.move_to_end(url)
            return kept
        page = Page(
            etag=response.headers.get("etag", ""), rows=self._rows(response), following=self._following(response)
        )
        self._kept[url] = page
        self._kept.move_to_end(url)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return page

    def _rows(self, response: httpx.Response) -> list[msgspec.Raw]:
        try:
            rows = msgspec.json.decode(response.content, type=list[msgspec.Raw])
            # A raw row points into the whole answer; kept on its own it costs its own length.
            return [msgspec.Raw(bytes(row)) for row in rows]
        except msgspec.ValidationError:
            raise Permanent(self._source, "the answer is not a list, as documented") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(self._source, "the answer is not whole JSON") from None

    def _following(self, response: httpx.Response) -> str:
        url = response.links.get("next", {}).get("url", "")
        if url and not url.startswith(f"{self._base}/"):
            # The token goes with the request: never to another host.
            raise Permanent(self._source, "the next page is at another address than endpoint: check endpoint")
        return url

    def _credentials(self) -> dict[str, str]:
        """The token, read at each call so that a rotated one is seen; {} for public repositories."""
        if not self._credentials_file:
            return {}
        return {"Authorization": f"Bearer {read_token(self._source, self._credentials_file)}"}

    def _note(self, headers: Mapping[str, str]) -> None:
        limit, used = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-used", "")
        if limit.isdigit() and used.isdigit():
            resets = headers.get("x-ratelimit-reset", "")
            at = int(resets) * 1000 if resets.isdigit() else 0
            self._quota = Quota(unit="requests an hour", used=float(used), limit=float(limit), resets_at=at)

    def _error_of(self, response: httpx.Response) -> SourceError | None:
        self._note(response.headers)
        return error_of(response, source=self._source, now=round(time.time() * 1000))


def error_of(response: httpx.Response, *, source: str, now: int) -> SourceError | None:
    """GitHub's own errors; None for the general rule."""
    status, headers = response.status_code, response.headers
    if status in (403, 429) and (headers.get("x-ratelimit-remaining") == "0" or "rate limit" in _message(response)):
        return QuotaExceeded(
            source, f"rate limit: {_message(response)}", retry_after_s=_wait_s(headers, response, now=now)
        )
    if status == 401:
        return Permanent(source, "the token is wrong or has expired: put a new one into credentials_file")
    if status == 403:
        needs = headers.get("x-accepted-github-permissions", "")
        return Permanent(source, f"the token may not read this; it needs: {needs or 'see the README'}")
    if status == 404:
        return NotThere(source, "no such repository, or the token may not see it")
    if status in (301, 302, 307, 308):
        return Permanent(source, "the repository was renamed or moved: put its new name into repository")
    return None


def _wait_s(headers: Mapping[str, str], response: httpx.Response, *, now: int) -> float:
    """`retry-after`, else until `x-ratelimit-reset` (seconds since 1970), else what is documented for secondary limits."""
    after = retry_after_s(response, now=now)
    if after is not None:
        return after
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, int(reset) - now / 1000)
    return SECONDARY_WAIT_S


def _message(response: httpx.Response) -> str:
    try:
        found: Any = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return str(found.get("message", ""))[:200].lower() if isinstance(found, dict) else ""
