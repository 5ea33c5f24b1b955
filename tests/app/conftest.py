from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.auth import KeyRing
from core.control.engine import open_control


class SteppedClock:
    """Milliseconds that only move when a test moves them."""

    def __init__(self, now: int = 1_790_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, ms: int) -> None:
        self.now += ms


@pytest.fixture
def stepped() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def control_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_control("", tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def keys(control_engine: Engine, stepped: SteppedClock) -> KeyRing:
    return KeyRing(control_engine, clock=stepped)
