"""One shop for all tests of the snippet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .shop import Site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("site"))
    yield running
    running.stop()
