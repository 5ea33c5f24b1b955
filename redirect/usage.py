"""How often links with a `max_clicks` were clicked, as far as one worker knows: its own clicks at once, the others' a moment later.

`redirect.usage_sync` exchanges what the workers know. Answering requests only adds to dicts here, and the thread that exchanges only
replaces single values: both are one step for Python, so neither waits for the other.
"""

from __future__ import annotations


class Usage:
    """Clicks by link ID. `own` counts from the start of this process; `elsewhere` is everything else that is known."""

    def __init__(self) -> None:
        self.own: dict[str, int] = {}
        self.elsewhere: dict[str, int] = {}
        #: Links that were hit since they were last exchanged.
        self.touched: set[str] = set()

    def exhausted(self, link_id: str, limit: int) -> bool:
        """True once `limit` clicks are known of."""
        self.touched.add(link_id)
        return self.own.get(link_id, 0) + self.elsewhere.get(link_id, 0) >= limit

    def count(self, link_id: str) -> None:
        """One more click was let through."""
        self.own[link_id] = self.own.get(link_id, 0) + 1
        self.touched.add(link_id)
