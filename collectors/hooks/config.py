"""Settings of the hooks' door, and of the generic signed webhook."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from collectors.hooks.base import TOLERANCE_S, HookConnection
from core.settings import Section

_PATH = re.compile(r"^[^.]+(\.[^.]+)*$")
Collection = Literal["conversions", "spend", "deploys", "impressions", "gauges", "campaigns"]


class HooksConfig(Section):
    """What all hooks have in common."""

    max_body_bytes: int = Field(2**20, ge=2**10, description="Longer bodies are refused with 413.")
    remember_s: int = Field(
        30 * 86_400,
        ge=3600,
        description="Deliveries are remembered this long where nothing that is signed says when they were sent (GitHub).",
    )


class GenericConnection(HookConnection):
    """A webhook of anybody who signs bodies with HMAC-SHA256 and says when."""

    scheme: Literal["timestamped", "standard"] = Field(
        "timestamped",
        description="What is signed: `timestamped` = `<timestamp>.<body>`, hex; `standard` = Standard Webhooks "
        "(`<id>.<timestamp>.<body>`, base64, headers webhook-id, webhook-timestamp, webhook-signature).",
    )
    signature_header: str = Field(
        "x-clicktrace-signature",
        description="Timestamped: header of the signature, `sha256=` or `v1=` before it or not.",
    )
    timestamp_header: str = Field(
        "x-clicktrace-timestamp", description="Timestamped: header of the time of signing, seconds since 1970."
    )
    tolerance_s: int = Field(TOLERANCE_S, ge=1, le=3600, description="What was signed longer ago is refused.")
    collection: Collection = Field("conversions", description="What the facts in the body are.")
    items: str = Field(
        "", description="Where the list of facts stands in the body, e.g. `data.orders`; empty = the body."
    )
    only: dict[str, str] = Field(
        {}, description="Facts are taken only where these paths have these values, e.g. {event: order.paid}."
    )
    fields: dict[str, str] = Field(
        {}, description="Our field -> its path in a fact, e.g. {conversion_id: order.id}; empty = it has our fields."
    )
    constants: dict[str, str] = Field({}, description="Fields that the body does not have, e.g. {type: order}.")
    values: dict[str, dict[str, str]] = Field(
        {}, description="Our field -> their word -> ours, e.g. {status: {paid: confirmed}}; other words stay."
    )
    times: Literal["rfc3339", "unix_s", "unix_ms"] = Field("rfc3339", description="How the body writes times.")

    @field_validator("signature_header", "timestamp_header")
    @classmethod
    def _in_lower_case(cls, value: str) -> str:
        return value.lower()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        bad = [
            path for path in [*self.fields.values(), *self.only, *filter(None, [self.items])] if not _PATH.match(path)
        ]
        if bad:
            raise ValueError(f"{', '.join(bad)}: write a path as keys with dots between, e.g. data.order.id")
        if self.client and self.collection != "conversions":
            # Whose a campaign or an account is, the settings of the accounts say, not whoever sends.
            raise ValueError(f"client: a hook can be kept to a client for conversions, not for {self.collection}")
        return self


class GenericConfig(Section):
    """The generic signed webhook."""

    enabled: bool = Field(True, description="False leaves it out.")
    connections: tuple[GenericConnection, ...] = Field((), description="One entry a sender.")
