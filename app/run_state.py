"""What runs on a data directory: a lock that dies with its holder, and a status file in which tools find ports and processes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

import msgspec

from core.errors import ClicktraceError
from core.settings import data_path


class AlreadyRunning(ClicktraceError):
    """Another supervisor holds this data directory."""


class ChildState(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    pid: int | None
    restarts: int


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `<data_dir>/run/<role>.json`; `ports` by name: redirect, monitor, otlp, read, public."""

    pid: int
    started_at: int
    hosts: dict[str, str]
    ports: dict[str, int]
    children: list[ChildState]
    console: str = ""
    admin_key_file: str = ""


def state_path(data_dir: Path, role: str = "up") -> Path:
    return data_path(data_dir, "run", f"{role}.json")


def write_state(data_dir: Path, state: RunState, *, role: str = "up") -> None:
    """Replace the status file in one step: a reader sees the old or the new one, never half of it."""
    path = state_path(data_dir, role)
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
    fresh.replace(path)


def read_state(data_dir: Path, *, role: str = "up") -> RunState | None:
    """The status of the running system, or None when nothing runs (a file left by a killed supervisor counts as nothing)."""
    try:
        state = msgspec.json.decode((data_dir / "run" / f"{role}.json").read_bytes(), type=RunState)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return state if _alive(state.pid) else None


def running(data_dir: Path) -> RunState | None:
    """The status of whatever serves this data directory: `clicktrace up`, else `clicktrace monitor`, else `clicktrace redirect`."""
    for role in ("up", "monitor", "redirect"):
        state = read_state(data_dir, role=role)
        if state is not None:
            return state
    return None


def lock(data_dir: Path, parts: list[str]) -> list[IO[bytes]]:
    """Hold `<data_dir>/run/<part>.lock` of every part for as long as the returned files stay open.

    Raises:
        AlreadyRunning: another supervisor holds one of them.
    """
    held: list[IO[bytes]] = []
    for part in parts:
        file = data_path(data_dir, "run", f"{part}.lock").open("ab")
        held.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for other in held:
                other.close()
            raise AlreadyRunning(
                f"{part} already runs on {data_dir}: stop it first, or choose another data_dir (CLICKTRACE_DATA_DIR)"
            ) from None
    return held


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
