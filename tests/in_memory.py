"""A folder in memory for what a test process writes and never needs again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

#: Linux keeps files there in memory; a container may give it no more than 64 MB.
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 2**31
_PREFIX = "clicktrace-tests-"


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory that goes with its user; `otherwise` where there is no room for one."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield otherwise
        return
    _sweep()
    with TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _sweep() -> None:
    """Remove what processes that were killed have left."""
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
