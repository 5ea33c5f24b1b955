"""A webhook receiver on a loopback port, and a real Alertmanager in front of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.ports import free_port

EXAMPLE = Path(__file__).parents[2] / "alerts" / "notify" / "alertmanager.yaml"


class Receiver:
    """Keeps the bodies that were posted; `statuses` are answered first, then 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 200:
                    outer.bodies.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def alerts(self, alertname: str, status: str) -> list[dict[str, Any]]:
        return [
            alert
            for body in self.bodies
            for alert in body["alerts"]
            if alert["labels"]["alertname"] == alertname and alert["status"] == status
        ]


def wait_for(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return once `condition` is true.

    Raises:
        AssertionError: it never was.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@contextmanager
def alertmanager(folder: Path, *, webhook_url: str) -> Iterator[str]:
    """A real Alertmanager with the shipped route, its waits shortened for the test; yields its URL."""
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert binary, "Alertmanager is missing: apt-get install prometheus-alertmanager"
    config = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    config["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
    config["receivers"][0]["webhook_configs"][0]["url"] = webhook_url
    file = folder / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [f"--config.file={file}", f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    log = (folder / "alertmanager.log").open("wb")
    process = subprocess.Popen([binary, *arguments, "--cluster.listen-address="], stdout=log, stderr=log)
    try:
        wait_for(lambda: _ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).is_success
    except httpx.HTTPError:
        return False
