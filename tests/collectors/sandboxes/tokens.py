"""What sandboxes of vendors with a bearer token and a signed webhook share, and their cases for the suite over all sources."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.demo.ad_account import Behaviour
from core.clock import now_ms
from core.records import Conversion, Record
from tests.collectors.sandboxes.base import Sandbox
from tests.collectors.sandboxes.cases import Case


class TokenSandbox(Sandbox):
    """`credentials_file` holds the token that is let in, `secret_file` the secret that webhooks are signed with."""

    #: How the vendor's tokens and webhook secrets begin.
    token_prefix = ""
    secret_prefix = ""

    def __init__(
        self, directory: Path, *, behaviour: Behaviour | None = None, clock: Callable[[], int] = now_ms, port: int = 0
    ) -> None:
        super().__init__(behaviour=behaviour, clock=clock, port=port)
        directory.mkdir(parents=True, exist_ok=True)
        self.token = f"{self.token_prefix}{secrets.token_hex(16)}"
        self.credentials_file = directory / "token"
        self.credentials_file.write_text(f"{self.token}\n")
        self.secret = f"{self.secret_prefix}{secrets.token_hex(16)}"
        self.secret_file = directory / "webhook-secret"
        self.secret_file.write_text(f"{self.secret}\n")

    def connection(self, **fields: Any) -> dict[str, Any]:
        """How the settings name this vendor, without its webhook."""
        own = {"client": "acme", "endpoint": self.endpoint, "credentials_file": str(self.credentials_file)}
        return own | fields


class TokenCase(Case):
    """A vendor whose facts are conversions with the order ID `o-<number>`."""

    make: Callable[..., TokenSandbox]

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        behaviour = Behaviour(report_lag_s=float(self.lag_s), restate_share=0.0)
        self.sandbox = type(self).make(directory, behaviour=behaviour, clock=clock)

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(each.order_id.removeprefix("o-")) for each in records if isinstance(each, Conversion)]

    def lock_out(self) -> None:
        self.sandbox.credentials_file.write_text(f"{self.sandbox.token_prefix}wrong")

    def let_in(self) -> None:
        self.sandbox.credentials_file.write_text(self.sandbox.token)
