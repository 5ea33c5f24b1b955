"""How Google's sign-in library calls the token endpoint, with an end to it: its own transport waits for each read by itself, and so for
ever for an answer that comes byte by byte (google.auth.transport, "Request")."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import google.auth.exceptions
import google.auth.transport
import httpx

from core.http_client import answer_within, trust


class _Answer(google.auth.transport.Response):
    """The library's view of an answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


class UntilDeadline(google.auth.transport.Request):
    """`google.auth.transport.Request`; the library's own repetitions included, everything ends `timeout_s` from now."""

    def __init__(self, timeout_s: float) -> None:
        self._ends = time.monotonic() + timeout_s

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_more: Any,
    ) -> _Answer:
        """
        Raises:
            google.auth.exceptions.TransportError: no answer in time.
        """
        left_s = max(0.05, self._ends - time.monotonic())
        try:
            with httpx.Client(verify=trust()) as client:
                request = client.build_request(method, url, content=body, headers=headers)
                return _Answer(answer_within(client, request, left_s=left_s))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failed: Any = google.auth.exceptions.TransportError  # the library's errors have no type information
            raise failed(type(error).__name__) from None
