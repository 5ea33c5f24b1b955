"""A Stripe account on loopback, and the source and hook that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.stripe.collector import StripeSource
from collectors.stripe.config import StripeConfig, StripeConnection
from collectors.stripe.hook import StripeHook
from tests.collectors.sandboxes.stripe import StripeSandbox


@pytest.fixture
def stripe(tmp_path: Path, clock: Any) -> Iterator[StripeSandbox]:
    with StripeSandbox(tmp_path / "stripe", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def connect(stripe: StripeSandbox) -> Callable[..., StripeConnection]:
    def connect(**fields: Any) -> StripeConnection:
        own = stripe.connection(name="shop", webhook_secret_file=str(stripe.secret_file))
        return StripeConnection(**(own | fields))

    return connect


@pytest.fixture
def source(connect: Callable[..., StripeConnection]) -> Iterator[StripeSource]:
    source = StripeSource(connect(), config=StripeConfig())
    yield source
    source.close()


@pytest.fixture
def hook(connect: Callable[..., StripeConnection]) -> StripeHook:
    return StripeHook(connect(), config=StripeConfig())
