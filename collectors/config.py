"""Settings of the collectors: limits of what is sent to us, and the schedule of what we fetch."""

from __future__ import annotations

from pydantic import Field

from collectors.google_ads.config import GoogleAdsConfig
from collectors.meta_ads.config import MetaAdsConfig
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
    flush_interval_s: float = Field(
        default=1.0, gt=0, description="Service minutes and spans are journaled this often."
    )
    hold_s: float = Field(
        default=60.0, gt=0, description="Spans whose click is not known yet are kept this long, then dropped as unpaid."
    )
    held_max_spans: int = Field(default=100_000, ge=0, description="Spans kept while their click is not known.")
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


class CollectorsConfig(Section):
    """Everything that brings facts in."""

    push: PushConfig = Field(default=PushConfig(), description="Push endpoints.")
    otlp: OtlpConfig = Field(default=OtlpConfig(), description="OTLP receiver.")
    google_ads: GoogleAdsConfig = Field(default=GoogleAdsConfig(), description="Google Ads pull.")
    meta_ads: MetaAdsConfig = Field(default=MetaAdsConfig(), description="Meta pull.")
    poll_interval_s: float = Field(default=1.0, gt=0, description="How often due sources are looked for.")
    concurrency: int = Field(default=4, ge=1, description="Sources read at the same time.")
