"""SIGKILL at every step of an erasure: what is cut short is finished by the next life, nothing of the person is left, the neighbour stays.

The whole way in real processes (`dying_eraser`) at six steps here and before every single change in the long tests; there also a sweep through
a journal with what a killed compression left, before every single system call.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

#: Sweeps a copy of the same journal again and again in a forked process, which is killed before its n-th write, and finishes it.
STORY = """
import json, os, shutil, signal, sys
from contextlib import nullcontext
from pathlib import Path
from core.erasure.identifiers import Pseudonyms
from core.erasure.segments import search, sweep
from core.erasure.tombstones import ALWAYS, Tombstones
from core.journal import segment
from core.journal.segment import compress, list_segments
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.core.erasure.people import ANNA, FIRST, SECOND, SECRETS, annas, bens

home = Path(sys.argv[1])
first = home / "first"
for number in range(3):
    writer = JournalWriter(first, config=JournalConfig())
    writer.append_many([*annas(), *bens()])
    writer.close()
compress(list_segments(first)[0])
stones = Pseudonyms(b"k")
wanted = {"visitor_id": {ANNA}, "click_id": {FIRST, SECOND}, "crm_id": {"crm-anna"}, "order_id": {"17", "18"}}
tombstones = Tombstones(stones, {stones.of(n, v): ALWAYS for n, vs in wanted.items() for v in vs})

def killed_at(count):
    '''In a child: die before the count-th system call that changes a file.'''
    seen = 0
    def counted(real):
        def call(*args, **options):
            nonlocal seen
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    for name in ("write", "fsync", "rename", "unlink", "open"):
        setattr(os, name, counted(getattr(os, name)))
    Path.rename, Path.unlink = counted(Path.rename), counted(Path.unlink)

outcomes = []
for count in range(1, 200):
    here = home / f"at-{count}"
    shutil.copytree(first, here)
    plain = list_segments(here)[1]
    # What a killed compression leaves: both forms, and half of a new one.
    (here / f"{plain.name}.ndjson.zst").write_bytes(b"old form " + ANNA.encode())
    (here / f".{plain.name}.ndjson.zst.new").write_bytes(b"half " + ANNA.encode())
    before = {one.name: segment.read_range(one, start=0) for one in list_segments(here)}
    child = os.fork()
    if child == 0:
        killed_at(count)
        sweep(here, tombstones, paused=nullcontext)
        os._exit(0)
    died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    # Between any two steps every segment is whole: its old generation or its new one.
    between = {one.name: segment.read_range(one, start=0) for one in list_segments(here)}
    whole = all(len(between[name]) == len(data) and between[name].endswith(b"\\n") for name, data in before.items())
    sweep(here, tombstones, paused=nullcontext)
    found = search(here, tombstones)
    files = b"".join(segment.read_range(one, start=0) for one in list_segments(here))
    raw = b"".join(path.read_bytes() for path in here.iterdir())
    left = [secret for secret in SECRETS if secret.encode() in files + raw]
    outcomes.append({"died": died, "whole": whole, "found": found.found, "left": left, "lines": found.lines})
    shutil.rmtree(here)
    if not died:
        break
print(json.dumps(outcomes))
"""


#: Journal, derived table, a kind's own table, the transaction of dead letters, sent log and lives of postbacks, what was done.
STEPS = (
    "journal rename",
    "store ALTER TABLE conversion_match",
    "store ALTER TABLE click",
    "store ALTER TABLE incident",
    "control DELETE FROM uploads",
    "control INSERT INTO erasure_nodes",
)
#: Where the long test dies, too, among others.
KEPT = {
    "control UPDATE erasures", "journal write", "journal fsync", "store INSERT INTO erasure_line",
    "store ALTER TABLE conversion_key", "store ALTER TABLE conversion", "store ALTER TABLE touch", "store ALTER TABLE span",
    "control DELETE FROM dead_letters", "control DELETE FROM postback_lives", "control UPDATE actions", "control UPDATE checkpoints",
    "control COMMIT", "control PRAGMA wal_checkpoint", *STEPS,
}  # fmt: skip
#: Rows of Ben and of both; the tombstone record stands twice when death came between its line and the note that it is there.
LEFT = {"click": 2, "touch": 1, "conversion": 1, "span": 1, "incident": 1, "upload": 1}


def lives(folder: Path, *changes: str, timeout_s: int) -> list[dict[str, Any]]:
    """Every installation's end, after it was seen that nothing of the person is left in it and all of the neighbour."""
    command = [sys.executable, "-m", "tests.core.erasure.dying_eraser", str(folder), *changes]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=True)
    told = json.loads(ran.stdout.splitlines()[-1])
    for life in told["lives"]:
        assert (life["state"], life["clean"], life["left"], life["agrees"]) == ("done", True, [], True), life
        assert life["ben"] == told["before"], life["died"]
        assert {kind: count for kind, count in life["rows"].items() if kind != "erasure"} == LEFT, life["died"]
    found: list[dict[str, Any]] = told["lives"]
    return found


def test_an_erasure_that_is_killed_again_and_again_is_finished_and_the_neighbour_stays(tmp_path: Path) -> None:
    (life,) = lives(tmp_path, *STEPS, timeout_s=120)
    assert life["died"] == list(STEPS)


@pytest.mark.long
@pytest.mark.timeout(1700)
def test_an_erasure_that_is_killed_before_any_change_is_finished_by_the_next_life(tmp_path: Path) -> None:
    ends = lives(tmp_path, timeout_s=1500)
    assert ends[-1]["died"] == [], "the last one ran through"
    assert {change for end in ends for change in end["died"]} >= KEPT
    assert len(ends) > len(KEPT)
    print(f"{len(ends) - 1} kills, one before each change to journal, store and control database")


@pytest.mark.long
def test_a_sweep_that_is_killed_before_any_write_leaves_whole_segments_and_is_finished_by_the_next(
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STORY, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    outcomes = json.loads(ran.stdout)
    assert sum(one["died"] for one in outcomes) >= 12
    assert not outcomes[-1]["died"], "the last one ran through"
    assert all(one["whole"] and one["found"] == 0 and one["left"] == [] and one["lines"] == 54 for one in outcomes), (
        outcomes
    )
