"""Both platforms on the wire, and destinations that report to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import open_store
from tests.conftest import FakeClock
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
    built: list[GoogleDataManager] = []

    def build(**fields: Any) -> GoogleDataManager:
        own: dict[str, Any] = {
            "name": "google-shop",
            "enabled": True,
            "endpoint": data_manager.endpoint,
            "account": data_manager.account,
            "credentials_file": str(data_manager.credentials_file),
            "conversions": [{"type": "order", "target": "7001"}],
            "wait_s": 0,
        }
        built.append(GoogleDataManager(GoogleDataManagerConnection(**(own | fields))))
        return built[-1]

    yield build
    for destination in built:
        destination.close()


@pytest.fixture
def to_meta(meta: MetaConversionsSandbox) -> Iterator[Callable[..., MetaConversions]]:
    built: list[MetaConversions] = []

    def build(**fields: Any) -> MetaConversions:
        own: dict[str, Any] = {
            "name": "meta-shop",
            "enabled": True,
            "endpoint": meta.endpoint,
            "dataset": meta.dataset,
            "credentials_file": str(meta.credentials_file),
            "conversions": [{"type": "order", "target": "Purchase"}],
            "wait_s": 0,
        }
        built.append(MetaConversions(MetaConversionsConnection(**(own | fields))))
        return built[-1]

    yield build
    for destination in built:
        destination.close()


# --- a world with a store ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world_parts(engine_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """Store, control database, journal, shipper and clock of a module."""
    folder = tmp_path_factory.mktemp("uploads")
    clock = FakeClock()
    store = open_store(StoreConfig(), engine_dir, database=f"uploads_{uuid4().hex}")
    control = open_control("", folder)
    journal = JournalWriter(folder / "journal", config=JournalConfig(), clock=clock, name="test")
    shipper = Shipper(store, control, folder / "journal", config=JournalConfig(), clock=clock)
    yield store, control, journal, shipper, clock, folder / "journal"
    journal.close()
    control.dispose()
    store.command(f"DROP DATABASE {store.database} SYNC")
    store.close()


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
    built: list[GoogleDataManager] = []

    def build(**fields: Any) -> GoogleDataManager:
        own: dict[str, Any] = {
            "name": f"google-{world.client}",
            "client": world.client,
            "enabled": True,
            "endpoint": google.endpoint,
            "account": google.account,
            "credentials_file": str(google.credentials_file),
            "conversions": [{"type": "order", "target": "7001"}],
            "since": "2026-01-01T00:00:00Z",
            "wait_s": 0,
        }
        built.append(GoogleDataManager(GoogleDataManagerConnection(**(own | fields))))
        return built[-1]

    yield build
    for destination in built:
        destination.close()


@pytest.fixture
def meta_shop(world: World, facebook: MetaConversionsSandbox) -> Iterator[Callable[..., MetaConversions]]:
    built: list[MetaConversions] = []

    def build(**fields: Any) -> MetaConversions:
        own: dict[str, Any] = {
            "name": f"meta-{world.client}",
            "client": world.client,
            "enabled": True,
            "endpoint": facebook.endpoint,
            "dataset": facebook.dataset,
            "credentials_file": str(facebook.credentials_file),
            "conversions": [{"type": "order", "target": "Purchase"}],
            "since": "2026-01-01T00:00:00Z",
            "wait_s": 0,
        }
        built.append(MetaConversions(MetaConversionsConnection(**(own | fields))))
        return built[-1]

    yield build
    for destination in built:
        destination.close()
