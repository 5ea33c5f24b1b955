from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.erasure.eraser import Eraser
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from core.store.client import Store
from tests.conftest import FakeClock, Ship
from tests.core.erasure.people import HOUR


@pytest.fixture
def written(journal_dir: Path, clock: FakeClock) -> Callable[..., None]:
    """Writes records into a segment of their own and closes it."""

    def write(records: object) -> None:
        writer = JournalWriter(journal_dir, config=JournalConfig(), clock=clock, name="past")
        writer.append_many(records)  # type: ignore[arg-type] # records
        writer.close()

    return write


@pytest.fixture
def eraser(
    store: Store, control: Engine, journal_dir: Path, journal: JournalWriter, ship: Ship, clock: FakeClock
) -> Eraser:
    clock.advance(5 * HOUR)
    return Eraser(store, control, journal_dir, journal, node="here", paused=ship.shipper.paused, clock=clock)
