"""How often links were hit, as the store has it."""

from __future__ import annotations

from typing import Final

from core.store.client import Store
from redirect.links.audit import RECENTLY_MS, UNUSED_MS, Use

_HITS: Final = """
SELECT link_id, count() AS last_90_days, countIf(reason = 'disabled' AND ts >= fromUnixTimestamp64Milli({week:Int64}, 'UTC')) AS while_disabled
FROM click
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
GROUP BY link_id
"""


def read_use(store: Store, now: int) -> dict[str, Use]:
    """Hits by link ID of every link that had one in the last 90 days.

    Raises:
        StoreError: the store does not answer.
    """
    rows = store.query(_HITS, {"since": now - UNUSED_MS, "week": now - RECENTLY_MS}).to_pylist()
    return {
        row["link_id"]: Use(last_90_days=row["last_90_days"], disabled_last_week=row["while_disabled"]) for row in rows
    }
