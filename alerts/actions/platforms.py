"""The platform client of each configured account, opened on first use and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import SourceError
from core.vendors.base import AdPlatform
from core.vendors.config import AccountConfig

OpenAccount = Callable[[AccountConfig], AdPlatform | None]


class Platforms:
    """Clients by (platform, account). A platform without a client is told apart from one that cannot be reached."""

    def __init__(self, accounts: Sequence[AccountConfig], open_account: OpenAccount) -> None:
        self._accounts = {(each.platform, each.account): each for each in accounts}
        self._open_account = open_account
        self._clients: dict[tuple[str, str], AdPlatform | None] = {}

    def account(self, platform: str, account: str) -> AccountConfig | None:
        return next((each for key, each in self._accounts.items() if key == (platform, account)), None)

    def has_client(self, platform: str, account: str) -> bool:
        """False when nobody has written a client for the platform; a client that cannot sign in exists."""
        try:
            return self.client(platform, account) is not None
        except SourceError:
            return True

    def client(self, platform: str, account: str) -> AdPlatform | None:
        """Raises:
        SourceError: the client cannot be opened, e.g. its credentials are refused.
        """
        config = self.account(platform, account)
        if config is None:
            return None
        key = (platform, account)
        if key not in self._clients:
            self._clients[key] = self._open_account(config)
        return self._clients[key]

    def close(self) -> None:
        """Close every client; may be called twice."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            if client is not None:
                client.close()
