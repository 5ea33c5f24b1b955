"""SIGKILL of a process that writes, ships and runs the engine, in the midst of it, again and again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]

COMMON = """
import json, sys, threading
from pathlib import Path
from core.control.engine import open_control
from core.journal.admin import verify
from core.journal.writer import JournalWriter
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import open_store
from tests.core.lines import click, order, touch
home = Path(sys.argv[1])
config = JournalConfig(segment_max_bytes=2**16)
store, control = open_store(StoreConfig(), home), open_control("", home)
shipper = Shipper(store, control, home / "journal", config=config, range_bytes=20_000)
"""

WORK = (
    COMMON
    + """
journal = JournalWriter(home / "journal", config=config)
def write():
    number = 0
    while True:
        journal.append_many([click(number), touch(number), order(number)])
        number += 1
        threading.Event().wait(0.002)
threading.Thread(target=write, daemon=True).start()
print("going", flush=True)
while True:
    shipper.run_once()
"""
)

CHECK = (
    COMMON
    + """
while shipper.run_once().ranges:
    pass
found = verify(home / "journal", store, control)
rows = {kind: store.rows(f"SELECT count() AS n, uniqExact(segment, o) AS u FROM {kind}")[0] for kind in ("click", "touch", "conversion")}
print(json.dumps({"ok": found.ok, "lines": found.lines, "bad": found.bad_lines, "unshipped": found.unshipped_bytes, "rows": rows}))
"""
)


def test_every_line_is_there_once_after_five_real_kills(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "going\n"
        time.sleep(chance.uniform(0.2, 1.2))
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=30)
    result = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(result.stdout)
    assert found["ok"], found
    assert found["lines"] > 300
    # A line torn by the kill is a dead letter, at most one a segment; nothing else is bad, nothing waits.
    assert found["bad"] == 0
    assert sum(row["n"] for row in found["rows"].values()) == found["lines"]
    assert all(row["n"] == row["u"] for row in found["rows"].values())
