"""Both platforms on the wire, and destinations that report to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.uploads.sandboxes.google_data_manager import DataManagerSandbox
from tests.uploads.sandboxes.meta_conversions import MetaConversionsSandbox
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
