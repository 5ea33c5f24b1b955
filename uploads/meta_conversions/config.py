"""Settings of Meta's Conversions API (README.md beside this file)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from core.settings import Section
from uploads.destination_config import DestinationConfig

ActionSource = Literal[
    "website", "app", "phone_call", "chat", "email", "physical_store", "system_generated", "business_messaging", "other"
]


class MetaConversionsConnection(DestinationConfig):
    """One data set (pixel)."""

    dataset: str = Field(pattern=r"^[0-9]{1,32}$", description="ID of the data set (pixel).")
    ad_account: str = Field("", description="Its ad account: where `accounts` marks it a sandbox, nothing is sent.")
    action_source: ActionSource = Field(
        "website", description="Where these conversions happen; `website` needs the browser's name and the page."
    )
    page_url: str = Field("", description="Page of website conversions that bring no address of their own.")
    test_event_code: str = Field("", description="Events appear under Test Events only, for trying the set-up.")

    @field_validator("page_url")
    @classmethod
    def _absolute_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is not an address: begin it with https://")
        return value


class MetaConversionsConfig(Section):
    """Meta, by the Conversions API."""

    connections: tuple[MetaConversionsConnection, ...] = Field((), description="Data sets that are reported to.")
