"""Settings of the HubSpot source and hook; limits by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field, model_validator

from collectors.hooks.base import HookConnection
from collectors.match_keys import NAMES
from collectors.source_config import SourceConfig
from core.records import ConversionStatus

#: HubSpot's own stages of a contact; portals add theirs, which are numbers.
LIFECYCLE: dict[str, ConversionStatus] = {
    "subscriber": "captured",
    "lead": "captured",
    "marketingqualifiedlead": "qualified",
    "salesqualifiedlead": "qualified",
    "opportunity": "qualified",
    "customer": "confirmed",
    "evangelist": "confirmed",
}


class HubspotConnection(HookConnection):
    """One HubSpot portal."""

    credentials_file: str = Field(
        min_length=1,
        description="File with a private app's access token that reads contacts and deals; read at each use.",
    )
    portal: int = Field(
        0, ge=0, description="The portal's ID: webhook events of other portals are left out; 0 = not compared."
    )
    currency: str = Field(
        pattern=r"^[A-Z]{3}$", description="The portal's company currency, for deals that name none of their own."
    )
    contacts: bool = Field(True, description="Whether contacts are read, as leads.")
    deals: bool = Field(True, description="Whether deals are read.")
    lead_type: str = Field("lead", min_length=1, description="Conversion type of a contact.")
    deal_type: str = Field("deal", min_length=1, description="Conversion type of a deal.")
    properties: dict[str, str] = Field(
        {},
        description="Properties of contacts and deals that hold our match keys, where they are not ct_click, ct_vid, order_id, "
        "hs_google_click_id, hs_facebook_click_id, msclkid, …: e.g. {gclid: lead_gclid}; empty = not kept.",
    )
    lifecycle: dict[str, ConversionStatus] = Field(
        {}, description="Status of a contact by its lifecycle stage, over what HubSpot's own stages mean (README)."
    )
    lead_status: dict[str, ConversionStatus] = Field(
        {"UNQUALIFIED": "rejected"},
        description="Status of a contact by its lead status (hs_lead_status); wins over the lifecycle stage.",
    )
    deal_stages: dict[str, ConversionStatus] = Field(
        {},
        description="Status of a deal by its stage ID (dealstage), e.g. {contractsent: qualified}. "
        "Otherwise won = confirmed, lost = rejected, open = captured.",
    )
    skip_record_sources: tuple[str, ...] = Field(
        ("IMPORT",), description="Contacts that came to HubSpot in these ways (hs_object_source) are no leads."
    )

    @model_validator(mode="after")
    def _known_keys(self) -> HubspotConnection:
        unknown = sorted(set(self.properties) - set(NAMES))
        if unknown:
            raise ValueError(f"properties.{unknown[0]}: known are {', '.join(NAMES)}")
        return self


class HubspotConfig(SourceConfig):
    """Contacts and deals, by the time they were created or last modified."""

    interval_s: float = Field(
        default=300.0, gt=0, description="Time between two reads; 2 searches each, one more a 200 rows."
    )
    documented_lag_s: int = Field(
        default=300, ge=0, description="Changes take 'a few moments' to appear in search; HubSpot gives no bound."
    )
    recent_s: int = Field(default=3600, ge=0, description="Every read goes back this far, for rows that came late.")
    backfill_s: int = Field(default=90 * 86_400, ge=0, description="How far back the very first read goes.")
    window_s: int = Field(default=86_400, ge=3600, description="Longest span of time in one read.")
    deadline_s: float = Field(default=1800.0, gt=0, description="A read with all its retries ends by then.")
    call_timeout_s: float = Field(
        default=900.0, gt=0, description="One span is read by then: half a million objects at the pace below."
    )
    searches_per_second: float = Field(
        default=4.0, gt=0, description="HubSpot allows five searches a second to all apps of a portal together."
    )
    connections: tuple[HubspotConnection, ...] = Field((), description="One entry a HubSpot portal.")
