"""Asks the store's click table which clicks are known and paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from collectors.versions import Reads

#: Paid = the click has a platform ID, or a campaign ID qualified as <platform>:<account>:<id> (design §4).
SQL: Final = """
SELECT lower(hex(click_id)) AS id, max(notEmpty(platform_ids) OR match(campaign, '^[^:]+:[^:]+:[^:]+$')) AS paid
FROM click
WHERE click_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16))
    AND known_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
GROUP BY click_id
"""


class StoreClicks:
    """A `Lookup` over the store."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    def __call__(self, click_ids: Sequence[str], *, since: int = 0) -> Mapping[str, bool]:
        if not click_ids:
            return {}
        rows = self._store.rows(SQL, {"ids": list(click_ids), "since": since})
        return {str(row["id"]): bool(row["paid"]) for row in rows}
