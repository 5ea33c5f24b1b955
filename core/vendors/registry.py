"""Which platforms we have a client for: one table, each imported on first use (the Google client alone takes a second)."""

from __future__ import annotations

import importlib
from typing import Final

from core.vendors.base import AdPlatform
from core.vendors.config import AccountConfig

CLIENTS: Final[dict[str, str]] = {
    "google": "core.vendors.google_ads:GoogleAdsAccount",
    "meta": "core.vendors.meta:MetaAccount",
}


def open_account(config: AccountConfig) -> AdPlatform | None:
    """A client for the account, or None when we have none for its platform; nothing is called yet."""
    where = CLIENTS.get(config.platform)
    if where is None:
        return None
    module, _, name = where.partition(":")
    client: AdPlatform = getattr(importlib.import_module(module), name)(config)
    return client
