"""The country of each truncated network that hits came from, looked up once, off the hot path (design §5)."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import structlog

from core.clock import to_datetime
from core.countries import country_of, open_countries
from core.store.client import Store
from correlator import queries

log = structlog.get_logger(__name__)

_COLUMNS = ("network", "country", "database", "looked_up_at")


def look_up_countries(store: Store, *, database: str, since: int, now: int) -> int:
    """Look up the networks loaded since `since` (0 = all), and those that an older file did not know; how many were.

    Without a file, or while it cannot be read, nothing is looked up: `clicktrace doctor` says so.
    """
    version = file_version(database)
    if not version:
        return 0
    sql = queries.compose("network_without_country", {"loaded": queries.text("loaded_network")})
    found = [str(row["network"]) for row in queries.read(store, sql, {"since": since, "database": version})]
    if not found:
        return 0
    try:
        with open_countries(Path(database)) as reader:
            rows = [[name, country_of(reader, _address(name)), version, to_datetime(now)] for name in found]
    except (OSError, ValueError, RuntimeError) as error:
        log.warning("no country database", path=database, error=str(error))
        return 0
    store.insert("network_country", _COLUMNS, rows)
    return len(rows)


def file_version(path: str) -> str:
    """A hash of what the file is now; "" = there is none."""
    if not path:
        return ""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    return blake2b(f"{path}\0{status.st_mtime_ns}\0{status.st_size}".encode(), digest_size=8).hexdigest()


def _address(network: str) -> str:
    """The network's own address: a database that tells countries tells them for whole networks."""
    return network.partition("/")[0]
