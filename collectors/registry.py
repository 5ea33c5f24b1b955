"""Every pull source in one table, imported on first use: a text search finds every place that knows a source."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from collectors.ad_platform import AdPlatformSource
from collectors.base import Source
from collectors.config import CollectorsConfig
from collectors.source_config import SourceConfig
from core.vendors.base import AdPlatform
from core.vendors.config import AccountConfig
from core.vendors.registry import open_account

OpenAccount = Callable[[AccountConfig], AdPlatform | None]

#: Section of `collectors` -> source. Each entry of the section's `connections` becomes one: `Source(connection, config=section)`.
SOURCES: Final[dict[str, str]] = {
    "ga4": "collectors.ga4.collector:Ga4Source",
    "github": "collectors.github.collector:GithubSource",
    "stripe": "collectors.stripe.collector:StripeSource",
    "hubspot": "collectors.hubspot.collector:HubspotSource",
    "checks": "collectors.checks.collector:ChecksSource",
    "prometheus": "collectors.prometheus.collector:PrometheusSource",
}

#: Platform of an account -> (section of the settings, source). A platform without an entry is not read.
AD_PLATFORMS: Final[dict[str, tuple[str, str]]] = {
    "google": ("google_ads", "collectors.google_ads.collector:GoogleAdsSource"),
    "meta": ("meta_ads", "collectors.meta_ads.collector:MetaAdsSource"),
}

#: What an account is read for besides: platform -> (schedule inside the platform's section, source), each with its own watermark.
AD_PLATFORM_PARTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "google": (
        ("conversions", "collectors.google_ads.conversions:GoogleConversionsSource"),
        ("changes", "collectors.google_ads.changes:GoogleChangesSource"),
        ("clicks", "collectors.google_ads.clicks:GoogleClicksSource"),
    ),
    "meta": (("conversions", "collectors.meta_ads.conversions:MetaConversionsSource"),),
}


def build_sources(
    config: CollectorsConfig, accounts: Sequence[AccountConfig], *, open_account: OpenAccount = open_account
) -> list[Source]:
    """A source for every connection, and for every account whose platform we can read; nothing is called yet."""
    sources = [source for section in SOURCES for source in _connected(config, section)]
    for account in accounts:
        if account.platform not in AD_PLATFORMS:
            continue
        section, where = AD_PLATFORMS[account.platform]
        schedule: SourceConfig = getattr(config, section)
        client = open_account(account) if schedule.enabled else None
        if client is not None:
            ad_source: type[AdPlatformSource] = _load(where)
            sources.append(ad_source(client, account_config=account, config=schedule))
            sources += _parts(client, account, schedule)
    return sources


def _parts(client: AdPlatform, account: AccountConfig, section: SourceConfig) -> list[Source]:
    parts = [(getattr(section, name), where) for name, where in AD_PLATFORM_PARTS.get(account.platform, ())]
    return [_load(where)(client, account_config=account, config=config) for config, where in parts if config.enabled]


def _connected(config: CollectorsConfig, section: str) -> list[Source]:
    schedule = getattr(config, section)
    if not schedule.enabled or not schedule.connections:
        return []
    source = _load(SOURCES[section])
    # A connection whose webhook is all that counts is not read.
    connections = [each for each in schedule.connections if getattr(each, "pull", True)]
    return [source(connection, config=schedule) for connection in connections]


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
