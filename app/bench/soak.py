"""A long run of one redirect worker at half its maximum rate: does its memory stay, do its answers stay quick, is every click there?

1. find the maximum: `wrk` as fast as it goes, for a few seconds;
2. half of it: as many connections that each pause between requests, corrected once by what they really bring;
3. slices of that load one after the other; after each the memory is read, and finished segments of the journal are counted and
   deleted, because ten minutes of clicks are gigabytes;
4. the end: clicks answered against lines journaled, the first tenth of the time against the last.
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from statistics import median

import msgspec

from app.bench.cases import BROWSER, LINKS
from app.bench.wrk import Round, count_lines, lines_in, rss_mb, run_wrk, wait_until_gone, worker_process
from core.control.engine import open_control
from core.errors import ClicktraceError
from core.journal.segment import list_segments
from redirect.counters import read_all
from redirect.links.store import LinkStore

_SLICE_S = 20
_PAUSE_MS = 4
_SEARCH_S = 5
_CONNECTIONS = 32


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of the soak."""

    per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


def run(*, seconds: int) -> dict[str, object]:
    """Figures of the beginning and the end, and the loss check.

    Raises:
        ClicktraceError: wrk is missing or saw errors.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-soak-") as folder:
        data_dir = Path(folder)
        control = open_control("", data_dir)
        LinkStore(control, allowed_destinations=("shop.example",)).add(LINKS[0], author="bench")
        control.dispose()
        with worker_process(data_dir) as (pid, port):
            load = _Load(data_dir, pid=pid, port=port)
            most = load.run(seconds=_SEARCH_S, connections=_CONNECTIONS, pause_ms=0).per_second
            connections = load.connections_for(most / 2)
            slices = [load.slice(connections=connections) for _ in range(max(2, seconds // _SLICE_S))]
            os.kill(pid, signal.SIGTERM)
            wait_until_gone(pid)
            return _result(load, slices, most=most, connections=connections)


class _Load:
    """wrk against one worker, and what of its journal was counted and deleted already."""

    def __init__(self, data_dir: Path, *, pid: int, port: int) -> None:
        self.data_dir = data_dir
        self.lines = 0
        self._pid = pid
        self._port = port

    def run(self, *, seconds: int, connections: int, pause_ms: int) -> Round:
        script = self.data_dir / "pause.lua"
        script.write_text(f"delay = function() return {pause_ms} end\n" if pause_ms else "")
        headers = [part for name, value in BROWSER.items() for part in ("-H", f"{name}: {value}")]
        arguments = ["-s", str(script), *headers, f"http://127.0.0.1:{self._port}/{LINKS[0].slug}"]
        return run_wrk(arguments, pid=self._pid, seconds=seconds, connections=connections)

    def connections_for(self, per_second: float) -> int:
        """Connections that together make this many requests when each pauses between them."""
        guess = max(1, round(per_second * (_PAUSE_MS + 1) / 1000))
        brought = self.run(seconds=_SEARCH_S, connections=guess, pause_ms=_PAUSE_MS).per_second
        return max(1, round(guess * per_second / brought))

    def slice(self, *, connections: int) -> Slice:
        measured = self.run(seconds=_SLICE_S, connections=connections, pause_ms=_PAUSE_MS)
        self._forget_finished_segments()
        return Slice(
            per_second=measured.per_second,
            p50_ms=measured.p50_ms,
            p99_ms=measured.p99_ms,
            rss_mb=round(rss_mb(self._pid), 1),
        )

    def lost(self) -> int:
        """Answered clicks that are in no segment; only after the worker's end."""
        [counters] = read_all(self.data_dir)
        answered = counters.values["outcome:redirected"]
        if not answered:
            raise ClicktraceError("nothing was answered")
        return answered - self.lines - count_lines(self.data_dir / "journal")

    def _forget_finished_segments(self) -> None:
        for segment in list_segments(self.data_dir / "journal")[:-1]:
            self.lines += lines_in(segment.path)
            segment.path.unlink()


def _result(load: _Load, slices: list[Slice], *, most: float, connections: int) -> dict[str, object]:
    tenth = max(1, len(slices) // 10)
    first, last = _middle(slices[:tenth]), _middle(slices[-tenth:])
    [counters] = read_all(load.data_dir)
    return {
        "parameters": {"seconds": len(slices) * _SLICE_S, "connections": connections, "maximum_per_second": most},
        "first": first,
        "last": last,
        "rss_growth_mb": round(last["rss_mb"] - first["rss_mb"], 1),
        "rss_mb": [one.rss_mb for one in slices],
        "p99_ms": [one.p99_ms for one in slices],
        "answered": counters.values["outcome:redirected"],
        "lost": load.lost(),
    }


def _middle(slices: list[Slice]) -> dict[str, float]:
    return {name: round(median(getattr(one, name) for one in slices), 2) for name in Slice.__struct_fields__}
