"""What was appended is in the file, whole and in order, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from core.clock import now_ms
from core.errors import JournalError
from core.journal.reader import iter_lines, list_segments
from core.journal.segment import is_final
from core.journal.writer import JournalWriter
from core.records import Click, Line
from core.settings import JournalConfig
from tests.conftest import FakeClock
from tests.core.lines import click, touch

ROOT = Path(__file__).parents[3]


def everything(directory: Path) -> list[Line]:
    return [line for segment in list_segments(directory) for line in iter_lines(segment.path)]


def numbers(directory: Path) -> list[int]:
    return [int(line.record.click_id, 16) - 1 for line in everything(directory) if isinstance(line.record, Click)]


def wait_until(condition: object, *, seconds: float = 5.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_line_is_in_the_file_when_append_returns(journal: JournalWriter, journal_dir: Path) -> None:
    journal.append(click(1))
    (segment,) = list_segments(journal_dir)
    raw = segment.path.read_bytes()
    assert raw.startswith(b'{"kind":"click",')
    assert raw.endswith(b'"v":2,"known_at":1790000000000,"o":0}\n')


def test_each_line_says_where_it_stands(journal: JournalWriter, journal_dir: Path) -> None:
    journal.append(click(1))
    journal.append_many([click(2), touch(3)])
    journal.append_encoded([msgspec.json.encode(click(4)), msgspec.json.encode(click(5))])
    (segment,) = list_segments(journal_dir)
    raw = segment.path.read_bytes()
    for line in everything(journal_dir):
        assert raw[line.envelope.o :].startswith(b'{"kind":')
        assert line.envelope.o == 0 or raw[line.envelope.o - 1 : line.envelope.o] == b"\n"
    assert numbers(journal_dir) == [1, 2, 4, 5]
    assert journal.stats.appended == 5
    assert journal.stats.bytes == len(raw)


def test_imported_history_keeps_the_known_at_it_claims_and_says_so(journal: JournalWriter, journal_dir: Path) -> None:
    assert journal.append_many([click(1), click(2)], known_at=[5, 6]) == 2
    journal.append(click(3), known_at=7)
    journal.append(click(4))
    assert [(one.envelope.known_at, one.envelope.claimed) for one in everything(journal_dir)] == [
        (5, True),
        (6, True),
        (7, True),
        (1_790_000_000_000, False),
    ]


def test_known_at_does_not_fall_when_the_clock_is_set_back_a_little(
    journal: JournalWriter, journal_dir: Path, clock: FakeClock
) -> None:
    journal.append(click(1))
    clock.advance(-5_000)
    journal.append(click(2))
    stamps = [line.envelope.known_at for line in everything(journal_dir)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("back_ms", [1_000, 59_999, 60_000, 61_000, 120_000, 299_000, 301_000, 3_600_000])
def test_however_far_the_clock_is_set_back_known_at_falls_within_no_segment(
    journal: JournalWriter, journal_dir: Path, clock: FakeClock, back_ms: int
) -> None:
    """As-of answers rest on it: the first line of a segment that is not shipped yet has the earliest stamp of those left."""
    for number in range(3):
        journal.append(click(number))
        clock.advance(40_000)
    clock.advance(-back_ms)
    for number in range(3, 6):
        journal.append(click(number))
        clock.advance(1_000)
    assert sorted(numbers(journal_dir)) == list(range(6))
    for segment in list_segments(journal_dir):
        stamps = [line.envelope.known_at for line in iter_lines(segment.path)]
        assert stamps == sorted(stamps)
    assert len(list_segments(journal_dir)) == (1 if back_ms < 100_000 else 2), (
        "a small step is held, a large one is believed"
    )


def test_segments_rotate_by_size(journal_dir: Path, clock: FakeClock) -> None:
    writer = JournalWriter(journal_dir, config=JournalConfig(segment_max_bytes=2**16), clock=clock)
    for number in range(1_000):
        writer.append(click(number))
        clock.advance(1)
    writer.close()
    sizes = [segment.path.stat().st_size for segment in list_segments(journal_dir)]
    assert len(sizes) > 3
    assert max(sizes) < 2**16 + 1_000
    assert numbers(journal_dir) == list(range(1_000))


def test_an_idle_segment_rotates_by_age_without_another_append(
    journal: JournalWriter, journal_dir: Path, clock: FakeClock
) -> None:
    journal.append(click(1))
    (segment,) = list_segments(journal_dir)
    assert not is_final(segment)
    clock.advance(300_000)
    wait_until(lambda: is_final(segment))
    journal.append(click(2))
    assert len(list_segments(journal_dir)) == 2


def test_an_idle_writer_makes_no_empty_segments(journal: JournalWriter, journal_dir: Path, clock: FakeClock) -> None:
    clock.advance(10**9)
    journal.flush()
    assert list_segments(journal_dir) == []


def test_dirty_data_is_synced_within_the_interval(journal_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[float] = []
    last = 0.0
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(time.monotonic()), real(fd)))
    writer = JournalWriter(journal_dir, config=JournalConfig())
    for number in range(50):
        last = time.monotonic()
        writer.append(click(number))
        time.sleep(0.01)
    wait_until(lambda: synced and synced[-1] >= last)
    gaps = [later - earlier for earlier, later in pairwise(synced)]
    writer.close()
    # The interval is 100 ms and the machine is shared; a lost wake-up would show as a second.
    assert max(gaps) < 0.5
    assert len(synced) < 20  # and one fsync is shared by the lines of an interval


def test_a_commit_returns_after_an_fsync_that_began_after_the_write(
    journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the sync thread took the lines first and is still busy with them."""
    entered, go_on = threading.Event(), threading.Event()
    finished: list[str] = []
    real = os.fdatasync

    def slow(fd: int) -> None:
        entered.set()
        assert go_on.wait(10)
        real(fd)
        finished.append("fdatasync")

    monkeypatch.setattr(os, "fdatasync", slow)
    journal.append(click(1))
    assert entered.wait(5), "the sync thread has the line"
    committed: list[bool] = []
    committing = threading.Thread(target=lambda: committed.append(journal.commit()))
    committing.start()
    committing.join(0.2)
    assert committed == []
    go_on.set()
    committing.join(10)
    assert committed == [True]
    assert finished == ["fdatasync"]


def test_a_commit_says_when_an_fsync_failed_even_that_of_the_sync_thread(
    journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        journal.append(click(1))
        assert not journal.commit()
    journal.append(click(2))
    assert journal.commit()


def test_an_interval_of_zero_answers_after_fsync(journal_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (calls.append(fd), real(fd)))
    writer = JournalWriter(journal_dir, config=JournalConfig(fsync_interval_ms=0))
    for number in range(5):
        writer.append(click(number))
        assert len(calls) > number
    writer.close()


def test_threads_share_a_writer_and_lose_nothing(journal: JournalWriter, journal_dir: Path) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 200):
            journal.append(click(number))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 1_600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(journal_dir)) == list(range(1_600))


def test_a_closed_writer_refuses_and_closing_twice_is_fine(journal: JournalWriter) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalError):
        journal.append(click(1))


# --- real death ------------------------------------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.core.lines import click
writer = JournalWriter(Path(sys.argv[1]), config=JournalConfig(segment_max_bytes=2**16))
for number in range(10**9):
    writer.append(click(number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_every_acknowledged_line_survives_sigkill(journal_dir: Path) -> None:
    for round_number in range(3):
        directory = journal_dir / str(round_number)
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(500 + 137 * round_number):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait(timeout=10)
        acknowledged = 500 + 137 * round_number + rest.count("\n")
        found = numbers(directory)
        assert found == list(range(len(found)))
        assert acknowledged <= len(found) <= acknowledged + 1
        assert all(is_final(segment) for segment in list_segments(directory))


# --- a disk that refuses ---------------------------------------------------------------------------------------------------------

FULL = """
import json, resource, sys, time
from pathlib import Path
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.core.lines import click
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
writer = JournalWriter(Path(sys.argv[1]), config=JournalConfig(ring_max_bytes=2**16))
for number in range(100):
    writer.append(click(number))
full = writer.stats
healthy = writer.healthy
torn = any(path.read_bytes()[-1:] not in (b"", b"\\n") for path in Path(sys.argv[1]).glob("*.ndjson"))
if sys.argv[3] == "mend":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    deadline = time.monotonic() + 5
    while not writer.healthy and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.append(click(100))
else:
    for number in range(100, 1000):
        writer.append(click(number))
after = writer.stats
writer.close()
print(json.dumps({"appended": full.appended, "unjournaled": full.unjournaled, "error": full.last_error, "healthy": healthy,
                  "torn": torn, "after": after.ring_lines, "lost": after.lost, "lost_at_close": writer.stats.lost}))
"""


def run_full(directory: Path, *, limit: int, then: str) -> dict[str, object]:
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(directory), str(limit), then],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_when_the_disk_refuses_lines_wait_in_memory_and_are_written_when_space_returns(journal_dir: Path) -> None:
    found = run_full(journal_dir, limit=5_000, then="mend")
    assert found["unjournaled"] == 100 - int(str(found["appended"]))
    assert int(str(found["unjournaled"])) > 50
    assert found["error"] == "the disk takes no whole line"  # the kernel refused in the middle of one
    assert found["healthy"] is False
    assert found["torn"] is False
    assert found["after"] == 0
    assert found["lost_at_close"] == 0
    assert numbers(journal_dir) == list(range(101))


def test_what_the_ring_cannot_hold_is_counted_as_lost(journal_dir: Path) -> None:
    found = run_full(journal_dir, limit=5_000, then="overflow")
    assert int(str(found["lost"])) > 0
    journaled = numbers(journal_dir)
    assert journaled == list(range(len(journaled)))
    assert len(journaled) + int(str(found["lost_at_close"])) == 1_000


def test_a_moment_without_files_to_open_ends_no_thread_and_loses_nothing(
    journal_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(journal_dir, config=JournalConfig(segment_max_bytes=2**16))

    def refuse(*_args: object, **_kwargs: object) -> int:
        raise OSError(24, "Too many open files")

    writer.append(click(0))
    with monkeypatch.context() as without:
        without.setattr(os, "dup", refuse)
        without.setattr("core.journal.segment.create", refuse)
        for number in range(1, 1_000):
            writer.append(click(number))
        time.sleep(0.3)
        assert not writer.healthy
        assert writer.commit() is False
        assert writer.stats.ring_lines > 0
    wait_until(lambda: writer.stats.ring_lines == 0)
    writer.append(click(1_000))
    assert writer.healthy
    assert writer.commit()
    writer.close()
    assert sorted(numbers(journal_dir)) == list(range(1_001))


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 64 kB, where it may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        return Path()
    return place


def test_a_full_disk_is_survived_like_any_other_refusal(small_disk: Path, clock: FakeClock) -> None:
    if small_disk == Path():
        return  # not permitted to mount here; the tests above meet the same refusal through RLIMIT_FSIZE
    try:
        writer = JournalWriter(small_disk / "journal", config=JournalConfig(), clock=clock)
        for number in range(400):
            writer.append(click(number))
        assert writer.stats.last_error
        assert not writer.healthy
        subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
        wait_until(lambda: writer.healthy)
        assert writer.stats.lost == 0
        writer.close()
        assert numbers(small_disk / "journal") == list(range(400))
    finally:
        subprocess.run(["umount", small_disk], check=True)


def test_a_writer_that_begins_on_a_full_disk_lives_and_leaves_no_litter(small_disk: Path) -> None:
    """In a process of its own: a hole of a mapped file that the disk cannot fill would kill it."""
    if small_disk == Path():
        return  # not permitted to mount here
    try:
        (small_disk / "journal").mkdir()
        with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        begun = [sys.executable, "-c", BEGUN_ON_A_FULL_DISK, str(small_disk)]
        done = subprocess.run(begun, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        during, lost = json.loads(done.stdout)
        assert len(during) <= 2, "a segment and its mark, however often it was tried"
        assert lost == 0
        assert numbers(small_disk / "journal") == list(range(50))
    finally:
        subprocess.run(["umount", small_disk], check=True)


BEGUN_ON_A_FULL_DISK = """
import json, sys, time
from pathlib import Path
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from tests.core.lines import click
disk = Path(sys.argv[1])
writer = JournalWriter(disk / "journal", config=JournalConfig())
for number in range(50):
    writer.append(click(number))
time.sleep(0.5)
during = sorted(path.name for path in (disk / "journal").iterdir())
assert not writer.healthy
(disk / "filler").unlink()
deadline = time.monotonic() + 5
while not writer.healthy and time.monotonic() < deadline:
    time.sleep(0.01)
writer.close()
print(json.dumps([during, writer.stats.lost]))
"""


def test_lines_from_the_ring_are_stamped_when_they_are_written(journal_dir: Path, clock: FakeClock) -> None:
    """A line that appears later than its `known_at` would change an as-of answer that was already given."""
    writer = JournalWriter(journal_dir, config=JournalConfig(), clock=clock)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        writer.append(click(1))
        assert writer.stats.ring_lines == 1
        clock.advance(60_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    wait_until(lambda: writer.healthy)
    writer.close()
    assert [line.envelope.known_at for line in everything(journal_dir)] == [clock.now]


def test_writers_of_several_processes_share_a_directory(journal_dir: Path) -> None:
    script = KILLED.replace("range(10**9)", "range(50)")
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(journal_dir)], cwd=ROOT, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [child.wait(timeout=30) for child in children] == [0, 0, 0]
    assert sorted(numbers(journal_dir)) == sorted(list(range(50)) * 3)
    assert now_ms() > 0
