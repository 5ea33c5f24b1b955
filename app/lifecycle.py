"""The life of a process that `app.up` started: its settings and sockets, and how it learns that it must stop.

A child's standard input is a pipe from its supervisor. The first line is the child's assignment; the end of the pipe means that the
supervisor is gone, killed or not, and the child stops as if it had been asked to.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import IO

import msgspec

#: A child that did not stop by itself this long after its supervisor died ends at once: an orphan would hold the engine's directory.
ORPHAN_GRACE_S = 20.0
ORPHAN_EXIT_CODE = 70
#: The exit code of a wrong configuration (sysexits EX_CONFIG): restarting cannot help.
CONFIG_EXIT_CODE = 78


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor tells a child: its role, the settings it validated, and listening sockets by name.

    The settings travel pickled: read back from JSON, a duration would be a bare number, which its field rightly refuses.
    """

    role: str
    settings: bytes
    sockets: dict[str, int]
    index: int = 0


def send_assignment(pipe: IO[bytes], assignment: Assignment) -> None:
    """Write the assignment as one line; the pipe stays open for as long as the supervisor lives."""
    pipe.write(msgspec.json.encode(assignment) + b"\n")
    pipe.flush()


def receive_assignment(pipe: IO[bytes] | None = None) -> Assignment:
    """Read the assignment from standard input and watch the pipe from then on."""
    # Unbuffered, because a daemon thread inside sys.stdin's buffer aborts the interpreter when it shuts down.
    source = os.fdopen(0, "rb", buffering=0, closefd=False) if pipe is None else pipe
    line = source.readline()
    assignment = msgspec.json.decode(line, type=Assignment)
    threading.Thread(target=_watch, args=(source,), name="supervisor-watch", daemon=True).start()
    return assignment


def inherited(descriptor: int) -> socket.socket:
    """The listening socket behind an inherited descriptor."""
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def _watch(pipe: IO[bytes]) -> None:
    while pipe.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(ORPHAN_GRACE_S, lambda: os._exit(ORPHAN_EXIT_CODE))
    timer.daemon = True
    timer.start()
