"""Country of an address in a .mmdb file that the user brings (MaxMind, DB-IP, IPinfo …): how such files are read."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import maxminddb

_ALPHA_2: Final = 2


def open_countries(path: Path) -> maxminddb.Reader:
    """The file, through a memory map: replace it by renaming.

    Raises:
        OSError, ValueError, RuntimeError: it cannot be read, or is no database (maxminddb's InvalidDatabaseError is a RuntimeError).
    """
    import maxminddb  # here, because only those who ask for countries pay for it

    return maxminddb.open_database(path)


def country_of(reader: maxminddb.Reader, address: str) -> str:
    """ISO 3166-1 alpha-2 of an address; "" when the database does not know it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return _code(reader.get(parsed))
    except (ValueError, RuntimeError):  # no address, IPv6 in an IPv4 database, a damaged file
        return ""


def _code(record: Any) -> str:
    """The code where MaxMind and DB-IP (`country.iso_code`) or IPinfo (`country`, `country_code`) put it."""
    if not isinstance(record, dict):
        return ""
    country = record.get("country_code") or record.get("country")
    if isinstance(country, dict):
        country = country.get("iso_code")
    return country.upper() if isinstance(country, str) and len(country) == _ALPHA_2 else ""
