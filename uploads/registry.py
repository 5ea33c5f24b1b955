"""Every kind of destination in one table, imported on first use: a text search finds every place that knows one."""

from __future__ import annotations

import importlib
from typing import Any, Final

from uploads.base import Destination
from uploads.config import UploadsConfig

#: Section of `uploads` -> destination. Each entry of the section's `connections` becomes one.
DESTINATIONS: Final[dict[str, str]] = {
    "google_data_manager": "uploads.google_data_manager.destination:GoogleDataManager",
    "meta_conversions": "uploads.meta_conversions.destination:MetaConversions",
}


def build_destinations(config: UploadsConfig, *, disabled_too: bool = False) -> list[Destination]:
    """A destination for every connection that is enabled, none when uploads are off as a whole; nothing is called yet.

    Args:
        disabled_too: also those that are off, for a person who tries them before.
    """
    if not config.enabled and not disabled_too:
        return []
    return [
        _load(where)(connection)
        for section, where in DESTINATIONS.items()
        for connection in getattr(config, section).connections
        if connection.enabled or disabled_too
    ]


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
