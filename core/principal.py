"""Who is calling: the contract between the parts' HTTP routers and the key check in `app.auth`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

#: `postback` is for keys that stand in an address (`/api/v1/postback`), where others can read them; it allows nothing else.
Scope = Literal["ingest", "read", "links", "approve", "postback", "admin"]
SCOPES: tuple[Scope, ...] = ("ingest", "read", "links", "approve", "postback", "admin")


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was checked: its name, scopes, and the clients (tenants) it sees; no clients = all."""

    name: str
    scopes: frozenset[str]
    clients: frozenset[str] = frozenset()

    def sees(self, client: str) -> bool:
        return not self.clients or client in self.clients


#: Given a scope, returns a FastAPI dependency that yields the Principal or raises Unauthorized / Forbidden. Every part's
#: `build_router(…, authorize=…)` takes one, because parts may not import `app`.
Authorize = Callable[[Scope], Callable[..., Principal]]
