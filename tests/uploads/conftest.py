"""Both platforms on the wire, and destinations that report to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig
from core.shipper import Shipper
from tests.conftest import FakeClock
from tests.databases import Databases
from tests.uploads.sandboxes.google_data_manager import DataManagerSandbox
from tests.uploads.sandboxes.meta_conversions import MetaConversionsSandbox
from tests.uploads.world import World
from uploads.google_data_manager.config import GoogleDataManagerConnection
from uploads.google_data_manager.destination import GoogleDataManager
from uploads.meta_conversions.config import MetaConversionsConnection
from uploads.meta_conversions.destination import MetaConversions


@pytest.fixture
def data_manager(tmp_path: Path, clock: FakeClock) -> Iterator[DataManagerSandbox]:
    with DataManagerSandbox(tmp_path / "google", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def meta(tmp_path: Path, clock: FakeClock) -> Iterator[MetaConversionsSandbox]:
    with MetaConversionsSandbox(tmp_path / "meta", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def to_google(data_manager: DataManagerSandbox) -> Iterator[Callable[..., GoogleDataManager]]:
    """Builds a destination; further fields of its settings by name."""
    yield from _builds(GoogleDataManager, GoogleDataManagerConnection, _google(data_manager))


@pytest.fixture
def to_meta(meta: MetaConversionsSandbox) -> Iterator[Callable[..., MetaConversions]]:
    yield from _builds(MetaConversions, MetaConversionsConnection, _meta(meta))


def _builds(kind: Any, settings: Any, own: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """A function that builds destinations of a kind, all closed in the end."""
    built: list[Any] = []

    def build(**fields: Any) -> Any:
        built.append(kind(settings(**(own | fields))))
        return built[-1]

    yield build
    for destination in built:
        destination.close()


def _google(sandbox: DataManagerSandbox) -> dict[str, Any]:
    own = {"name": "google-shop", "account": sandbox.account, "conversions": [{"type": "order", "target": "7001"}]}
    return _shared(sandbox) | own


def _meta(sandbox: MetaConversionsSandbox) -> dict[str, Any]:
    own = {"name": "meta-shop", "dataset": sandbox.dataset, "conversions": [{"type": "order", "target": "Purchase"}]}
    return _shared(sandbox) | own


def _shared(sandbox: DataManagerSandbox | MetaConversionsSandbox) -> dict[str, Any]:
    return {
        "enabled": True,
        "endpoint": sandbox.endpoint,
        "credentials_file": str(sandbox.credentials_file),
        "wait_s": 0,
    }


# --- a world with a store ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world_parts(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """Store, control database, journal, shipper and clock of a module."""
    folder = tmp_path_factory.mktemp("uploads")
    clock = FakeClock()
    with databases.one() as store:
        control = open_control("", folder)
        journal = JournalWriter(folder / "journal", config=JournalConfig(), clock=clock, name="test")
        shipper = Shipper(store, control, folder / "journal", config=JournalConfig(), clock=clock)
        yield store, control, journal, shipper, clock, folder / "journal"
        journal.close()
        control.dispose()


@pytest.fixture
def world(world_parts: tuple[Any, ...]) -> World:
    return World(*world_parts, client=f"c{uuid4().hex[:8]}")


@pytest.fixture
def google(world: World, tmp_path: Path) -> Iterator[DataManagerSandbox]:
    with DataManagerSandbox(tmp_path / "world-google", clock=world.clock) as sandbox:
        yield sandbox


@pytest.fixture
def facebook(world: World, tmp_path: Path) -> Iterator[MetaConversionsSandbox]:
    with MetaConversionsSandbox(tmp_path / "world-meta", clock=world.clock) as sandbox:
        yield sandbox


@pytest.fixture
def google_shop(world: World, google: DataManagerSandbox) -> Iterator[Callable[..., GoogleDataManager]]:
    """A destination of this test's tenant, named after it."""
    own = _google(google) | _of(world, "google")
    yield from _builds(GoogleDataManager, GoogleDataManagerConnection, own)


@pytest.fixture
def meta_shop(world: World, facebook: MetaConversionsSandbox) -> Iterator[Callable[..., MetaConversions]]:
    yield from _builds(MetaConversions, MetaConversionsConnection, _meta(facebook) | _of(world, "meta"))


def _of(world: World, kind: str) -> dict[str, str]:
    return {"name": f"{kind}-{world.client}", "client": world.client, "since": "2026-01-01T00:00:00Z"}
