"""Whom a key may write for: a key with clients writes for these only (design §4, Client)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from collectors import fact_ids
from core.errors import Forbidden, Invalid
from core.identity import split_qualified
from core.principal import Principal
from core.records import Campaign, Conversion, Impression, Record, Spend

#: (platform, account) -> the client that owns the account by the settings, "" when unknown.
ClientOf = Callable[[str, str], str]


def restrict(record: Record, principal: Principal, *, client_of: ClientOf) -> Record:
    """The record as `principal` may write it; its only client is filled in where none is named.

    Raises:
        Forbidden: `forbidden_client`, the record is another client's or belongs to the whole installation.
        Invalid: `missing_field`, the key has several clients and the record names none.
    """
    if not principal.clients:
        return record
    if isinstance(record, Conversion):
        return _conversion(record, principal)
    if isinstance(record, Campaign):
        owner = client_of(record.platform, record.account) or record.client
        _require(owner, principal, named="client")
        return record if record.client else msgspec.structs.replace(record, client=owner)
    if isinstance(record, Spend | Impression):
        platform, account, _ = split_qualified(record.campaign)
        _require(client_of(platform, account), principal, named="account")
        return record
    raise Forbidden("forbidden_client", "deploys and gauges concern all clients: use a key without clients")


def _conversion(record: Conversion, principal: Principal) -> Conversion:
    if not record.client and len(principal.clients) == 1:
        (client,) = principal.clients
        # The client is part of the natural key: two tenants may number their orders alike.
        key = fact_ids.conversion(
            client=client, origin=record.origin, type=record.type, conversion_id=record.conversion_id
        )
        return msgspec.structs.replace(record, client=client, fact_id=key)
    _require(record.client, principal, named="client")
    return record


def _require(client: str, principal: Principal, *, named: str) -> None:
    if not client and named == "client":
        raise Invalid("missing_field", f"client: this key writes for {', '.join(sorted(principal.clients))} only")
    if not client or not principal.sees(client):
        raise Forbidden("forbidden_client", f"{named}: this key may not write for it")
