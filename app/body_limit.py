"""Refuses request bodies over a limit before they are read whole, announced or not (ASGI middleware)."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem


class BodyLimit:
    """Answers 413 `body_too_large` when a body has more than `max_bytes` bytes as sent (compressed size)."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _announced(scope) > self._max_bytes:
            answer = problem(413, "body_too_large", self._detail)
            await answer(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                # An HTTPException, because FastAPI turns every other error while reading a body into a 400.
                raise HTTPException(413, self._detail)
            return message

        return counted

    @property
    def _detail(self) -> str:
        return f"bodies may have at most {self._max_bytes} bytes: send smaller batches"


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
