"""A real redirect worker: in a thread of the test process for behaviour, in a process of its own where it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Engine

from core.clock import Clock, now_ms
from redirect.config import RedirectConfig
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.worker import Worker, run_worker

ALLOWED = ("shop.example", "127.0.0.1:9999")


class Client:
    """A raw connection: sends bytes, reads HTTP/1.1 answers one by one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def get(self, target: str, **headers: str) -> Reply:
        return self.request("GET", target, **headers)

    def request(self, method: str, target: str, *, body: bytes = b"", **headers: str) -> Reply:
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "go.example", **headers}.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.read(head_only=method == "HEAD")

    def read(self, *, head_only: bool = False) -> Reply:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = 0 if head_only else int(headers.get("content-length", "0"))
        while len(self._buffer) < size:
            self._more()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return Reply(int(status_line.split(" ")[1]), headers, body)

    def at_end(self) -> bool:
        """True when the server closed and nothing is left to read."""
        return not self._buffer and self.sock.recv(1) == b""

    def _more(self) -> None:
        data = self.sock.recv(65_536)
        if not data:
            raise EOFError(f"closed after {self._buffer!r}")
        self._buffer += data


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def location(self) -> str:
        return self.headers["location"]

    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


class Running:
    """A running worker and the doors to it."""

    def __init__(self, *, port: int, data_dir: Path, control: Engine, allowed: tuple[str, ...]) -> None:
        self.port = port
        self.data_dir = data_dir
        self.control = control
        self.links = LinkStore(control, allowed_destinations=allowed)
        self._clients: list[Client] = []

    def connect(self, *, timeout_s: float = 5.0) -> Client:
        client = Client(socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s))
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.append(client)
        return client

    def get(self, target: str, **headers: str) -> Reply:
        return self.connect().get(target, **headers)

    def lines(self, kind: str = "click") -> list[dict[str, Any]]:
        """Journal lines of a kind, oldest first."""
        return [line for line in journal_lines(self.data_dir) if line["kind"] == kind]

    def close(self) -> None:
        for client in self._clients:
            client.sock.close()


class ThreadWorker(Running):
    """`redirect.worker.Worker` on uvloop in a thread."""

    def __init__(
        self, config: RedirectConfig, *, data_dir: Path, control: Engine, sock: socket.socket, clock: Clock = now_ms
    ) -> None:
        super().__init__(
            port=sock.getsockname()[1], data_dir=data_dir, control=control, allowed=config.allowed_destinations
        )
        self.worker = Worker(config, data_dir=data_dir, control_url="", index=0, clock=clock)
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve(sock)), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await self.worker.start([sock])
        self._ready.set()
        await self._stopping.wait()
        await self.worker.stop()

    def refresh(self) -> None:
        """What the poller would do within half a second."""
        assert self.worker.links.cache.refresh(self.worker.clock())

    def begin_stop(self) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # already stopped
            self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self) -> None:
        self.close()
        self.begin_stop()
        self._thread.join(15)


class ProcessWorker(Running):
    """`run_worker` in a spawned process; the test keeps the listening socket, as the supervisor does."""

    def __init__(self, config: RedirectConfig, *, data_dir: Path, control: Engine, sock: socket.socket) -> None:
        super().__init__(
            port=sock.getsockname()[1], data_dir=data_dir, control=control, allowed=config.allowed_destinations
        )
        self._config = config
        self._sock = sock
        self._processes: list[SpawnProcess] = []
        self.start()

    def start(self, *, index: int = 0) -> None:
        """One more worker on the same socket; `process` is the newest."""
        self.process = multiprocessing.get_context("spawn").Process(
            target=run_worker,
            kwargs={
                "sockets": [self._sock],
                "config": self._config,
                "data_dir": self.data_dir,
                "control_url": "",
                "index": index,
            },
        )
        self.process.start()
        self._processes.append(self.process)
        # The socket listens already, so the first answer marks the worker's readiness.
        assert self.connect(timeout_s=20).get("/healthz").status == 200

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def stop(self) -> None:
        self.close()
        for process in self._processes:
            if process.is_alive():
                process.terminate()
            process.join(15)
        self._sock.close()


def journal_lines(data_dir: Path) -> list[dict[str, Any]]:
    """All complete journal lines below a data directory."""
    lines: list[dict[str, Any]] = []
    for segment in sorted((data_dir / "journal").glob("*.ndjson")):
        lines += [json.loads(line) for line in segment.read_bytes().split(b"\n")[:-1]]
    return lines


def listening_socket() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.set_inheritable(True)
    return sock


def eventually(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def link(slug: str = "spring", destination: str = "https://shop.example/p", **fields: Any) -> LinkDefinition:
    return LinkDefinition(slug=slug, destination=destination, **fields)
