"""A PostgreSQL server of our own, for tests that need the other control database."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from core.control.engine import open_control


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a server on a socket in a folder, run as an ordinary user."""
    # Directly below the system's folder: pytest's own are closed to others, and a socket's path is short.
    with TemporaryDirectory(prefix="pg-") as folder:
        yield from _serve(Path(folder))


@contextmanager
def nodes(folder: Path, *, count: int) -> Iterator[list[Engine]]:
    """So many nodes that share the migrated control database of a server of their own."""
    with postgresql() as url:
        engines = [open_control(url, folder) for _ in range(count)]
        yield engines
        for engine in engines:
            engine.dispose()


def _programs() -> Path | None:
    """Where initdb and postgres are; distributions keep them off the path."""
    homes = [Path(found).resolve().parent for found in (shutil.which("initdb"),) if found]
    homes += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((home for home in homes if (home / "initdb").exists() and (home / "pg_ctl").exists()), None)


def _serve(folder: Path) -> Iterator[str]:
    home = _programs()
    assert home is not None, (
        "PostgreSQL is not installed: scripts/test-tools installs it, or apt-get install postgresql"
    )
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody")
        user = {"user": "nobody"}
    run = {"check": True, "capture_output": True, "timeout": 60, "cwd": "/", **user}
    subprocess.run([home / "initdb", "-D", folder / "data", "-A", "trust", "-U", "clicktrace", "--no-sync"], **run)  # type: ignore[call-overload]
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    start = [home / "pg_ctl", "-D", folder / "data", "-w", "-o", options, "-l", folder / "log", "start"]
    subprocess.run(start, **{**run, "capture_output": False})  # type: ignore[call-overload]
    yield f"postgresql+psycopg://clicktrace@/postgres?host={folder}"
    subprocess.run([home / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
