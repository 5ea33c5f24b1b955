"""The soak: minutes at half the maximum rate change neither memory nor latency, and every click is in the journal."""

from __future__ import annotations

import json
import os
from typing import Any, cast

import pytest

from app.bench.soak import run

#: `make test-long PART=redirect` runs ten minutes; a first try needs less.
MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))

pytestmark = [pytest.mark.long, pytest.mark.timeout(300 + 120 * MINUTES)]


def test_memory_and_latency_at_the_end_are_those_of_the_beginning() -> None:
    result = cast(dict[str, Any], run(seconds=round(MINUTES * 60)))
    print(json.dumps(result, indent=1))
    first, last = result["first"], result["last"]
    assert result["lost"] == 0
    assert 0.35 < last["per_second"] / result["parameters"]["maximum_per_second"] < 0.65
    assert result["rss_growth_mb"] < 5
    assert last["p99_ms"] < max(2 * first["p99_ms"], first["p99_ms"] + 2)
