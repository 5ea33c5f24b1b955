"""A small HTTP/1.1 client for many simulated browsers in one process: kept-alive connections, a tenth of a full client's CPU.

It speaks to the demo's own servers only. Every answer there has a Content-Length or no body.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

import msgspec

IDLE_MAX = 64
_NO_BODY = (204, 304)


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes


class Unanswered(Exception):
    """No answer: refused, reset, or not within the time limit."""


class Wire:
    """Requests to one server. `host` is what the Host header says."""

    def __init__(self, host: str, *, address: str, port: int) -> None:
        self._host = host
        self._address = address
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(
        self, method: str, target: str, *, headers: dict[str, str], body: bytes = b"", timeout_s: float = 10.0
    ) -> Answer:
        """One request; a connection that the server closed meanwhile is replaced once.

        Raises:
            Unanswered: no complete answer within `timeout_s`.
        """
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        wire = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\n{head}{length}\r\n".encode("latin-1") + body
        try:
            async with asyncio.timeout(timeout_s):
                while self._idle:
                    try:
                        return await self._exchange(self._idle.pop(), wire)
                    except (OSError, asyncio.IncompleteReadError):
                        continue  # an idle connection that the server had closed
                return await self._exchange(await asyncio.open_connection(self._address, self._port), wire)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise Unanswered(f"{method} {self._host}{target}: {type(error).__name__}") from error

    async def _exchange(self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], wire: bytes) -> Answer:
        reader, writer = connection
        done = False
        try:
            writer.write(wire)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = _parse(head)
            length = 0 if answer.status in _NO_BODY else int(answer.headers.get("content-length", "0"))
            if length:
                answer = Answer(answer.status, answer.headers, await reader.readexactly(length))
            done = True
        finally:
            # A visitor who leaves before the answer closes the connection, as a browser does.
            if done and answer.headers.get("connection") != "close" and len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
            else:
                writer.close()
        return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(head: bytes) -> Answer:
    lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.lower()] = value.strip()
    return Answer(int(lines[0].split(" ", 2)[1]), headers, b"")
