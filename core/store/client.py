"""The event store: chDB in this process, or a ClickHouse server, behind one small class.

One engine directory per process. Queries on one client queue behind each other, so each thread gets a client of its own on first
use; never call a `Store` on an event loop. Every query has a time and a memory limit.
"""

from __future__ import annotations

import io
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import clickhouse_connect
import pyarrow
from clickhouse_connect.driver.exceptions import ClickHouseError

from core.errors import BadRows, StoreError
from core.settings import StoreConfig, data_path
from core.store.cluster import check_not_mixed, replicated
from core.store.migrate import load_migrations, migrate

Params = Mapping[str, object]
Connect = Callable[[], Any]

#: ClickHouse error codes that mean: these bytes will never parse. Anything else may pass later.
#: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
BAD_ROW_CODES = frozenset(
    {6, 25, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 190, 321, 349, 467, 469, 563, 676}
)
_CODE = re.compile(r"Code: (\d+)")
#: How the driver's HTTP library says that there is nobody: a sentence of five lines, its own address in it three times.
_NOBODY = re.compile(r"Pool\(host='([^']+)', port=(\d+)\).*?\[Errno -?\d+\] ([^\")]+)", re.DOTALL)
_AT_ROW = "(at row "


# What the driver logs of a failure it also raises, and we translate: where the application logs nothing, Python would print it.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())


class Store:
    """An open event store. Raises `StoreError` (or `BadRows`) and nothing else."""

    def __init__(self, connect: Connect, *, database: str, may_be_cluster: bool = False) -> None:
        self.database = database
        self._may_be_cluster = may_be_cluster
        self._connect = connect
        self._local = threading.local()
        self._clients: list[Any] = []
        self._lock = threading.Lock()
        self._closed = False
        self._store_id = ""

    def query(
        self, sql: str, params: Params | None = None, *, settings: Mapping[str, object] | None = None
    ) -> pyarrow.Table:
        """Rows as Arrow. `{name:Type}` in the text is bound by the engine. No trailing FORMAT or SETTINGS in `sql`."""
        clause = "" if not settings else " SETTINGS " + ", ".join(f"{k} = {_literal(v)}" for k, v in settings.items())
        with self._client() as client:
            data = client.raw_query(sql + clause, parameters=dict(params or {}), fmt="Arrow")
            return pyarrow.ipc.open_file(io.BytesIO(data)).read_all() if data else pyarrow.table({})

    def rows(self, sql: str, params: Params | None = None) -> list[dict[str, object]]:
        """Rows as dicts: strings as str, fixed strings as bytes, times as aware datetimes, maps as dicts."""
        found: list[dict[str, object]] = self.query(sql, params).to_pylist(maps_as_pydicts="strict")
        return found

    def command(self, sql: str, params: Params | None = None) -> None:
        """Run a statement that answers nothing."""
        with self._client() as client:
            client.command(sql, parameters=dict(params or {}))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows of a derived table."""
        if rows:
            with self._client() as client:
                client.insert(table, rows, column_names=list(columns))

    def raw_insert(
        self, table: str, data: bytes, *, fmt: str = "JSONEachRow", settings: Mapping[str, object] | None = None
    ) -> None:
        """Insert bytes that are already in one of the engine's formats.

        Raises:
            BadRows: a row does not parse; nothing of the block was inserted.
        """
        with self._client() as client:
            client.raw_insert(table, insert_block=data, fmt=fmt, settings=dict(settings or {}))

    @property
    def store_id(self) -> str:
        """Random, made with the store and kept in it: a wiped store has another."""
        if not self._store_id:
            self._store_id = self._read_store_id()
        return self._store_id

    def migrate(self) -> list[int]:
        """Bring the schema up to date; the versions that were applied.

        Raises:
            StoreError: the store's schema is not ours, or its tables are replicated only in part.
        """
        cluster = self._cluster() if self._may_be_cluster else ""
        rewrite = partial(replicated, cluster=cluster) if cluster else str
        done = migrate(self.command, self._applied, migrations=load_migrations(), rewrite=rewrite)
        tables = self.rows("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
        check_not_mixed({str(table["name"]): str(table["engine"]) for table in tables})
        return done

    def _cluster(self) -> str:
        """The name of the self-managed cluster this server says it belongs to, by its macros; Cloud has none."""
        rows = self.rows("SELECT macro, substitution FROM system.macros WHERE macro IN ('cluster', 'replica')")
        macros = {str(row["macro"]): str(row["substitution"]) for row in rows}
        return macros.get("cluster", "") if "replica" in macros else ""

    def wipe(self) -> None:
        """Drop everything in this database and make the schema anew: another, empty store, with another `store_id`.

        The identity goes first, so that whatever is left by a death in between belongs to no store that was shipped to.
        """
        found = self.rows(
            "SELECT name, engine FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary"
            " ORDER BY name != 'store_identity', name != 'schema_migration', NOT endsWith(engine, 'View'), name"
        )
        for table in found:
            self.command(f"DROP TABLE IF EXISTS `{table['name']}` SYNC")
        self._store_id = ""
        self.migrate()

    def close(self) -> None:
        """Close every thread's client. May be called twice."""
        with self._lock:
            self._closed = True
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _applied(self) -> dict[int, str]:
        rows = self.query("SELECT version, sha256 FROM schema_migration").to_pylist()
        return {int(row["version"]): str(row["sha256"]) for row in rows}

    def _read_store_id(self) -> str:
        rows = self.rows("SELECT store_id FROM store_identity ORDER BY store_id LIMIT 1")
        if not rows:
            self.command(f"INSERT INTO store_identity VALUES ('{uuid4().hex}')")
            return self._read_store_id()
        return str(rows[0]["store_id"])

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with translated():
            client = getattr(self._local, "client", None)
            if client is None or self._closed:
                client = self._open_client()
            try:
                yield client
            except BaseException:  # whatever it was, see below
                # chDB 4.4: after a query that failed midway, the next answer of the same handle begins with the failed one's
                # bytes. A fresh handle costs milliseconds.
                self._discard(client)
                raise

    def _discard(self, client: Any) -> None:
        self._local.client = None
        with self._lock:
            if client in self._clients:
                self._clients.remove(client)
        client.close()

    def _open_client(self) -> Any:
        if self._closed:
            raise StoreError("the store is closed")
        client = self._connect()
        with self._lock:
            self._clients.append(client)
        self._local.client = client
        return client


@contextmanager
def translated() -> Iterator[None]:
    """Let nothing of the driver, the engine or Arrow through: only `StoreError` and `BadRows`."""
    try:
        yield
    except StoreError:
        raise
    except (
        ClickHouseError,
        pyarrow.ArrowException,
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
    ) as error:
        text = str(error)
        if nobody := _NOBODY.search(text):
            host, port, why = nobody.groups()
            raise StoreError(
                f"no ClickHouse server answers at {host}:{port}: {why}; is it running, and is store.url right?"
            ) from error
        code = _CODE.search(text)
        # chDB quotes the offending row in its message, and cannot decode the message when the row is no UTF-8.
        quoted = _AT_ROW in text or "codec can't decode" in text
        bad = quoted or (code is not None and int(code[1]) in BAD_ROW_CODES)
        kind = BadRows if bad else StoreError
        raise kind(text[:2000] or type(error).__name__) from error


def open_store(config: StoreConfig, data_dir: Path, *, database: str = "") -> Store:
    """Open the store and bring its schema up to date.

    Args:
        config: limits, and the server's URL when there is one.
        data_dir: the embedded engine lives in ``<data_dir>/store``. One such directory per process.
        database: made when missing; default ``default`` embedded, else the one the URL names.

    Raises:
        StoreError: not reachable, or its schema is not ours.
    """
    connect = connector(config, data_dir, database=database)
    store = Store(connect, database=database or "default", may_be_cluster=bool(config.url))
    store.migrate()
    return store


def connector(config: StoreConfig, data_dir: Path, *, database: str = "") -> Connect:
    """A function that makes a client with this configuration's limits."""
    limits = {"max_execution_time": config.max_query_seconds, "max_memory_usage": config.max_query_memory_bytes}
    settings = {
        **limits,
        "output_format_arrow_string_as_string": 1,
        "output_format_arrow_compression_method": "none",
        # A click, a visitor or a fact is looked up by its projection in tables of any size: as delivered, only from a million rows of a part on.
        "min_table_rows_to_use_projection_index": 0,
    }
    options: dict[str, Any]
    if config.url:
        options = {"dsn": config.url, "autogenerate_session_id": False}
        if config.password:
            options["password"] = config.password
    else:
        options = {"interface": "chdb", "path": str(data_path(data_dir, "store"))}
    with translated():
        if database and database != "default":
            _make_database(options, database)
    if database:
        options["database"] = database

    def connect() -> Any:
        return clickhouse_connect.get_client(**options, settings=settings)

    return connect


def protocol_connector(url: str, *, password: str) -> Connect:
    """A function that makes a client of our read-only protocol (`core.store.read_server`).

    It sends no settings: the protocol sets its limits itself and locks all of them, and of a locked setting that it is told to
    send the driver warns or refuses.
    """
    return lambda: clickhouse_connect.get_client(dsn=url, password=password, autogenerate_session_id=False)


def _make_database(options: dict[str, Any], database: str) -> None:
    client = clickhouse_connect.get_client(**options)
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    finally:
        client.close()


def _literal(value: object) -> str:
    if isinstance(value, int | float):
        return str(int(value) if isinstance(value, bool) else value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
