"""Opens the control database: SQLite in WAL mode beside the journal, or PostgreSQL, migrated to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from core.settings import data_path

MIGRATIONS = Path(__file__).parent / "migrations"


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
        upgrade(engine)
    return engine


def upgrade(engine: Engine) -> None:
    """Run the numbered migrations that this database lacks."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With WAL, NORMAL loses nothing when a process dies; FULL would cost an fsync per commit of every shipped range.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
