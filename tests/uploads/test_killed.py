"""SIGKILL at any moment, again and again: every order arrives, and none is counted twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from core.clock import now_ms
from core.control.engine import open_control
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.records import Upload as UploadRecord
from tests.collectors.sandboxes.base import Answer, Request
from tests.uploads.sandboxes.meta_conversions import MetaConversionsSandbox
from uploads.sent_log import SentLog

ROOT = Path(__file__).parents[2]
BATCH = 5
#: A life costs seconds; `make test-long PART=collectors` takes more of them.
KILLS = int(os.environ.get("KILL_ROUNDS", "2"))
ORDERS = 100 + 50 * KILLS
#: A claim is taken for lost after the round's and the call's time and a minute.
LATER_MS = 120_000


class SlowSandbox(MetaConversionsSandbox):
    """Every answer takes a while, so that kills fall into calls."""

    def answer(self, request: Request) -> Answer:
        time.sleep(0.01)
        answer = super().answer(request)
        time.sleep(0.01)
        return answer


def test_every_order_arrives_and_none_is_counted_twice(tmp_path: Path) -> None:
    random = Random(7)
    with SlowSandbox(tmp_path / "meta", clock=now_ms) as sandbox:
        for life in range(KILLS):
            child = _start(tmp_path, sandbox, life=life)
            try:
                _wait_for_calls(sandbox, more=3, child=child)
                time.sleep(random.uniform(0.0, 0.08))
            finally:
                child.kill()
            child.wait(5)
        assert len(sandbox.counted) < ORDERS, "the kills came too late to mean anything"
        last = _start(tmp_path, sandbox, life=KILLS)
        try:
            assert last.wait(120) == 0
        finally:
            last.kill()
        batches = [[event["event_id"] for event in batch] for batch in sandbox.batches]
        counted = {identifier: len(events) for (_, identifier), events in sandbox.counted.items()}
    assert counted == {f"o-{number}": 1 for number in range(ORDERS)}
    assert sum(map(len, batches)) - ORDERS <= KILLS * BATCH, "only what was under way at a kill went again"
    _check_log_and_journal(tmp_path)


def _check_log_and_journal(directory: Path) -> None:
    control = open_control("", directory)
    uploads = SentLog(control).find(limit=10_000)
    control.dispose()
    assert {upload.state for upload in uploads} == {"sent"}
    journaled: dict[str, Any] = {}
    for segment in list_segments(directory / "journal"):
        for line in iter_lines(segment.path):
            assert isinstance(line.record, UploadRecord)
            journaled[line.record.event_id] = line.record.state
    assert journaled == {f"o-{number}": "sent" for number in range(ORDERS)}


def _start(directory: Path, sandbox: MetaConversionsSandbox, *, life: int) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "tests.uploads.dying_sender", str(directory), sandbox.endpoint, sandbox.dataset,
        str(sandbox.credentials_file), str(ORDERS), str(life * LATER_MS),
    ]  # fmt: skip
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _wait_for_calls(sandbox: MetaConversionsSandbox, *, more: int, child: subprocess.Popen[str]) -> None:
    wanted, ends = len(sandbox.requests) + more, time.monotonic() + 30
    while len(sandbox.requests) < wanted and time.monotonic() < ends:
        assert child.poll() is None
        time.sleep(0.005)
