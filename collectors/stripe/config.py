"""Settings of the Stripe source and hook; limits by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field, model_validator

from collectors.hooks.base import HookConnection
from collectors.match_keys import NAMES
from collectors.source_config import SourceConfig
from core.records import Origin


class StripeConnection(HookConnection):
    """One Stripe account."""

    credentials_file: str = Field(
        "",
        description="File with a restricted API key that reads charges and refunds, disputes and events; read at each use. "
        "Empty, with `pull: false`: the webhook alone is listened to.",
    )
    account: str = Field(
        "", pattern=r"^(acct_\w+)?$", description="Connected account to read (Connect); empty = the key's own."
    )
    type: str = Field("order", min_length=1, description="Conversion type of a payment.")
    origin: Origin = Field("backend", description="Origin of a payment, for the catalogue's authoritative_origin.")
    metadata: dict[str, str] = Field(
        {},
        description="Keys of a charge's metadata that hold our match keys, where they are not called ct_click, ct_vid, order_id, "
        "gclid, …: e.g. {order_id: shop_order}.",
    )

    @model_validator(mode="after")
    def _known_keys(self) -> StripeConnection:
        unknown = sorted(set(self.metadata) - set(NAMES))
        if unknown:
            raise ValueError(f"metadata.{unknown[0]}: known are {', '.join(NAMES)}")
        if self.pull and not self.credentials_file:
            raise ValueError(
                "credentials_file: needed to read the account; `pull: false` where only its webhook counts"
            )
        return self


class StripeConfig(SourceConfig):
    """Payments with their refunds and disputes."""

    interval_s: float = Field(
        default=900.0, gt=0, description="Time between two reads; 3 requests each, one more a 100 rows."
    )
    documented_lag_s: int = Field(default=60, ge=0, description="Lists show a payment at once; a minute for clocks.")
    recent_s: int = Field(default=3600, ge=0, description="Every read goes back this far, for rows that came late.")
    restatement_s: int = Field(
        default=30 * 86_400,
        ge=0,
        description="Payments change later; read again this far back at the slower pace below.",
    )
    restatement_interval_s: float = Field(
        default=86_400.0, gt=0, description="Time between two re-reads that far back."
    )
    backfill_s: int = Field(default=90 * 86_400, ge=0, description="How far back the very first read goes.")
    window_s: int = Field(default=86_400, ge=3600, description="Longest span of event time in one read of the lists.")
    deadline_s: float = Field(default=1800.0, gt=0, description="A read with all its retries ends by then.")
    call_timeout_s: float = Field(default=600.0, gt=0, description="One span of the lists is read by then.")
    connections: tuple[StripeConnection, ...] = Field((), description="One entry a Stripe account.")
