"""A real headless Chromium and a small shop whose pages carry the snippet of a real redirect worker."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
)


def find_chromium() -> str:
    """The browser's command; fails with the package to install, because no test of the snippet may be skipped."""
    for name in CANDIDATES:
        found = shutil.which(name)
        if found:
            return found
    raise AssertionError("no Chromium found: apt-get install chromium")


class Shop:
    """Serves pages by path; `pages` maps a path to its HTML."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages.get(self.path.partition("?")[0], "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Chromium:
    """Opens pages with `--dump-dom` and reads what their script left in ``<pre id="out">``.

    Args:
        profile: a folder of its own for every test; cookies live in it from one page to the next.
        hosts: names that resolve to this machine, for pages that are no secure context.
    """

    def __init__(self, profile: Path, *, hosts: tuple[str, ...] = ()) -> None:
        self._command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}"]
        if hosts:
            self._command.append(f"--host-resolver-rules={','.join(f'MAP {host} 127.0.0.1' for host in hosts)}")

    def open(self, url: str, *, wait_ms: int = 3000) -> Any:
        """The JSON in the page's ``<pre id="out">`` after `wait_ms` of its own (virtual) time."""
        command = [*self._command, f"--virtual-time-budget={wait_ms}", "--dump-dom", url]
        run = subprocess.run(command, capture_output=True, text=True, timeout=90)
        found = re.search(r'<pre id="out">(.*?)</pre>', run.stdout, re.DOTALL)
        assert found, f"the page left nothing: {run.stdout[:2000]}\n{run.stderr[-2000:]}"
        return json.loads(html.unescape(found.group(1)))


OpenChromium = Callable[..., Chromium]
