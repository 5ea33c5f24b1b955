"""A vendor's JSON API behind a bearer token in a file: what the clients of such vendors share.

The file is read at each call, so that a rotated token is seen without a restart; the token travels as a header only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from collectors.base import Fetched
from collectors.shape import Shape, shape_of
from core.errors import Permanent, Transient
from core.http_client import Classify, HttpClient
from core.records import Record
from core.retry import RetryPolicy
from core.token_file import read_token

Item = TypeVar("Item")

#: One call of many ends by then, its retries included: a hanging one must not use up a read of thousands of pages.
REQUEST_S: Final = 30.0
_EMPTY: Final = (b"null", b'""', b"[]", b"{}")
#: Between the pages of one read; what lasts longer is the runner's to wait for.
POLICY: Final = RetryPolicy(attempts=3, first_wait_s=0.2, longest_wait_s=5.0)


class Deadline:
    """The end of a read that takes several calls."""

    def __init__(self, source: str, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._ends = monotonic() + seconds

    def left_s(self) -> float:
        """Seconds left.

        Raises:
            Transient: none.
        """
        left = self._ends - self._monotonic()
        if left <= 0:
            raise Transient(
                self._source,
                "not everything came before the deadline: make window_s smaller, or call_timeout_s and deadline_s larger",
            )
        return left


class BearerApi:
    """May be used from several threads. Raises `core.errors.SourceError` only."""

    def __init__(
        self,
        source: str,
        *,
        endpoint: str,
        credentials_file: str,
        headers: Mapping[str, str] | None = None,
        classify: Classify | None = None,
        request_s: float = REQUEST_S,
    ) -> None:
        self._source = source
        self._request_s = request_s
        self._credentials_file = credentials_file
        endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
        self._http = HttpClient(
            source, base_url=f"{endpoint.rstrip('/')}/", headers=headers, policy=POLICY, classify=classify
        )

    def call(
        self,
        method: str,
        path: str,
        shape: type[Item],
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> tuple[Item, Mapping[str, str]]:
        """The answer in its shape, and its headers.

        Raises:
            Transient: time-out, 5xx, or an answer that is cut off.
            QuotaExceeded: 429.
            Permanent: any other status, a token file that cannot be read, or an answer of another shape.
        """
        response = self._http.request(
            method,
            path,
            params=params,
            json=json,
            headers={"Authorization": f"Bearer {read_token(self._source, self._credentials_file)}"},
            deadline_s=min(deadline.left_s(), self._request_s),
        )
        try:
            return msgspec.json.decode(response.content, type=shape), response.headers
        except msgspec.ValidationError as error:
            raise Permanent(self._source, f"{path}: the answer has another shape than documented: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(self._source, f"{path}: the answer is not whole JSON") from None

    def close(self) -> None:
        self._http.close()


class Rows(msgspec.Struct, Generic[Item], frozen=True):
    """What a list held: items of the expected shape, and what is wrong with each of the others (no personal data in it).

    `columns` is how the raw rows looked, for the watch over changes (`collectors.shape_watch`).
    """

    items: list[Item]
    problems: list[str]
    columns: Shape = Shape()

    def add(self, more: Rows[Item]) -> None:
        self.items.extend(more.items)
        self.problems.extend(more.problems)


class _Named(msgspec.Struct, frozen=True):
    id: str | int = ""


def rows_of(raws: Sequence[msgspec.Raw], shape: type[Item]) -> Rows[Item]:
    """One odd row does not cost the rest; its problem names it where it has an ID."""
    rows: Rows[Item] = Rows([], [], shape_of(map(_columns, raws)))
    for raw in raws:
        try:
            rows.items.append(msgspec.json.decode(raw, type=shape))
        except msgspec.ValidationError as error:
            rows.problems.append(f"{_name(raw)} has another shape than documented: {error}")
    return rows


def _columns(raw: msgspec.Raw) -> dict[str, bytes | None]:
    try:
        row = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return {}
    return {name: None if bytes(value) in _EMPTY else b"-" for name, value in row.items()}


def _name(raw: msgspec.Raw) -> str:
    try:
        return str(msgspec.json.decode(raw, type=_Named).id) or "a row"
    except msgspec.ValidationError:
        return "a row"


def fetched(records: list[Record], problems: Iterable[str], *, columns: Shape | None = None) -> Fetched:
    """What a read brought; a row that several lists show is one problem. `columns`: how the raw rows looked, if they were seen."""
    problems = list(dict.fromkeys(problems))
    detail = problems[0] if problems else ""
    return Fetched(records=records, invalid=len(problems), detail=detail, shape=columns)
