"""The table of hostile and odd spellings, and what our own rules make of one."""

from __future__ import annotations

import json
from pathlib import Path

from core.destinations import AllowList, normalise
from core.errors import Invalid

ALLOWED = AllowList(
    ["shop.example", "*.wide.example", "127.0.0.1:9000", "[::1]:9000", "localhost:9000", "münchen.example"]
)
TABLE = Path(__file__).with_name("hostile_destinations.txt")


def read_spellings() -> dict[str, list[tuple[str, str]]]:
    """Group -> (spelling, expected word or normal form)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            rows = groups.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            expected, _, spelling = line.partition(" ")
            rows.append((json.loads(spelling), expected))
    return groups


def verdict(url: str) -> str:
    """The word of a refusal, else the normal form that is accepted."""
    try:
        destination = normalise(url)
        ALLOWED.check(destination)
    except Invalid as refused:
        return refused.reason
    return destination.url
