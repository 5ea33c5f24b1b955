"""ClickHouse's HTTP protocol, read-only, over the store this process holds open (design §3).

The CLI, Grafana's ClickHouse data source and notebooks read through it, whether the store is embedded or a server. Each request
gets an engine handle of its own whose limits are set first and then locked by `readonly = 1`; opening one costs 0.3 ms, and no
state can pass from one request to another.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import chdb
import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from core.errors import ClicktraceError, Forbidden, Invalid, Refusal, StoreError, Unauthorized
from core.settings import StoreConfig, data_path
from core.store.client import connector, translated
from core.store.read_only import check_database, check_format, check_statement

MAX_QUERY_BYTES = 1 << 20
MAX_RESULT_BYTES = 512 << 20
#: Settings that a client may send; all others are ignored, as clients send many by themselves.
CLIENT_SETTINGS = frozenset(
    {
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_denormals",
        "output_format_arrow_string_as_string",
        "output_format_arrow_compression_method",
        "date_time_output_format",
        "session_timezone",
        "join_use_nulls",
    }
)
KeyCheck = Callable[[str], bool]
_CODE = re.compile(r"Code: (\d+)")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*$")


class ReadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One request: the statement as sent, the format when it names none, bound parameters and allowed settings."""

    sql: str
    database: str
    default_format: str
    params: dict[str, str]
    settings: dict[str, str]


#: chDB is typed in part only, and differently from install to install; its handles are typed here.
_connect: Callable[[str], Any] = chdb.connect


class ReadEngine(Protocol):
    """Runs statements under limits that were set before and cannot be changed by them."""

    def run(self, sql: str, *, query: ReadQuery) -> bytes: ...


class EmbeddedReads:
    """The engine of this process. One handle per request."""

    def __init__(self, path: Path, config: StoreConfig) -> None:
        self._path = str(path.resolve())
        self._limits = _limits(config)

    def run(self, sql: str, *, query: ReadQuery) -> bytes:
        handle = _connect(self._path)
        try:
            handle.query(f"USE {query.database}")
            for name, value in ({**query.settings, **self._limits, "readonly": "1"}).items():
                handle.query(f"SET {name} = '{_escaped(value)}'")
            answer: bytes = handle.query(sql, query.default_format, params=query.params).bytes()
            return answer or b""
        finally:
            handle.close()


class _AsSent:
    """A bound value in the protocol's own form already: the driver writes what is no value of its kinds by `str`, and leaves it at that."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class ServerReads:
    """A ClickHouse server; limits travel with each request, before anything a client says."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._local = threading.local()

    def run(self, sql: str, *, query: ReadQuery) -> bytes:
        client = getattr(self._local, "client", None)
        if client is None:
            client = connector(self._config, Path())()
            self._local.client = client
        settings = {**query.settings, **_limits(self._config), "readonly": "1", "default_format": query.default_format}
        bound = {name: _AsSent(value) for name, value in query.params.items()}
        answer: bytes = client.raw_query(sql, bound, settings={**settings, "database": query.database})
        return answer


def _limits(config: StoreConfig) -> dict[str, str]:
    return {
        "max_execution_time": str(config.max_query_seconds),
        "max_memory_usage": str(config.max_query_memory_bytes),
        "max_result_bytes": str(MAX_RESULT_BYTES),
        "allow_introspection_functions": "0",
    }


def build_read_app(
    store_config: StoreConfig,
    data_dir: Path,
    *,
    database: str = "default",
    key_check: KeyCheck | None = None,
    threads: int = 4,
) -> Starlette:
    """The ASGI app. It listens on loopback unless whoever serves it decides otherwise.

    Args:
        store_config: limits, and the server's URL when there is one.
        data_dir: where the embedded engine lies that this process has open.
        database: what unqualified table names mean when a request names no database.
        key_check: says whether a presented key may read everything; None asks for no key.
        threads: requests answered at a time.
    """
    engine: ReadEngine = (
        ServerReads(store_config) if store_config.url else EmbeddedReads(data_path(data_dir, "store"), store_config)
    )
    server = ReadServer(engine, database=database, key_check=key_check, threads=threads)
    return Starlette(
        routes=[
            Route("/ping", _pong, methods=["GET"]),
            Route("/replicas_status", _pong, methods=["GET"]),
            Route("/", server.answer, methods=["GET", "POST"]),
        ]
    )


async def _pong(_request: Request) -> Response:
    return PlainTextResponse("Ok.\n")


class ReadServer:
    """Answers one statement a request."""

    def __init__(self, engine: ReadEngine, *, database: str, key_check: KeyCheck | None, threads: int) -> None:
        self._engine = engine
        self._database = database
        self._key_check = key_check
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read-protocol")
        self._table_functions: frozenset[str] = frozenset()

    async def answer(self, request: Request) -> Response:
        """1. Check the key. 2. Read the request. 3. Let the engine parse it, check what it is, run that very form of it."""
        try:
            self._authorize(request)
            query = await _read(request, database=self._database)
            if not query.sql.strip():
                return PlainTextResponse("Ok.\n")
            body, name = await asyncio.get_running_loop().run_in_executor(self._pool, self._run, query)
        except ClicktraceError as error:
            return _error(error)
        headers = {"X-ClickHouse-Format": name, "X-ClickHouse-Query-Id": uuid4().hex, "X-ClickHouse-Timezone": "UTC"}
        return Response(body, headers={**headers, "X-ClickHouse-Summary": "{}"}, media_type=_media_type(name))

    def _authorize(self, request: Request) -> None:
        if self._key_check is not None and not self._key_check(_presented_key(request)):
            raise Unauthorized(
                "key", "send a read key that is not limited to clients as password, X-ClickHouse-Key or Bearer"
            )

    def _run(self, query: ReadQuery) -> tuple[bytes, str]:
        """(answer, its format)."""
        with translated():
            canonical = self._canonical(query)
            check_statement(canonical, table_functions=self._known_table_functions(query))
            named = _FORMAT.search(canonical)
            return self._engine.run(canonical, query=query), named[1] if named else query.default_format

    def _canonical(self, query: ReadQuery) -> str:
        """The engine's normal form: exactly one statement, without comments and escapes in names."""
        text = query.sql.strip().removesuffix(";")
        formatted = self._ask(f"SELECT formatQuerySingleLine('{_escaped(text)}')", query, as_format="RawBLOB")
        return formatted.decode().rstrip("\n")

    def _known_table_functions(self, query: ReadQuery) -> frozenset[str]:
        if not self._table_functions:
            names = self._ask("SELECT lower(name) FROM system.table_functions", query, as_format="TSV").decode().split()
            self._table_functions = frozenset(names)
        return self._table_functions

    def _ask(self, sql: str, query: ReadQuery, *, as_format: str) -> bytes:
        own = ReadQuery(sql=sql, database=query.database, default_format=as_format, params={}, settings={})
        return self._engine.run(sql, query=own)


async def _read(request: Request, *, database: str) -> ReadQuery:
    """What was asked: the `query` parameter, then the body, as ClickHouse joins them."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_QUERY_BYTES:
            raise Invalid("too_long", f"a query has at most {MAX_QUERY_BYTES} bytes", status=413)
    values: dict[str, str] = dict(request.query_params)
    try:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            values |= await _fields(request.headers, body)
            body = b""
        sql = values.get("query", "") + body.decode()
    except UnicodeDecodeError as error:
        raise Invalid("not_utf8", "a query is UTF-8 text", status=400) from error
    wanted = values.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated"
    return ReadQuery(
        sql=sql,
        database=check_database(values.get("database") or request.headers.get("x-clickhouse-database") or database),
        default_format=check_format(wanted),
        params={name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")},
        settings={name: value for name, value in values.items() if name in CLIENT_SETTINGS},
    )


async def _fields(headers: Headers, body: bytes) -> dict[str, str]:
    """The fields of a form: how clients send a statement whose bound values are too long for an address."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(headers, whole(), max_files=0, max_part_size=MAX_QUERY_BYTES).parse()
    except MultiPartException as error:
        raise Invalid("bad_form", error.message, status=400) from error
    return {name: str(value) for name, value in form.items()}


def _presented_key(request: Request) -> str:
    """The key in whichever of ClickHouse's places it stands."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(credentials).decode().partition(":")[2]
        except (Base64Error, UnicodeDecodeError):
            return ""
    return request.headers.get("x-clickhouse-key") or request.query_params.get("password", "")


def same_key(expected: str) -> KeyCheck:
    """A check against one key, in constant time."""
    return lambda presented: hmac.compare_digest(presented.encode(), expected.encode())


def _error(error: ClicktraceError) -> Response:
    """An error in ClickHouse's own form; clients read the code from the header."""
    if isinstance(error, Refusal):
        # READONLY for what is refused, AUTHENTICATION_FAILED for a wrong key, BAD_ARGUMENTS for the rest
        code = 516 if isinstance(error, Unauthorized) else 164 if isinstance(error, Forbidden) else 36
        status, text = error.status, f"Code: {code}. DB::Exception: refused ({error.reason}): {error.detail}"
    else:
        found = _CODE.search(str(error))
        code = int(found[1]) if found else 1002
        status, text = _status_of(code, error), str(error)
    return PlainTextResponse(text + "\n", status_code=status, headers={"X-ClickHouse-Exception-Code": str(code)})


def _status_of(code: int, error: ClicktraceError) -> int:
    if code == 164:
        return 403
    if code in (60, 81):  # UNKNOWN_TABLE, UNKNOWN_DATABASE
        return 404
    if code in (159, 160):  # TIMEOUT_EXCEEDED, TOO_SLOW
        return 408
    return 400 if isinstance(error, StoreError) and code != 1002 else 500


def _media_type(name: str) -> str:
    if name.startswith("JSON"):
        return "application/json; charset=UTF-8"
    if name.startswith(("TabSeparated", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    return "text/csv; charset=UTF-8" if name.startswith("CSV") else "application/octet-stream"


def _escaped(text: Any) -> str:
    return str(text).replace("\\", "\\\\").replace("'", "\\'")
