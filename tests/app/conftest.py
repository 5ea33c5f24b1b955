from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from app.auth import KeyRing

if TYPE_CHECKING:
    from ..conftest import FakeClock


@pytest.fixture
def keys(control: Engine, clock: FakeClock) -> KeyRing:
    return KeyRing(control, clock=clock)
