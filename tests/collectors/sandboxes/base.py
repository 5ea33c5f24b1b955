"""What the sandboxes of the vendors share: an HTTP server on loopback that says what a vendor would say, and can misbehave.

A vendor's sandbox is a `Sandbox` with an `answer`. How it misbehaves is set on its `behaviour` while it runs, with the same
switches as the ad platforms' (`app.demo.ad_account.Behaviour`):

    outage              every call is answered 503
    hangs               the next calls are never answered (the client has to give up)
    quota_errors        the next calls are answered with `quota_answer`, with `retry_after_s`
    server_errors       the next calls are answered 500
    garbage             the next answers are cut in the middle
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec

from app.demo.ad_account import Behaviour
from core.clock import now_ms

#: A hanging call is dropped after this long, so that no thread outlives its test by much.
HANG_S = 20.0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. Header names are lower-case; of a repeated query parameter the last one counts in `query`."""

    method: str
    path: str
    query: dict[str, str]
    pairs: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back. `body` is bytes as they are, or something that becomes JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = {}

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        if isinstance(self.body, bytes):
            return self.body, self.headers
        return json.dumps(self.body).encode(), {"content-type": "application/json", **self.headers}


class Sandbox:
    """A context manager. `requests` is everything that was asked, misbehaved calls included."""

    def __init__(self, *, behaviour: Behaviour | None = None, clock: Callable[[], int] = now_ms, port: int = 0) -> None:
        self.behaviour = behaviour or Behaviour(report_lag_s=0.0, restate_share=0.0)
        self.clock = clock
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(self, port=port)

    # --- what a vendor's sandbox says -------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """What the vendor says to a request. Called from several threads; state is guarded by `lock`."""
        raise NotImplementedError

    def quota_answer(self, request: Request) -> Answer:
        """The vendor's own words for "too many requests"."""
        wait = {"retry-after": str(round(self.behaviour.retry_after_s))} if self.behaviour.retry_after_s else {}
        return Answer(status=429, body={"error": "too many requests"}, headers=wait)

    def error_answer(self, request: Request) -> Answer:
        return Answer(status=500, body={"error": "internal error"})

    def misbehaves(self, request: Request) -> bool:
        """False for calls that the switches leave alone, such as a sign-in."""
        return True

    # --- life -------------------------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """May be called in any state, and twice."""
        self.stopping.set()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- one call ---------------------------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer | None:
        """The answer with the switches applied; None hangs up without a word."""
        self.requests.append(request)
        if not self.misbehaves(request):
            return self.answer(request)
        if self.behaviour.outage:
            return Answer(status=503, body={"error": "service unavailable"})
        if self._spend("hangs"):
            self.stopping.wait(HANG_S)
            return None
        if self._spend("quota_errors"):
            return self.quota_answer(request)
        if self._spend("server_errors"):
            return self.error_answer(request)
        if self._spend("garbage"):
            return _cut(self.answer(request))
        return self.answer(request)

    def _spend(self, switch: str) -> bool:
        """Whether the switch has a call left, which is used up."""
        with self.lock:
            left = getattr(self.behaviour, switch)
            setattr(self.behaviour, switch, max(0, left - 1))
        return bool(left > 0)


def _cut(answer: Answer) -> Answer:
    content, headers = answer.encoded()
    return Answer(status=answer.status, body=content[: max(1, len(content) // 2)] or b"{", headers=headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _any(self) -> None:
        url = urlsplit(self.path)
        pairs = parse_qsl(url.query, keep_blank_values=True)
        length = int(self.headers.get("content-length") or 0)
        answer = self.server.sandbox.respond(
            Request(
                method=self.command,
                path=url.path,
                query=dict(pairs),
                pairs=pairs,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length) if length else b"",
            )
        )
        if answer is None:
            self.close_connection = True
            return
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

    def _send(self, answer: Answer) -> None:
        content, headers = answer.encoded()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: `requests` tells more."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A hanging call ends by itself; stopping does not wait for it.
    block_on_close = False

    def __init__(self, sandbox: Sandbox, *, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.sandbox = sandbox
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what the tests are about; its broken pipe is no news."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(5)
        self.server_close()


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header; "" without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""
