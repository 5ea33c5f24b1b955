"""Accounts on ad platforms: shared by the collector that reads them and the action that pauses in them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from core.settings import Section
from core.zones import zone


class AccountConfig(Section):
    """One account on one platform."""

    platform: Literal["google", "meta", "microsoft", "tiktok"]
    account: str = Field(min_length=1, description="The platform's own account ID, digits only for Google.")
    client: str = Field("", description="Tenant that owns the account.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    timezone: str = Field("UTC", description="IANA zone the platform reports in.")
    sandbox: bool = Field(False, description="A test account: automatic mode needs no track record here.")
    endpoint: str = Field("", description="Another address than the vendor's, e.g. localhost:7001 (tests, proxies).")
    credentials_file: str = Field("", description="Google: service-account JSON. Meta: file with the access token.")
    login_account: str = Field("", description="Google: manager account that the credentials belong to.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value
