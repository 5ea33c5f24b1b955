"""Work in processes of their own that take turns: an engine directory belongs to one process, and what two sides measure in turn meets the same
mood of the machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

#: Makes what a side works with, in its own process; the function it returns is called once a turn.
Prepare = Callable[..., Callable[[], dict[str, Any]]]
PATIENCE_S = 4 * 3600.0


class Side:
    """A child process that has prepared and waits for its turns."""

    def __init__(self, prepare: Prepare, **arguments: object) -> None:
        # Spawned: a forked child of a process with an engine hangs.
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def prepared(self) -> dict[str, Any]:
        """Wait until it is ready; what preparing brought."""
        return self._receive()

    def turn(self) -> dict[str, Any]:
        """Let it work once; its figures.

        Raises:
            RuntimeError: it failed, with its own words.
        """
        self._ours.send_bytes(b"turn")
        return self._receive()

    def stop(self) -> None:
        self._ours.close()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> dict[str, Any]:
        if not self._ours.poll(PATIENCE_S):
            raise RuntimeError("a side of the measurement does not answer")
        answer: dict[str, Any] = msgspec.json.decode(self._ours.recv_bytes())
        if "failed" in answer:
            raise RuntimeError(str(answer["failed"]))
        return answer


@contextmanager
def sides(*made: Side) -> Iterator[list[Side]]:
    """Those sides, stopped afterwards."""
    try:
        yield list(made)
    finally:
        for side in made:
            side.stop()


def _serve(ours: Connection, prepare: Prepare, arguments: dict[str, object]) -> None:
    try:
        work = prepare(**arguments)
        ours.send_bytes(b"{}")
        while ours.recv_bytes():
            ours.send_bytes(msgspec.json.encode(work()))
    except EOFError:
        pass  # the parent has what it wanted
    except Exception as error:  # noqa: BLE001 - the parent raises it
        ours.send_bytes(msgspec.json.encode({"failed": f"{type(error).__name__}: {error}"}))


def peak_rss_bytes() -> int:
    """The most memory this process held since `forget_peak`, by the kernel."""
    return _status("VmHWM")


def forget_peak() -> int:
    """Begin a new peak; what is held now, bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {name}")
