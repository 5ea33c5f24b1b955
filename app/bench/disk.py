"""How many bytes a click takes on disk with everything that belongs to it, and whether a query stays inside the memory it was given."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from app.bench import world
from app.bench.sides import forget_peak, peak_rss_bytes
from app.bench.world import World
from core.clock import now_ms
from core.errors import StoreError
from core.settings import StoreConfig
from core.store.client import Store, open_store

#: 100 million clicks in 18 GB.
AT_MOST_BYTES: Final = 180.0
#: What the hungry query is given, and what the process may grow by: buffers and arenas come on top of what the engine counts.
MEMORY_BYTES: Final = 256 * 2**20
GROWTH_BYTES: Final = 2 * MEMORY_BYTES
#: Every click ID with all that is known of it, in one aggregation: some GB at ten million clicks.
HUNGRY: Final = (
    "SELECT max(length(told)) FROM (SELECT click_id, groupArray(platform_ids) AS told FROM click GROUP BY click_id)"
)


def run(*, days: int, clicks_a_day: int) -> dict[str, object]:
    """Bytes of each column and projection for each click, after merges; and the refusal of a query that wants too much memory."""
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        store = open_store(StoreConfig(max_query_seconds=3600), Path(scratch))
        world.fill(store, World(ends=now_ms(), days=days, clicks_a_day=clicks_a_day))
        store.command("OPTIMIZE TABLE click")
        sizes = _sizes(store)
        store.close()
        bounded = open_store(StoreConfig(max_query_seconds=3600, max_query_memory_bytes=MEMORY_BYTES), Path(scratch))
        refusal, growth = _starve(bounded)
        bounded.close()
    return {**sizes, "refused": refusal, "growth_mib": round(growth / 2**20), "missed": _missed(sizes, refusal, growth)}


def _sizes(store: Store) -> dict[str, Any]:
    whole = store.rows(
        "SELECT sum(rows) AS clicks, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = 'click'"
    )[0]
    clicks = int(str(whole["clicks"]))
    columns = store.rows(
        "SELECT name, data_compressed_bytes AS bytes FROM system.columns"
        " WHERE database = currentDatabase() AND table = 'click' ORDER BY bytes DESC LIMIT 8"
    )
    projections = store.rows(
        "SELECT name, sum(bytes_on_disk) AS bytes FROM system.projection_parts"
        " WHERE active AND database = currentDatabase() AND table = 'click' GROUP BY name ORDER BY bytes DESC"
    )
    return {
        "clicks": clicks,
        "parts": whole["parts"],
        "bytes_a_click": round(int(str(whole["bytes"])) / clicks, 1),
        "largest": {str(row["name"]): round(int(str(row["bytes"])) / clicks, 1) for row in (*projections, *columns)},
    }


def _starve(store: Store) -> tuple[str, int]:
    """The words of the refusal ("" = the query went through), and how much the process grew at most."""
    before = forget_peak()
    try:
        store.query(HUNGRY)
    except StoreError as error:
        return str(error)[:80], peak_rss_bytes() - before
    return "", peak_rss_bytes() - before


def _missed(sizes: dict[str, Any], refusal: str, growth: int) -> list[str]:
    missed = []
    if sizes["bytes_a_click"] > AT_MOST_BYTES:
        missed.append(f"{sizes['bytes_a_click']} bytes a click, at most {AT_MOST_BYTES}")
    if not refusal:
        missed.append(f"a query that needs more than {MEMORY_BYTES >> 20} MiB was not refused")
    if growth > GROWTH_BYTES:
        missed.append(f"the process grew by {growth >> 20} MiB, at most {GROWTH_BYTES >> 20}")
    return missed
