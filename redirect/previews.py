"""Link previews: messengers and social networks that fetch a link to show its page, on behalf of nobody who clicked.

Recognised by the kept list of crawlers (package crawler-user-agents, tag `social-preview`), less the entries below. Their fetchers send
no Sec-Fetch headers; the in-app browsers of the same companies do, and people sit in front of those.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from redirect.visitor import MAX_USER_AGENT

_TAG: Final = "social-preview"
#: Entries whose words stand in the user agents of apps that people use, not only in those of fetchers.
PEOPLES_APPS: Final = frozenset(("MetaIAB Facebook", r"Notion\/", r"Tumblr\/", "Viber"))


def is_preview(user_agent: bytes) -> bool:
    """True when a user agent is that of a preview fetcher."""
    return _is_preview(user_agent[:MAX_USER_AGENT])


def load() -> None:
    """Read the list now (30 ms), not while a visitor waits."""
    _pattern()


@lru_cache(maxsize=4096)
def _is_preview(user_agent: bytes) -> bool:
    return _pattern().search(user_agent) is not None


@cache
def _pattern() -> re.Pattern[bytes]:
    """The list as one expression, read once. Reading the file ourselves keeps the rest of the list out of memory."""
    spec = find_spec("crawleruseragents")
    assert spec is not None, "crawler-user-agents is a dependency"
    assert spec.origin is not None, "it is a plain package"
    entries = json.loads((Path(spec.origin).parent / "crawler-user-agents.json").read_bytes())
    wanted = [one["pattern"] for one in entries if _TAG in one["tags"] and one["pattern"] not in PEOPLES_APPS]
    return re.compile("|".join(wanted).encode())
