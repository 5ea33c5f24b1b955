"""A folder in memory for what a test process writes and never needs again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

#: Linux keeps files there in memory; a container may give it no more than 64 MB.
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 2**31
_PREFIX = "clicktrace-tests-"
_LEFT_S = 24 * 3600


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory that goes with its user; `otherwise` where there is no room for one."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield otherwise
        return
    _sweep()
    with TemporaryDirectory(prefix=_PREFIX, dir=_MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _sweep() -> None:
    """Remove what processes that were killed have left: no run of the tests takes a day."""
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process sweeps, too; or it is another user's
            if left.stat().st_mtime < time.time() - _LEFT_S:
                shutil.rmtree(left, ignore_errors=True)
