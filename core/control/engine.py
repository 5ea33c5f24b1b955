"""Opens the control database: SQLite in WAL mode beside the journal, or PostgreSQL, migrated to the newest schema."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url

from core.settings import data_path

MIGRATIONS = Path(__file__).parent / "migrations"
#: Any number that no other program uses on the same PostgreSQL database.
MIGRATION_LOCK = 0x636C6B74


def control_url(url: str, data_dir: Path) -> str:
    """The SQLAlchemy URL in force: the configured one, else SQLite below the data directory."""
    return url or f"sqlite:///{data_path(data_dir, 'control.sqlite')}"


def open_control(url: str, data_dir: Path, *, migrate: bool = True) -> Engine:
    """An engine on the control database; with `migrate`, the schema is brought up to date first."""
    full = control_url(url, data_dir)
    engine = create_engine(full, pool_pre_ping=not full.startswith("sqlite"))
    if make_url(full).get_backend_name() == "sqlite":
        event.listen(engine, "connect", _sqlite_pragmas)
    if migrate:
        with _one_at_a_time(engine, data_dir):
            upgrade(engine)
    return engine


@contextmanager
def _one_at_a_time(engine: Engine, data_dir: Path) -> Iterator[None]:
    """Two processes of a first start must not both make the tables: SQLite runs DDL outside of the transaction that would stop them."""
    if engine.dialect.name != "sqlite":
        # PostgreSQL does run DDL in transactions; the lock makes the second one wait instead of failing.
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        return
    with data_path(data_dir, "control.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, or its holder dies
        yield


def upgrade(engine: Engine, *, to: str = "head") -> None:
    """Run the numbered migrations that this database lacks."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With WAL, NORMAL loses nothing when a process dies; FULL would cost an fsync per commit of every shipped range.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What is deleted is overwritten with zeros: an erased person must not stay readable in free pages.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()
