"""A HubSpot portal on loopback, and the source and hook that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.hubspot.collector import HubspotSource
from collectors.hubspot.config import HubspotConfig, HubspotConnection
from collectors.hubspot.hook import HubspotHook
from tests.collectors.sandboxes.hubspot import HubspotSandbox

CONFIG = HubspotConfig(searches_per_second=1_000)


@pytest.fixture
def hubspot(tmp_path: Path, clock: Any) -> Iterator[HubspotSandbox]:
    with HubspotSandbox(tmp_path / "hubspot", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def connect(hubspot: HubspotSandbox) -> Callable[..., HubspotConnection]:
    def connect(**fields: Any) -> HubspotConnection:
        own = hubspot.connection(name="sales", currency="EUR", webhook_secret_file=str(hubspot.secret_file))
        return HubspotConnection(**(own | fields))

    return connect


@pytest.fixture
def source(connect: Callable[..., HubspotConnection]) -> Iterator[HubspotSource]:
    source = HubspotSource(connect(), config=CONFIG)
    yield source
    source.close()


@pytest.fixture
def hook(connect: Callable[..., HubspotConnection]) -> HubspotHook:
    return HubspotHook(connect(), config=CONFIG)
