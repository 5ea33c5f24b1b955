"""Migrated databases that tests use one after the other: making one takes half a second of processor time, emptying one a few ms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from core.settings import StoreConfig
from core.store.client import Store, connector, open_store

#: What the schema of a database is told by: a table that was made again or altered is another one.
_SHAPE = """SELECT count() AS tables, sum(cityHash64(name, uuid, metadata_modification_time)) AS mark
    FROM system.tables WHERE database = {database:String}"""
_USED = """SELECT DISTINCT table FROM system.parts
    WHERE database = {database:String} AND active AND table != 'schema_migration'"""


class Databases:
    """Clean databases of one engine. A test gets one for itself; afterwards it is emptied, or dropped when its schema was touched."""

    def __init__(self, engine_dir: Path) -> None:
        self._engine_dir = engine_dir
        self._clean: dict[str, object] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """The engine stays up meanwhile: it goes down with its last client, and to come up takes longer than most tests."""
        self._admin = Store(connector(StoreConfig(), self._engine_dir), database="default")
        self._admin.rows("SELECT 1")
        try:
            yield
        finally:
            self._admin.close()

    @contextmanager
    def one(self) -> Iterator[Store]:
        """An open store, empty and with an identity of its own."""
        name, shape = self._clean.popitem() if self._clean else (f"test_{uuid4().hex}", None)
        store = open_store(StoreConfig(), self._engine_dir, database=name)
        shape = shape or self._shape(name)
        try:
            yield store
        finally:
            store.close()
            self._take_back(name, shape)

    def _take_back(self, name: str, shape: object) -> None:
        if self._shape(name) != shape:
            self._admin.command(f"DROP DATABASE {name} SYNC")
            return
        for row in self._admin.rows(_USED, {"database": name}):
            self._admin.command(f"TRUNCATE TABLE {name}.{row['table']} SYNC")
        self._clean[name] = shape

    def _shape(self, name: str) -> object:
        return self._admin.rows(_SHAPE, {"database": name})[0]
