"""The settings every pull source has, whatever it reads; the runner works by them alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pydantic import Field

from core.settings import Section


class ConnectionConfig(Section):
    """What one source reads, besides ad accounts: a property, a portal, a server. A source's own `config.py` adds its fields."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="Names it in freshness, metrics and logs.")
    client: str = Field("", description="Tenant that owns what is read here.")
    endpoint: str = Field("", description="Another address than the vendor's (tests, proxies).")


class SourceConfig(Section):
    """When a source is read, how far back, and how patiently."""

    enabled: bool = Field(default=True, description="False leaves the source out.")
    interval_s: float = Field(default=900.0, gt=0, description="Time between two reads.")
    documented_lag_s: int = Field(
        default=0, ge=0, description="How late the source documents its data; the watermark stays this far behind."
    )
    recent_s: int = Field(
        default=24 * 3600, ge=0, description="Every read goes back this far, for rows that came late."
    )
    restatement_s: int = Field(
        default=0,
        ge=0,
        description="The source may restate its figures this far back; re-read at the slower pace below.",
    )
    restatement_interval_s: float = Field(
        default=6 * 3600.0, gt=0, description="Time between two re-reads that far back."
    )
    backfill_s: int = Field(
        default=90 * 86_400,
        ge=0,
        description="How far back the first reads go: the newest 30 days first, then the older ones.",
    )
    window_s: int = Field(default=7 * 86_400, ge=3600, description="Longest span of event time in one request.")
    deadline_s: float = Field(default=120.0, gt=0, description="A read with all its retries ends by then.")
    call_timeout_s: float = Field(default=30.0, gt=0, description="One call ends by then.")
    stopped_retry_s: float = Field(
        default=3600.0, gt=0, description="After a permanent error the source is tried again this much later."
    )


def check_networks(networks: Iterable[str]) -> tuple[str, ...]:
    """The networks as they are; a ValueError names one that is none, such as a host name."""
    checked = tuple(networks)
    for network in checked:
        ipaddress.ip_network(network, strict=False)
    return checked
