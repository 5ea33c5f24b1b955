"""A page that is looked at, for the suite over all sources. What becomes of a broken one is in tests/collectors/checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.collectors.sandboxes.base import Answer, Request, Sandbox
from tests.collectors.sandboxes.cases import Case


class _Shop(Sandbox):
    def answer(self, request: Request) -> Answer:
        return Answer(body=b"<p>Buy now</p>", headers={"content-type": "text/html"})


class ChecksCase(Case):
    """A look sees the present only, and nothing but the page."""

    section = "checks"
    history = False
    vendor = False

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self.sandbox = _Shop(clock=clock)

    def settings(self) -> dict[str, Any]:
        page = {"url": f"{self.endpoint}/p", "text": ["Buy now"]}
        connection = {"name": "shop", "client": "acme", "pages": [page]}
        return {"allowed_private": [self.endpoint.partition("://")[2]], "retry_s": 0, "connections": [connection]}
