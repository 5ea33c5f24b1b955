"""How many connections a worker can hold: each is an open file, and the journal, the database and the logs need some, too.

Without this, a thousand idle connections (the usual limit of a process is 1,024 open files) would leave the journal none for its next segment, and
the kernel would close new connections without a word.
"""

from __future__ import annotations

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

#: For everything that is no connection: segments of the journal, the control database and its log, certificates, the event loop.
RESERVE: Final = 128


def room_for(connections: int) -> int:
    """Raise this process's soft limit of open files as far as it needs and may; returns how many of these connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    permitted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (permitted, hard))
    except (OSError, ValueError):  # a sandbox forbids it
        permitted = soft
    room = max(1, permitted - RESERVE)
    if room < connections:
        log.warning(
            "fewer connections than configured: too few open files are permitted",
            connections=room,
            open_files=permitted,
        )
    return min(connections, room)
