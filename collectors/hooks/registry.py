"""Every kind of hook in one table, imported on first use: a text search finds every place that knows one."""

from __future__ import annotations

import importlib
from typing import Any, Final

from collectors.config import CollectorsConfig
from collectors.hooks.base import Hook

#: Section of `collectors` -> hook. Each of the section's connections with a `webhook_secret_file` becomes one.
HOOKS: Final[dict[str, str]] = {
    "github": "collectors.github.hook:GithubHook",
    "stripe": "collectors.stripe.hook:StripeHook",
    "hubspot": "collectors.hubspot.hook:HubspotHook",
    "generic": "collectors.hooks.generic:GenericHook",
}


def build_hooks(config: CollectorsConfig) -> dict[str, Hook]:
    """Name of the connection -> its hook. Names are told apart by `CollectorsConfig`; no secret is read yet."""
    hooks: dict[str, Hook] = {}
    for kind, where in HOOKS.items():
        section = getattr(config, kind, None)
        if section is None or not section.enabled:
            continue
        for connection in section.connections:
            if connection.webhook_secret_file:
                hooks[connection.name] = _load(where)(connection, config=section)
    return hooks


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
