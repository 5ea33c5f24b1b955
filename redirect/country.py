"""Country of an address, from a .mmdb file that the user brings (MaxMind, DB-IP, IPinfo …); used only by links that ask for it.

The file may change under a running worker. Replace it by renaming, as `geoipupdate` does: it is read through a memory map.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from core.countries import country_of, open_countries

if TYPE_CHECKING:
    import maxminddb

log = structlog.get_logger(__name__)

#: How often the file is looked at.
CHECK_MS: Final = 5_000
#: What is known of addresses is forgotten this often, and when it is this much: addresses are personal data.
MEMO_MS: Final = 600_000
MEMO_SIZE: Final = 16_384


class Countries:
    """Address -> ISO 3166-1 alpha-2. Without a path, or while the file cannot be read, nothing is known of any address."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._reader: maxminddb.Reader | None = None
        self._file: tuple[int, ...] = ()
        self._checked = -CHECK_MS
        self._memo: dict[str, str] = {}
        self._memo_since = 0

    def of(self, address: str, *, now: int) -> str | None:
        """The country, "" when the database does not know it, None without a database."""
        if self._path is None:
            return None
        if not 0 <= now - self._checked < CHECK_MS:
            self._checked = now
            self._reopen_if_changed(self._path)
        if self._reader is None:
            return None
        known = self._memo.get(address)
        if known is None or now - self._memo_since > MEMO_MS:
            if len(self._memo) >= MEMO_SIZE or now - self._memo_since > MEMO_MS:
                self._memo, self._memo_since = {}, now
            known = self._memo[address] = country_of(self._reader, address)
        return known

    def _reopen_if_changed(self, path: Path) -> None:
        """A file that cannot be read leaves the last one in use; without a last one there is no database."""
        try:
            status = path.stat()
            file = (status.st_ino, status.st_mtime_ns, status.st_size)
            if file == self._file:
                return
            self._file = file
            self._reader = open_countries(path)
            self._memo = {}
        except (OSError, ValueError, RuntimeError) as error:  # maxminddb's InvalidDatabaseError is a RuntimeError
            if self._reader is None:
                log.warning("no country database", path=str(path), error=str(error))
            else:
                log.warning("country database not replaced", path=str(path), error=str(error))
