"""A ClickHouse server as far as the product asks for one: the HTTP protocol, writing included, over an engine in a process of its own.

    python -m tests.clickhouse_server DIRECTORY

It prints its port and serves until its standard input ends. Each request has an engine handle of its own, as a session-less request to a server
has: nothing passes from one to the next. `GET /statements` tells every statement that was run, one JSON string a line.

What it cannot stand in for is written down in docs/architecture.md: it is one engine, and the same version as the embedded one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen
from uuid import uuid4

import chdb
import lz4.frame
import uvicorn
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

ROOT: Final = Path(__file__).parent.parent
START_S: Final = 60.0
#: What a request's parameters mean to the protocol itself; every other one is a setting, and an unknown setting is an error.
OF_THE_PROTOCOL: Final = frozenset(
    {
        "query", "database", "default_format", "user", "password", "session_id", "query_id", "quota_key", "client_protocol_version", "compress",
        "decompress", "enable_http_compression", "wait_end_of_query", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    }
)  # fmt: skip
_INSERT: Final = re.compile(rb"\s*INSERT\s+INTO\s+(?P<into>[^\n]*?)\s+FORMAT\s+(?P<format>\w+)\n", re.IGNORECASE)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)")


class Server:
    """A running server process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def statements(self) -> list[str]:
        """Every statement that was run so far."""
        with urlopen(f"{self.url}/statements") as answer:
            return [json.loads(line) for line in answer.read().decode().splitlines()]

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """A server whose engine lies in this directory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.clickhouse_server", str(directory)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    running = Server(process, int(process.stdout.readline()))
    try:
        yield running
    finally:
        running.stop()


class Engine:
    """Runs one request's statement. The first handle stays open, so that the engine does."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._held = chdb.connect(directory)
        self.statements: list[str] = []

    def run(self, sql: str, *, values: Mapping[str, str]) -> tuple[bytes, str]:
        """(answer, its format); no format for what answers nothing."""
        self.statements.append(sql)
        params = {name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")}
        named = _FORMAT.search(sql)
        wanted = named[1] if named else values.get("default_format", "TabSeparatedWithNames")
        handle: Any = chdb.connect(self._directory)
        try:
            handle.query(f"USE {values.get('database', 'default')}")
            for name, value in values.items():
                if name not in OF_THE_PROTOCOL and not name.startswith("param_"):
                    handle.query(f"SET {name} = {_quoted(value)}")
            body: bytes = handle.query(sql, wanted, params=params).bytes() or b""
        finally:
            handle.close()
        if named or "default_format" in values:
            return body, wanted
        # Without a format a server answers TabSeparated; the names tell an empty answer from none.
        return body.partition(b"\n")[2], "TabSeparated" if body else ""

    def insert(self, into: str, data: bytes, *, as_format: str, values: Mapping[str, str]) -> None:
        """A block, as it stood in the request's body."""
        with tempfile.NamedTemporaryFile(suffix=".block") as file:
            file.write(data)
            file.flush()
            self.run(f"INSERT INTO {into} FROM INFILE {_quoted(file.name)} FORMAT {as_format}", values=values)


class Protocol:
    """ClickHouse over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, request: Request) -> Response:
        body = _unpacked(await request.body(), request.headers.get("content-encoding", ""))
        values = dict(request.query_params)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            fields = {name: str(value) for name, value in (await request.form()).items()}
            body = fields.pop("query").encode()
            values |= fields
        try:
            return self._answer(values.get("query", "").encode() + (b"\n" if "query" in values else b"") + body, values)
        except Exception as error:
            found = _CODE.search(str(error))
            code = found[1] if found else "1002"
            return PlainTextResponse(
                str(error), status_code=404 if code in ("60", "81") else 500, headers={"X-ClickHouse-Exception-Code": code}
            )  # fmt: skip

    def _answer(self, text: bytes, values: dict[str, str]) -> Response:
        headers = {"X-ClickHouse-Query-Id": uuid4().hex, "X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC"}
        block = _INSERT.match(text)
        if block is not None:
            self._engine.insert(
                block["into"].decode(), text[block.end() :], as_format=block["format"].decode(), values=values
            )
            return Response(b"", headers=headers)
        answer, name = self._engine.run(text.decode(), values=values)
        return Response(answer, headers={**headers, "X-ClickHouse-Format": name} if name else headers)

    async def statements(self, _request: Request) -> Response:
        return PlainTextResponse("\n".join(map(json.dumps, self._engine.statements)))


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        unpacked: bytes = lz4.frame.decompress(body)
        return unpacked
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def _pong(_request: Request) -> Response:
    return PlainTextResponse("Ok.\n")


def main(directory: str) -> None:
    protocol = Protocol(Engine(directory))
    app = Starlette(
        routes=[
            Route("/ping", _pong),
            Route("/statements", protocol.statements),
            # Any path, as a server takes it: what stands there is no database.
            Route("/{rest:path}", protocol.answer, methods=["GET", "POST"]),
        ]
    )
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    threading.Thread(target=_stop_with_parent, args=(running,), daemon=True).start()
    threading.Thread(target=_tell_port, args=(running,), daemon=True).start()
    running.run()


def _tell_port(running: uvicorn.Server) -> None:
    while not running.started:
        threading.Event().wait(0.01)
    print(running.servers[0].sockets[0].getsockname()[1], flush=True)


def _stop_with_parent(running: uvicorn.Server) -> None:
    sys.stdin.read()
    running.should_exit = True


if __name__ == "__main__":
    main(sys.argv[1])
