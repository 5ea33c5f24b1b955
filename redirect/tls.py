"""TLS of the listener: a context whose certificate is reloaded when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class Certificate:
    """A server context on a certificate and key; new connections use what was loaded last.

    Raises:
        OSError, ssl.SSLError: the files cannot be read or do not fit together (at the first load only).
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._cert = cert
        self._key = key
        self._seen = self._state()
        self.context.load_cert_chain(cert, key)

    def reload_if_changed(self) -> bool:
        """Load the files again when they changed. What does not load is logged, and the old certificate stays in use."""
        try:
            state = self._state()
            if state == self._seen:
                return False
            # A pair that does not fit would leave the live context with half of it: try it on one of its own first.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate could not be reloaded", error=str(error))
            return False
        self._seen = state
        return True

    def _state(self) -> tuple[int, int, int, int]:
        cert, key = self._cert.stat(), self._key.stat()
        return cert.st_mtime_ns, cert.st_size, key.st_mtime_ns, key.st_size
