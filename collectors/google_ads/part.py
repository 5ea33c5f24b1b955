"""What the sources beside spend share: one part of one account, read on its own schedule, with its own watermark."""

from __future__ import annotations

from typing import Generic, TypeVar

from collectors.base import Fetched
from collectors.source_config import SourceConfig
from core.vendors.config import AccountConfig
from core.vendors.google_ads import GoogleAdsAccount

Config = TypeVar("Config", bound=SourceConfig)


class GoogleAdsPart(Generic[Config]):
    """`kind` is the source word of its records; the watermark's is `<kind>:<account>`.

    A part that is refused (click_view on a manager account, say) stops alone, and spend goes on.
    """

    kind = ""

    def __init__(self, account: GoogleAdsAccount, *, account_config: AccountConfig, config: Config) -> None:
        self.name = f"{self.kind}:{account.account}"
        self.config: SourceConfig = config
        self._own = config
        self._account = account
        self._account_config = account_config

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Nothing that holds now: campaign states are read with spend."""
        return Fetched(records=[])

    def close(self) -> None:
        self._account.close()
