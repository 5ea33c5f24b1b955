"""The kept list of crawlers (package crawler-user-agents), read by tag and without the entries that stand for people.

The list is about everything that is not a plain browser. Some of its entries name apps in which people read and click: Meta's in-app
browser on Android is where the buyers of a Meta campaign are, and calling them robots would hide most of its clicks.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: Entries whose words stand in the user agents of apps that people use (the list's own instances show it).
PEOPLES_APPS: Final = frozenset(("MetaIAB Facebook", r"Notion\/", r"Tumblr\/", "Viber"))


@cache
def crawlers(tag: str = "") -> re.Pattern[bytes]:
    """One expression over all entries, or over those with a tag. Read from the file: the package would keep all of it in memory."""
    spec = find_spec("crawleruseragents")
    assert spec is not None, "crawler-user-agents is a dependency"
    assert spec.origin is not None, "it is a plain package"
    entries = json.loads((Path(spec.origin).parent / "crawler-user-agents.json").read_bytes())
    wanted = [
        one["pattern"] for one in entries if one["pattern"] not in PEOPLES_APPS and (not tag or tag in one["tags"])
    ]
    return re.compile("|".join(wanted).encode())
