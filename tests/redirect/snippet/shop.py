"""A shop on two domains whose pages carry the snippet of a real redirect worker, over HTTPS and over plain HTTP."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from core.control.engine import open_control
from core.identity import derive_from_query
from redirect.config import RedirectConfig
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

from ..live_worker import ThreadWorker, link, listening_socket
from .browser import Page, Visitor

SHOP, PAY, GO, FOREIGN = "shop.test", "pay.test", "go.test", "foreign.test"
#: Before any script of the page: whether the snippet has found the click, and what any script threw.
WATCH = "document.addEventListener('clicktrace', () => { window.known = (window.known || 0) + 1; });"

PAGE = '<!doctype html><meta charset="utf-8"><title>shop</title>%(head)s%(body)s'


class Web:
    """Serves pages by path on any host name; `pages` maps a path to (body, further headers)."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        #: (method, path with query, body) of every request for a page.
        self.requests: list[tuple[str, str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                web.requests.append((self.command, self.path, self.rfile.read(size).decode()))
                text, headers = web.pages.get(self.path.partition("?")[0], ("", {}))
                self.send_response(200 if text else 204 if self.path == "/favicon.ico" else 404)
                for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            # The handshake belongs into the connection's own thread: browsers open connections that they never use.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Site:
    """Shop, payment pages and redirect; each test adds pages under paths of its own."""

    def __init__(self, folder: Path) -> None:
        issued = trustme.CA().issue_cert(SHOP, PAY, GO, FOREIGN)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        self.web, self.plain = Web(context), Web()
        cert, key = folder / "cert.pem", folder / "key.pem"
        issued.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.shop = f"{SHOP}:{self.web.port}"
        self.pay = f"{PAY}:{self.web.port}"
        sites = (self.shop, self.pay, f"{SHOP}:{self.plain.port}", f"{PAY}:{self.plain.port}")
        config = RedirectConfig.model_validate(
            {"allowed_destinations": [self.shop], "sites": sites, "tls_cert": str(cert), "tls_key": str(key)}
        )
        control = open_control("", folder)
        self._add(LinkStore(control, allowed_destinations=config.allowed_destinations), link("spring", self.url("/p")))
        self.redirect = ThreadWorker(config, data_dir=folder, control=control, sock=listening_socket())
        self.go = f"https://{GO}:{self.redirect.port}"
        self.tag = f'<script src="{self.go}/ct.js"></script>'
        self.page("/p")

    def _add(self, store: LinkStore, definition: LinkDefinition) -> None:
        store.add(definition, author="test")

    def url(self, path: str, *, host: str = "") -> str:
        return f"https://{host or self.shop}{path}"

    def plain_url(self, path: str) -> str:
        """The same page without HTTPS: no secure context, so no crypto.subtle."""
        return f"http://{SHOP}:{self.plain.port}{path}"

    def page(self, path: str, body: str = "", *, tag: str = "", headers: dict[str, str] | None = None) -> str:
        """Serve a page with the snippet; its path."""
        text = PAGE % {"head": tag or self.tag, "body": body}
        self.web.pages[path] = self.plain.pages[path] = (text, headers or {})
        return path

    def touches(self, path: str) -> list[dict[str, Any]]:
        """What pages with this path have reported."""
        return [touch for touch in self.redirect.lines("touch") if touch["page"].partition("/")[2] == path.lstrip("/")]

    def stop(self) -> None:
        self.redirect.stop()
        self.redirect.control.dispose()
        self.web.stop()
        self.plain.stop()


def derived(query: str) -> str:
    """The click ID that the redirect computes of a query."""
    found = derive_from_query(query.encode())
    assert found is not None
    return found[0]


def opened(visitor: Visitor, url: str, *, before: str = "") -> Page:
    """A page whose snippet has found its click, or that there is none."""
    page = visitor.page(url, before=WATCH + before)
    page.until("window.known > 0")
    return page
