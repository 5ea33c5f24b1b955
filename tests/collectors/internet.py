"""The public listener with its real doors: hooks and postbacks behind `app.http`, with real keys, journal and control database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyRing
from app.http import PublicOnly, build_app
from app.serving import Servers, Site
from collectors.base import Journal
from collectors.config import CollectorsConfig
from collectors.door import Door
from collectors.hooks import api as hooks_api
from collectors.hooks.deliveries import Deliveries
from collectors.hooks.registry import build_hooks
from collectors.postback import api as postback_api
from collectors.postback.lives import Lives
from collectors.versions import Versions
from core.clock import Clock

#: From the documentation range; who calls when a test does not say otherwise.
ADDRESS = "203.0.113.9"
PUBLIC_URL = "https://clicktrace.example"
SECRET = "a-secret-of-this-hook"


class Internet:
    """Calls from outside. `address` is what the listener's socket says of the caller."""

    def __init__(self, app: Any, keys: KeyRing) -> None:
        self.app = app
        self.keys = keys

    def client(self, address: str = ADDRESS) -> TestClient:
        return TestClient(self.app, raise_server_exceptions=False, client=(address, 50_000))

    def call(self, name: str, body: bytes, *, address: str = ADDRESS, **headers: str) -> httpx.Response:
        """Deliver a webhook."""
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        return self.client(address).post(f"/api/v1/hooks/{name}", content=body, headers=named)

    def postback(self, key: str, *, address: str = ADDRESS, **parameters: str) -> httpx.Response:
        """A tracker's postback, its key in the path."""
        return self.client(address).get(f"/api/v1/postback/{key}", params=parameters)


def open_internet(
    journal: Journal, control: Engine, *, clock: Clock, versions: Versions | None = None, **sections: Any
) -> Internet:
    """The listener with these sections of `collectors`."""
    config = CollectorsConfig.model_validate(sections)
    keys = KeyRing(control)
    door = Door(config.door, clock=clock)
    hooks = hooks_api.build_router(
        build_hooks(config),
        journal,
        door=door,
        versions=versions or Versions(None, clock=clock),
        deliveries=Deliveries(control, remember_s=config.hooks.remember_s),
        public_url=PUBLIC_URL,
        config=config.hooks,
        clock=clock,
    )
    postbacks = postback_api.build_router(
        journal,
        door=door,
        check_key=keys.check,
        lives=Lives(control, remember_days=config.postback.remember_days),
        config=config.postback,
        clock=clock,
    )
    app = build_app([hooks, postbacks], max_body_bytes=16 * 2**20)
    return Internet(PublicOnly(app), keys)


@contextmanager
def served(app: Any) -> Iterator[int]:
    """An application on a real socket, as the monitor serves it; its port."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    servers = Servers([Site(name="public", app=app, sock=sock, strangers=True)])
    loop = asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.gather(*(server.serve([sock]) for server in servers._servers)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        servers.stop()
        thread.join(10)
        loop.close()


def secret_file(folder: Path, *secrets: str) -> str:
    path = folder / "webhook.secret"
    path.write_text("\n".join(secrets or (SECRET,)) + "\n")
    return str(path)


def signature(body: bytes, *, at_s: int, secret: str = SECRET) -> str:
    """`<timestamp>.<body>` as the generic hook wants it signed."""
    return hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
