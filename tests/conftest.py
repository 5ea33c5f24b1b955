"""What every test may ask for: a fresh store, control database and journal, and a clock that stands until it is moved."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from core.shipper import Shipper, ShipReport
from core.store.client import Store
from tests.databases import Databases
from tests.in_memory import folder_in_memory

#: 2026-09-21T14:13:20Z, where the clock of every test begins.
START_MS = 1_790_000_000_000


class FakeClock:
    """Milliseconds that only the test moves."""

    def __init__(self, now: int = START_MS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, ms: int) -> None:
        self.now += ms


class Ship:
    """Ships everything journaled so far; `shipper` is the one that does it."""

    def __init__(self, make: Callable[[], Shipper]) -> None:
        self._make = make
        self._shipper: Shipper | None = None

    @property
    def shipper(self) -> Shipper:
        if self._shipper is None:
            self._shipper = self._make()
        return self._shipper

    def __call__(self) -> ShipReport:
        lines = dead = ranges = size = 0
        while True:
            report = self.shipper.run_once()
            lines, dead = lines + report.lines, dead + report.dead_letters
            ranges, size = ranges + report.ranges, size + report.bytes
            if report.ranges == 0:
                return ShipReport(
                    ranges=ranges, lines=lines, bytes=size, dead_letters=dead, behind_bytes=report.behind_bytes
                )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The one directory of the embedded engine in this process: chDB opens no second one.

    In memory where there is room: it makes and drops so many small files that ext4, which gives out no inode within five seconds of
    its removal, takes a fifth of all processor time to find free ones. What is about disks, kills and restarts uses `tmp_path`.
    """
    with folder_in_memory(otherwise=tmp_path_factory.mktemp("engine")) as folder:
        yield folder


@pytest.fixture(scope="session")
def all_databases(engine_dir: Path) -> Databases:
    return Databases(engine_dir)


@pytest.fixture(scope="module")
def databases(all_databases: Databases) -> Iterator[Databases]:
    """The engine's databases, while it is up: other modules open directories of their own."""
    with all_databases.held():
        yield all_databases


@pytest.fixture
def store(databases: Databases) -> Iterator[Store]:
    """A migrated, empty store of its own: one database in the session's engine."""
    with databases.one() as opened:
        yield opened


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control database that is only copied: migrating one for each test takes longer than most of the tests."""
    engine = open_control("", tmp_path_factory.mktemp("migrated"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return Path(str(engine.url.database))


@pytest.fixture
def control(tmp_path: Path, migrated: Path) -> Iterator[Engine]:
    shutil.copy(migrated, tmp_path / migrated.name)
    engine = open_control("", tmp_path, migrate=False)
    yield engine
    engine.dispose()


@pytest.fixture
def journal_dir(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(journal_dir: Path, clock: FakeClock) -> Iterator[JournalWriter]:
    writer = JournalWriter(journal_dir, config=JournalConfig(), clock=clock, name="test")
    yield writer
    writer.close()


@pytest.fixture
def ship(store: Store, control: Engine, journal_dir: Path, clock: FakeClock) -> Ship:
    return Ship(lambda: Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock))


#: The longest first, one for each process, so that none is left alone with one at the end; above all the story that plays in real time.
_FIRST = ("test_click_to_pause.py", "test_kill.py", "test_situations.py")
#: What measures a time. None of it stands at the end: alone there, it would make the run longer by its own length.
_TIMED = ("test_click_to_pause.py", "test_freshness.py")
#: The rest steps aside for these: there are more processes than cores, because many tests wait most of their time.
_ASIDE = 19


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Thousands of collected tests live to the end: no collector of garbage need look at them again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        timed = item.path.name in _TIMED
        with suppress(PermissionError):  # back from aside only who may
            os.setpriority(os.PRIO_PROCESS, 0, 0 if timed else _ASIDE)
