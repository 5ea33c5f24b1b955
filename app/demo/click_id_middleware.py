"""The click ID on every server span: the whole of what a Python back end adds (docs/instrumenting.md shows this file).

Works below any OpenTelemetry instrumentation for ASGI (FastAPI, Starlette, Django, Litestar): that one starts the server span, this one
says which click the request belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote_to_bytes

from opentelemetry import trace

PLATFORM_IDS = ("gclid", "msclkid", "dclid", "fbclid", "ttclid", "twclid")
MACROS = ((b"{", b"}"), (b"__", b"__"), (b"[", b"]"), (b"<", b">"))


def is_macro(raw: bytes) -> bool:
    """A template macro that the platform did not fill in is no identity."""
    return any(len(raw) > len(a + b) and raw.startswith(a) and raw.endswith(b) for a, b in MACROS)


def click_id_of(query: str, cookie: str) -> str:
    """The click a request belongs to: `ct_click`, else derived from the platform's ID, else the cookie; "" = none."""
    values: dict[str, str] = {}
    for pair in query.replace("?", "&").split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(name, value)
    if values.get("ct_click"):
        return values["ct_click"]
    for name in PLATFORM_IDS:
        raw = unquote_to_bytes(values.get(name, ""))
        if 0 < len(raw) <= 512 and not is_macro(raw):
            return hashlib.sha256(name.encode() + b":" + raw).hexdigest()[:32]
    found = SimpleCookie(cookie).get("ct_click")
    return found.value if found else ""


class ClickIdMiddleware:
    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            click_id = click_id_of(
                scope["query_string"].decode("latin-1"), headers.get(b"cookie", b"").decode("latin-1")
            )
            if click_id:
                trace.get_current_span().set_attribute("clicktrace.click_id", click_id)
        await self.app(scope, receive, send)
