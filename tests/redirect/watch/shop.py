"""A real web server on loopback that answers as the test says, and remembers who came."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = b"<html><head><title>Spring sale</title></head><body>Buy</body></html>"
#: (status, headers, body) for a path with its query.
Answer = tuple[int, dict[str, str], bytes]


class Shop:
    """Answers every path with `answers[path]`, else with a page. An answer may be a function of the path and query."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer | Callable[[str], Answer]] = {}
        self.visits: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.delay_s = 0.0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.answer(self)

            def log_message(self, *_args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_args: Any) -> None:
                pass  # a visitor that goes away in the middle

        self._server = Server((host, port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.visits.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        time.sleep(self.delay_s)
        answer = self.answers.get(request.path.partition("?")[0], (200, {}, PAGE))
        status, headers, body = answer(request.path) if callable(answer) else answer
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def redirect(self, path: str, to: str, *, status: int = 302, keep_query: bool = True) -> None:
        """Make `path` a redirect; with its query passed on, as well-behaved sites do."""

        def answer(target: str) -> Answer:
            query = target.partition("?")[2]
            location = f"{to}{'&' if '?' in to else '?'}{query}" if keep_query and query else to
            return status, {"Location": location}, b""

        self.answers[path] = answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Names:
    """A name server whose answers the test writes; each name gives its answers in turn, the last one for ever."""

    def __init__(self, answers: dict[str, list[list[str]]] | None = None) -> None:
        self._answers = answers or {}
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        given = self._answers.get(host)
        if given is None:
            return [host]
        return given.pop(0) if len(given) > 1 else given[0]
