"""Fixtures of the alerts tests; what they are made of lies in `world.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from core.journal.writer import JournalWriter
from core.store.client import Store
from tests.alerts.world import Clock, FaultyPlatform, World


@pytest.fixture
def google() -> FaultyPlatform:
    """Account google:1 with the campaigns 2 and 3, both delivering."""
    return FaultyPlatform("google", "1")


@pytest.fixture
def world(
    store: Store,
    control: Engine,
    journal: JournalWriter,
    ship: Callable[[], object],
    clock: Clock,
    google: FaultyPlatform,
) -> Iterator[World]:
    """An hour of healthy traffic on four campaigns, and the account google:1."""
    made = World(store, control, journal, ship, clock, {"google:1": google})
    made.fresh()
    made.traffic(c2=10, c3=10, c4=10, c5=10)
    yield made
    made.close()
