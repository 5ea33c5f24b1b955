"""What really happened, written by the demo beside the product's data directory and read only by the checker, after the end."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.demo.scenarios import Plan


class Truth(msgspec.Struct, kw_only=True):
    """Times are ms since the epoch, 0 = did not happen; counters are the visitors' own."""

    plan: Plan
    doors_open: int = 0
    onset: int = 0
    acted: int = 0
    fixed: int = 0
    ended: int = 0
    counts_at_onset: dict[str, int] = {}
    counts_at_action: dict[str, int] = {}
    counts_at_end: dict[str, int] = {}
    seconds: dict[str, float] = {}
    #: CPU seconds by process when the doors opened, and at the end.
    cpu_at_start: dict[str, float] = {}
    cpu_at_end: dict[str, float] = {}

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2))


def read_truth(path: Path) -> Truth:
    return msgspec.json.decode(path.read_bytes(), type=Truth)
