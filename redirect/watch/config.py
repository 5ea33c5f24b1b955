"""Settings of the destination watch."""

from __future__ import annotations

from pydantic import Field, field_validator

from core.settings import Section


class WatchConfig(Section):
    """The destination watch: visits every page that live links lead to, and sends canary clicks through the redirect."""

    enabled: bool = Field(True, description="Check destinations; false also stops the canaries.")
    interval_s: float = Field(600.0, ge=10, le=28_800, description="Every destination is looked at once per this span.")
    timeout_s: float = Field(10.0, gt=0, le=60, description="One look, redirects included, ends by then.")
    retry_s: float = Field(
        5.0, ge=0, le=60, description="What a look or a canary found is confirmed by a second one after this."
    )
    concurrency: int = Field(4, ge=1, le=64, description="Looks under way at once; never two at one host.")
    host_pause_s: float = Field(1.0, ge=0, description="Between two looks at one host.")
    max_destinations: int = Field(
        10_000, ge=1, description="Distinct URLs that are watched; metrics say how many are not."
    )
    max_hops: int = Field(5, ge=0, le=20, description="Redirects that are followed; more are a finding.")
    slow_s: float = Field(3.0, gt=0, description="A first byte later than this is a finding.")
    certificate_days: float = Field(14.0, ge=0, description="A certificate that ends sooner is a finding.")
    canary_interval_s: float = Field(300.0, ge=0, description="Canary clicks are sent this often; 0 = never.")
    canary_links: int = Field(100, ge=1, le=1_000, description="Links per round of canaries; more take turns.")
    canary_timeout_s: float = Field(
        30.0, gt=0, le=300, description="A canary that is not in the store by then is lost."
    )
    canary_url: str = Field(
        "",
        description="Where canaries enter, e.g. https://go.example to include DNS and proxies; empty = this machine's redirect.",
    )

    @field_validator("canary_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is not an address: begin it with https:// or http://")
        return value.rstrip("/")
