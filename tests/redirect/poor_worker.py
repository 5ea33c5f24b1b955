"""A worker as a process of an ordinary user, whoever runs the tests. Started by `test_sick_disk.py`."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

from core.settings import JournalConfig
from redirect.config import RedirectConfig
from redirect.worker import run_worker

NOBODY = 65534
#: Bytes a file may have after SIGUSR1, until SIGUSR2.
ROOM = 40_000
_KEEP_CAPABILITIES = 8
_CAPABILITIES_VERSION_3 = 0x20080522
_READ_AND_SEARCH = 1 << 2


def become_ordinary() -> None:
    """An ordinary user's rights to write. Reading and searching stay: the interpreter may live where only root looks."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    # effective, permitted, inheritable; twice, for capabilities 0 to 31 and 32 to 63
    kept = (ctypes.c_uint32 * 6)(_READ_AND_SEARCH, _READ_AND_SEARCH, 0, 0, 0, 0)
    assert libc.capset(header, kept) == 0


def main() -> None:
    wanted = json.loads(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY)))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    signal.signal(signal.SIGUSR2, lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited))
    if wanted["open_files"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted["open_files"], wanted["open_files"]))
    if os.geteuid() == 0:
        become_ordinary()
    run_worker(
        sockets=[wanted["socket"]],
        config=RedirectConfig.model_validate({"allowed_destinations": ["shop.example"]}),
        data_dir=Path(wanted["data_dir"]),
        control_url="",
        index=0,
        journal=JournalConfig.model_validate(wanted["journal"]),
    )


if __name__ == "__main__":
    main()
