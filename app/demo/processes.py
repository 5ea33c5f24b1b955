"""The demo's child processes: started with a log file each, stopped in order, gone when the demo is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

STOP_TIMEOUT_S = 20.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildFailed(Exception):
    """A child ended although it should not have; carries the end of its log."""


def _die_with_parent() -> None:
    # A demo that is killed must not leave a simulated world running; a signal handler would not run then.
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process. `said` goes to its standard input as one JSON line, which stays open for more."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        *,
        log: Path,
        said: object = None,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=stdout if stdout is not None else file,
                stderr=file,
                env={**os.environ, **(env or {})},
                preexec_fn=_die_with_parent,  # one system call; no lock of ours is touched between fork and exec
            )
        if said is not None:
            self.say(said)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def say(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        self._process.stdin.flush()

    def check(self) -> None:
        """Raises:
        ChildFailed: it ended.
        """
        if self._process.poll() is not None:
            raise ChildFailed(f"{self.name} ended with code {self._process.returncode}:\n{tail(self.log)}")

    def wait(self, timeout_s: float) -> int:
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # it ended with our last line unread
                    pipe.close()


def python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def clicktrace(*arguments: str) -> list[str]:
    """The product's command, as any customer runs it."""
    return [str(Path(sys.executable).parent / "clicktrace"), *arguments]


def cpu_seconds(root: int) -> float:
    """User and system time of a process and all its living descendants; 0 where there is no /proc."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return round(sum(seconds for pid, seconds in used.items() if _descends(pid, root, parents)), 2)


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root


def tail(log: Path, *, lines: int = 25) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def wait_for_file(path: Path, *, child: Child, timeout_s: float = 20.0) -> dict[str, Any]:
    """A JSON file that a child writes when it is ready.

    Raises:
        ChildFailed: the child ended, or the file did not come in time.
    """
    until = time.monotonic() + timeout_s
    while not path.exists():
        child.check()
        if time.monotonic() > until:
            raise ChildFailed(f"{child.name} is not ready after {timeout_s:.0f} s:\n{tail(child.log)}")
        time.sleep(0.05)
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return found
