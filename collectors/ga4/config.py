"""Settings of the GA4 source; lag and quota by the vendor's documentation (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from collectors.source_config import ConnectionConfig, SourceConfig


class Ga4Connection(ConnectionConfig):
    """One GA4 property."""

    property: str = Field(pattern=r"^\d+$", description="Number of the property (Admin, Property settings).")
    credentials_file: str = Field(
        "", description="Service-account JSON; the account needs the role Viewer on the property. Read at each use."
    )
    types: dict[str, str] = Field(
        {}, description="Conversion type of ours for a key event's name; an event that is not listed keeps its name."
    )
    campaigns: dict[str, str] = Field(
        {},
        description="Qualified campaign for a utm_id, e.g. {spring: meta:1:2}; a utm_id that is qualified itself needs no entry.",
    )
    analytics_360: bool = Field(False, description="The property has the tenfold quota of Analytics 360.")


class Ga4Config(SourceConfig):
    """Sessions and key events by hour and day, as GA4 counts them: for reconciliation, never added to our own."""

    interval_s: float = Field(default=3600.0, gt=0, description="Time between two reads; 3 requests each.")
    documented_lag_s: int = Field(
        default=12 * 3600, ge=0, description="Google documents 12 hours for a standard property's daily data."
    )
    recent_s: int = Field(
        default=48 * 3600,
        ge=0,
        description="Every read goes back this far: Google documents changes for 24 to 48 hours.",
    )
    restatement_s: int = Field(
        default=7 * 86_400, ge=0, description="Credit moves between campaigns; re-read at the slower pace below."
    )
    restatement_interval_s: float = Field(
        default=24 * 3600.0, gt=0, description="Time between two re-reads that far back."
    )
    token_reserve: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the property's hourly and daily tokens that is left to others; at it, reading waits.",
    )
    page_rows: int = Field(default=10_000, ge=1, le=250_000, description="Rows in one answer.")
    connections: tuple[Ga4Connection, ...] = Field((), description="Properties to read.")
