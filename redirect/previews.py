"""Link previews: messengers and social networks that fetch a link to show its page, on behalf of nobody who clicked.

Recognised by the kept list of crawlers (package crawler-user-agents, tag `social-preview`). Their fetchers send
no Sec-Fetch headers; the in-app browsers of the same companies do, and people sit in front of those.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from core.crawlers import crawlers
from redirect.visitor import MAX_USER_AGENT

_TAG: Final = "social-preview"


def is_preview(user_agent: bytes) -> bool:
    """True when a user agent is that of a preview fetcher."""
    return _is_preview(user_agent[:MAX_USER_AGENT])


def load() -> None:
    """Read the list now (30 ms), not while a visitor waits."""
    crawlers(_TAG)


@lru_cache(maxsize=4096)
def _is_preview(user_agent: bytes) -> bool:
    return crawlers(_TAG).search(user_agent) is not None
