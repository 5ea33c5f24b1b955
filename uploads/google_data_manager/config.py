"""Settings of Google's Data Manager API (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from core.settings import Section
from uploads.destination_config import DestinationConfig


class GoogleDataManagerConnection(DestinationConfig):
    """One Google Ads account that owns conversion actions."""

    account: str = Field(pattern=r"^[0-9]{1,20}$", description="Google Ads account that owns the conversion actions.")
    login_account: str = Field(
        "", pattern=r"^[0-9]{0,20}$", description="Manager account that the credentials belong to; empty = the account."
    )
    click_window_days: int = Field(
        90, ge=1, le=90, description="Conversions this long after their click are too late for Google."
    )
    batch_size: int = Field(200, ge=1, le=2000, description="Events in one request; Google takes 2,000.")


class GoogleDataManagerConfig(Section):
    """Google Ads, by events.ingest of the Data Manager API."""

    connections: tuple[GoogleDataManagerConnection, ...] = Field((), description="Accounts that are reported to.")
