"""Names, locks and the compressed form of segments."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from core.errors import Invalid, JournalError
from core.journal import retention, segment
from core.journal.reader import decode_line, iter_lines
from core.journal.writer import JournalWriter
from tests.conftest import FakeClock
from tests.core.lines import click


def test_a_name_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    names = [segment.new_name(1_790_000_000_000 + ms) for ms in range(50)]
    assert all(uuid.UUID(name).version == 7 and uuid.UUID(name).variant == uuid.RFC_4122 for name in names)
    assert [segment.created_ms(name) for name in names] == [1_790_000_000_000 + ms for ms in range(50)]
    assert sorted(names) == names


def test_a_segment_is_final_only_when_its_writer_is_gone(journal_dir: Path) -> None:
    name, fd = segment.create(journal_dir, now=5)
    (found,) = segment.list_segments(journal_dir)
    assert (found.name, segment.is_final(found)) == (name, False)
    os.close(fd)
    assert segment.is_final(found)


def test_other_files_are_no_segments(journal_dir: Path) -> None:
    journal_dir.mkdir()
    for name in ("notes.txt", ".0199-x.ndjson.new", "short.ndjson", "0199.pending"):
        (journal_dir / name).write_text("x")
    assert segment.list_segments(journal_dir) == []
    with pytest.raises(JournalError):
        list(iter_lines(journal_dir / "notes.txt"))


def test_a_compressed_segment_reads_the_same(journal: JournalWriter, journal_dir: Path) -> None:
    journal.append_many([click(number) for number in range(100)])
    journal.close()
    (plain,) = segment.list_segments(journal_dir)
    before, size = segment.read_range(plain, start=0), segment.size(plain)
    packed = segment.compress(plain)
    assert not plain.path.exists()
    assert packed.path.stat().st_size < size / 3
    assert segment.size(packed) == size
    assert segment.read_range(packed, start=100, end=900) == before[100:900]
    assert segment.read_range(plain, start=0) == before  # whoever listed it before finds it under its new name
    assert len(list(iter_lines(packed.path))) == 100


def test_while_both_forms_exist_the_plain_one_counts(journal: JournalWriter, journal_dir: Path) -> None:
    journal.append(click(1))
    journal.close()
    (plain,) = segment.list_segments(journal_dir)
    raw = plain.path.read_bytes()
    segment.compress(plain)
    plain.path.write_bytes(raw)
    (found,) = segment.list_segments(journal_dir)
    assert not found.compressed


def test_only_what_every_store_has_is_compressed_and_only_what_is_shipped_is_dropped(
    journal: JournalWriter, journal_dir: Path, clock: FakeClock
) -> None:
    journal.append(click(1))
    journal.close()
    (one,) = segment.list_segments(journal_dir)
    size = segment.size(one)
    assert retention.compress_next(journal_dir, {one.name}, shipped={one.name: size - 1}) == ""
    assert retention.compress_next(journal_dir, set(), shipped={one.name: size}) == ""
    assert retention.compress_next(journal_dir, {one.name}, shipped={one.name: size}) == one.name
    assert retention.prune(journal_dir, set(), before=clock.now + 1) == []
    assert retention.prune(journal_dir, {one.name}, before=clock.now) == []
    assert retention.prune(journal_dir, {one.name}, before=clock.now + 1) == [one.name]
    assert segment.list_segments(journal_dir) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b'{"kind":"click","v":1,"known_at":1,"o":0}', "not_a_record"),
        (b'{"kind":"nonsense","v":1,"known_at":1,"o":0}', "not_a_record"),
        (b'{"kind":"click","known_at":1,"o":0}', "not_a_record"),
        (b'{"kind":"click","v":99,"known_at":1,"o":0}', "unknown_version"),
        (b'{"kind":"click","v":0,"known_at":1,"o":0}', "unknown_version"),
    ],
)
def test_a_line_that_is_no_record_is_refused_by_name(line: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        decode_line(line, segment="s")
    assert refusal.value.reason == reason


def test_a_torn_last_line_is_left_out(journal: JournalWriter, journal_dir: Path) -> None:
    journal.append_many([click(1), click(2)])
    journal.close()
    (one,) = segment.list_segments(journal_dir)
    with one.path.open("ab") as file:
        file.write(b'{"kind":"click","ts":17')
    assert len(list(iter_lines(one.path))) == 2
