"""Trusted proxies: whose word about the visitor's address is taken."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


class TrustedProxies:
    """Networks whose forwarding headers are believed."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in networks)
        #: False where the worker itself faces the Internet.
        self.any = bool(self._networks)

    def trusts(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def visitor(self, forwarded_for: bytes, *, peer: str) -> str:
        """The rightmost address that no trusted proxy has; what stands left of it anybody could have written."""
        for hop in reversed(forwarded_for.decode("latin-1").split(",")):
            address = hop.strip()
            if not self.trusts(address):
                return address if _is_address(address) else peer
        return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
