"""Settings of the collectors: limits of what is sent to us, and the schedule of what we fetch."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from collectors.checks.config import ChecksConfig
from collectors.ga4.config import Ga4Config
from collectors.github.config import GithubConfig
from collectors.google_ads.config import GoogleAdsConfig
from collectors.hooks.config import GenericConfig, HooksConfig
from collectors.hubspot.config import HubspotConfig
from collectors.meta_ads.config import MetaAdsConfig
from collectors.postback.config import PostbackConfig
from collectors.prometheus.config import PrometheusConfig
from collectors.source_config import check_networks
from collectors.stripe.config import StripeConfig
from core.settings import Section


class PushConfig(Section):
    """POST /api/v1/conversions and its siblings."""

    max_body_bytes: int = Field(default=4 * 2**20, ge=2**10, description="Longer bodies are refused with 413.")
    max_items: int = Field(default=10_000, ge=1, description="Items in one request.")


class OtlpConfig(Section):
    """The OTLP/HTTP receiver."""

    max_body_bytes: int = Field(
        default=4 * 2**20, ge=2**10, description="Longer bodies (as sent) are refused with 413."
    )
    max_decompressed_bytes: int = Field(default=32 * 2**20, ge=2**10, description="Longer bodies after gunzip: 413.")
    queue_max_spans: int = Field(
        default=100_000, ge=1, description="Spans accepted and not yet worked on; beyond it senders are told to retry."
    )
    queue_max_bytes: int = Field(
        default=128 * 2**20, ge=2**10, description="The same in bytes of their requests, decompressed."
    )
    flush_interval_s: float = Field(
        default=1.0, gt=0, description="Service minutes and spans are journaled this often."
    )
    hold_s: float = Field(
        default=60.0, gt=0, description="Spans whose click is not known yet are kept this long, then dropped as unpaid."
    )
    held_max_spans: int = Field(
        default=1_000_000, ge=0, description="Spans kept while their click is not known; the oldest go first."
    )
    held_max_bytes: int = Field(default=512 * 2**20, ge=0, description="The same in bytes of memory.")
    max_spans_per_trace: int = Field(default=1_000, ge=1, description="Spans kept of one trace.")
    max_routes: int = Field(
        default=2_000,
        ge=1,
        description="Distinct service, route, version and device in one flush; the rest becomes (other).",
    )
    max_age_s: int = Field(default=24 * 3600, ge=60, description="Spans that ended longer ago are refused.")
    span_attributes: tuple[str, ...] = Field(
        default=(
            "http.request.method",
            "url.path",
            "server.address",
            "peer.service",
            "db.system.name",
            "db.operation.name",
            "db.collection.name",
            "messaging.system",
            "messaging.destination.name",
            "rpc.service",
            "rpc.method",
            "error.type",
            "deployment.environment.name",
        ),
        description="Attributes kept of a paid click's span. URLs with queries are not among them: they hold personal data.",
    )


class DoorConfig(Section):
    """What hooks and postbacks have in common: they face the Internet."""

    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Networks whose X-Forwarded-For is believed; name the proxy before the public listener."
    )
    address_requests_per_second: float = Field(
        default=100.0, ge=0, description="Calls one address may make, ten seconds' worth at once; 0 = no limit."
    )
    body_timeout_s: float = Field(default=10.0, gt=0, description="A body must have come by then.")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_networks(value)


class CollectorsConfig(Section):
    """Everything that brings facts in."""

    push: PushConfig = Field(default=PushConfig(), description="Push endpoints.")
    otlp: OtlpConfig = Field(default=OtlpConfig(), description="OTLP receiver.")
    door: DoorConfig = Field(default=DoorConfig(), description="Doors that face the Internet.")
    postback: PostbackConfig = Field(default=PostbackConfig(), description="Server-to-server postbacks.")
    hooks: HooksConfig = Field(default=HooksConfig(), description="Webhooks.")
    generic: GenericConfig = Field(default=GenericConfig(), description="Generic signed webhooks.")
    github: GithubConfig = Field(default=GithubConfig(), description="GitHub deployments and releases.")
    stripe: StripeConfig = Field(default=StripeConfig(), description="Stripe payments, pull and webhook.")
    hubspot: HubspotConfig = Field(default=HubspotConfig(), description="HubSpot contacts and deals, pull and webhook.")
    google_ads: GoogleAdsConfig = Field(default=GoogleAdsConfig(), description="Google Ads pull.")
    meta_ads: MetaAdsConfig = Field(default=MetaAdsConfig(), description="Meta pull.")
    ga4: Ga4Config = Field(default=Ga4Config(), description="Google Analytics 4 pull.")
    checks: ChecksConfig = Field(default=ChecksConfig(), description="Synthetic checks of landing pages.")
    prometheus: PrometheusConfig = Field(default=PrometheusConfig(), description="Prometheus by range queries.")
    poll_interval_s: float = Field(default=1.0, gt=0, description="How often due sources are looked for.")
    concurrency: int = Field(default=4, ge=1, description="Sources read at the same time.")

    @model_validator(mode="after")
    def _one_hook_a_name(self) -> Self:
        """The name of a connection with a webhook is its address."""
        sections = (getattr(self, name) for name in type(self).model_fields)
        connections = (each for section in sections for each in getattr(section, "connections", ()))
        names = [each.name for each in connections if getattr(each, "webhook_secret_file", "")]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two webhooks of the same name: {', '.join(twice)}")
        return self
