"""HTTP/1.1 for a listener that faces the Internet: what a request's head may cost before anybody looks at it.

The servers' usual parser takes a head of any size, however slowly it comes. Here a head of more than 64 KiB is refused (h11's own
limit for what is not complete), and one that is not complete in time ends the connection; so does an idle one. Bodies are bounded by
the doors themselves (`collectors.door`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

#: From the first byte that could be of a request, or from connecting, until its head is complete.
HEAD_S: Final = 10.0
IDLE_S: Final = 20
#: Connections of all strangers together; one more is answered with 503.
MAX_CONNECTIONS: Final = 1_000


class StrangersProtocol(H11Protocol):
    """One connection."""

    head_s = HEAD_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class above it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head():
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _in_head(self) -> bool:
        """No request is under way: whatever came last is part of the next one's head."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.head_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self._in_head() and not self.transport.is_closing():
            self.transport.close()
