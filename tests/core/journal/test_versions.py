"""Journals of older schema versions: read, shipped, rebuilt, imported and erased from as if they had been written today. Newer ones wait."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from collectors.files.history import body_of
from core.erasure.identifiers import Pseudonyms
from core.erasure.lines import clean
from core.erasure.tombstones import ALWAYS, Tombstones
from core.errors import Invalid
from core.journal.admin import rebuild_store, stat, verify
from core.journal.dead_letter import redrive, waiting
from core.journal.reader import decode_line, is_erased, list_segments
from core.journal.segment import create
from core.journal.versions import STEPS, upcast
from core.journal.writer import JournalWriter
from core.records import SCHEMA_VERSION, AnyRecord, Kinds, PlatformClick
from core.settings import JournalConfig
from core.store.client import Store
from tests.conftest import FakeClock, Ship

FIXTURES = Path(__file__).parent / "versions"
VERSIONS = range(1, SCHEMA_VERSION + 1)


def fixture(version: int) -> list[bytes]:
    return (FIXTURES / f"{version}.ndjson").read_bytes().splitlines()


def write(directory: Path, lines: list[bytes]) -> str:
    """A segment of these lines, which keep the offsets they have; its writer is gone."""
    name, descriptor = create(directory, now=1_790_000_000_000)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
    return name


def facts(store: Store, segment: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that a segment brought, by kind, without where it stood."""
    return {
        kind: store.rows(
            f"SELECT * EXCEPT (segment, o, claimed) FROM {kind} WHERE segment = {{segment:String}} ORDER BY ALL",
            {"segment": segment},
        )
        for kind in Kinds.BY_NAME
    }


def test_every_version_has_a_step_to_the_next_and_a_journal_that_it_wrote() -> None:
    assert list(STEPS) == list(VERSIONS)[:-1]
    assert sorted(path.name for path in FIXTURES.glob("*.ndjson")) == sorted(f"{v}.ndjson" for v in VERSIONS)
    assert {decode_line(line, segment="s").envelope.v for line in fixture(SCHEMA_VERSION)} == {SCHEMA_VERSION}


def test_todays_journal_holds_every_kind_and_field_and_loses_none_when_it_is_read() -> None:
    """A field renamed, dropped or newly required needs a new version: then this journal is one of an older version, and there is a step."""
    read = [decode_line(line, segment="s") for line in fixture(SCHEMA_VERSION)]
    assert {line.record.__struct_config__.tag for line in read} == set(Kinds.BY_NAME)
    for line, written in zip(read, fixture(SCHEMA_VERSION), strict=True):
        said = msgspec.json.decode(written, type=dict[str, object])
        kept = msgspec.json.decode(msgspec.json.encode(line.record), type=dict[str, object])
        assert {name: value for name, value in said.items() if name not in ("v", "known_at", "o")} == kept


@pytest.mark.parametrize("version", VERSIONS)
def test_lines_of_every_version_are_records_of_today(version: int) -> None:
    records = [decode_line(line, segment="s").record for line in fixture(version)]
    assert len(records) >= 21
    (told,) = (record for record in records if isinstance(record, PlatformClick))
    assert told.bucket_s == (86_400 if version == 1 else 3600)


def test_an_old_segment_brings_the_same_rows_as_the_same_facts_written_today(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    lines = [decode_line(line, segment="s") for line in fixture(1)]
    journal.append_many([line.record for line in lines], known_at=[line.envelope.known_at for line in lines])
    (today,) = list_segments(journal_dir)
    old = write(journal_dir, fixture(1))
    report = ship()
    assert (report.lines, report.dead_letters, report.excess_rows) == (2 * len(lines), 0, 0)
    shipped = facts(store, old)
    assert shipped == facts(store, today.name)
    assert sum(map(len, shipped.values())) == len(lines)
    assert verify(journal_dir, store, control).ok

    assert [segment.compressed for segment in list_segments(journal_dir) if segment.name == old] == [True]
    rebuilt = rebuild_store(store, control, journal_dir, config=JournalConfig(), clock=clock)
    assert (rebuilt.lines, rebuilt.dead_letters) == (2 * len(lines), 0)
    assert facts(store, old) == shipped


def test_a_line_of_a_newer_version_waits_with_its_bytes_and_holds_nothing_up(
    journal: JournalWriter, journal_dir: Path, ship: Ship, store: Store, control: Engine, clock: FakeClock
) -> None:
    lines = fixture(SCHEMA_VERSION)
    newer = lines[5].replace(b'"v":%d' % SCHEMA_VERSION, b'"v":%d' % (SCHEMA_VERSION + 1))
    name = write(journal_dir, [*lines[:5], newer, *lines[6:]])
    assert ship().dead_letters == 1
    assert sum(map(len, facts(store, name).values())) == len(lines) - 1
    (letter,) = waiting(control)
    assert (letter.reason, letter.line) == ("unknown_version", newer)
    assert (
        f"schema version {SCHEMA_VERSION + 1} is not known; this release reads 1 to {SCHEMA_VERSION}" in letter.detail
    )
    assert stat(journal_dir, control, store_id=store.store_id).dead_letters == {"unknown_version": 1}

    # Driven again by a release that does not know it either, it waits on.
    assert redrive(control, journal, now=clock.now).still_bad == {"unknown_version": 1}
    assert [waited.line for waited in waiting(control)] == [newer]


@pytest.mark.parametrize("version", [0, -1, SCHEMA_VERSION + 1, 10**9])
def test_a_version_that_was_never_written_is_refused_by_name(version: int) -> None:
    with pytest.raises(Invalid, match="schema version") as refusal:
        upcast(b'{"kind":"click"}', version=version)
    assert refusal.value.reason == "unknown_version"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sealed_segment_of_any_version_can_be_imported(version: int) -> None:
    for line in fixture(version):
        body = body_of(line)
        assert msgspec.json.decode(body.encoded, type=AnyRecord) == decode_line(line, segment="s").record


def test_an_import_refuses_a_newer_line_by_name() -> None:
    newer = fixture(SCHEMA_VERSION)[0].replace(b'"v":%d' % SCHEMA_VERSION, b'"v":%d' % (SCHEMA_VERSION + 1))
    with pytest.raises(Invalid, match="schema version"):
        body_of(newer)


def test_a_person_is_erased_from_lines_of_any_version() -> None:
    newer = fixture(SCHEMA_VERSION)[0].replace(b'"v":%d' % SCHEMA_VERSION, b'"v":%d' % (SCHEMA_VERSION + 1))
    for line in (*(fixture(version)[0] for version in VERSIONS), newer):
        click_id = decode_line(fixture(1)[0], segment="s").record.click_id  # type: ignore[union-attr] # the first is a click
        secret = Pseudonyms(b"secret")
        erased = Tombstones(secret, {secret.of("click_id", click_id): ALWAYS})
        cleaned = clean(line + b"\n", erased)
        assert cleaned.erased == {"click": 1}
        assert is_erased(cleaned.data.rstrip(b"\n"))
        assert click_id.encode() not in cleaned.data
        assert len(cleaned.data) == len(line) + 1
