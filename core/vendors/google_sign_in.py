"""Signing in to Google's APIs as a service account (RFC 7523), shared by Google Ads, Analytics and whatever else takes such tokens.

The key lies in the JSON file that the Cloud console gives out. Tokens come from the file's own `token_uri`, last an hour and are
fetched here, before a call: a client library that fetches them inside gRPC reports refused credentials as an outage.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import google.auth.exceptions
from google.oauth2.service_account import Credentials

from core.errors import Permanent, SourceError, Transient
from core.vendors.google_transport import UntilDeadline

#: A token call may take this long; it is made at most once an hour.
TOKEN_TIMEOUT_S: Final = 10.0

#: What tells one content of a file from another without reading it: inode, size and time of the last change.
_Stamp = tuple[int, int, int]


class ServiceAccount:
    """One service account's tokens of one scope. May be used from several threads.

    The file is looked at before every use, so that a rotated key is seen without a restart.

    Args:
        source: the party's name in errors.
        credentials_file: path of the JSON key file.
        scope: the OAuth scope to ask for; the narrowest that will do.
    """

    def __init__(self, source: str, credentials_file: str, *, scope: str) -> None:
        self._source = source
        self._path = Path(credentials_file)
        self._named = bool(credentials_file)
        self._scope = scope
        self._stamp: _Stamp | None = None
        self._credentials: Any = None
        self._lock = threading.Lock()
        #: True while the newest token was never used before: then a refusal is about the account, not about an old token.
        self.token_is_new = True

    def credentials(self, *, timeout_s: float = TOKEN_TIMEOUT_S) -> Any:
        """google.oauth2 credentials whose token is valid now; another object after the file changed.

        Raises:
            Permanent: the file cannot be read, or the token endpoint refuses the account.
            Transient: the token endpoint does not answer within `timeout_s`.
        """
        with self._lock:
            self._load_if_changed()
            self.token_is_new = not self._credentials.valid
            if self.token_is_new:
                try:
                    self._credentials.refresh(UntilDeadline(min(timeout_s, TOKEN_TIMEOUT_S)))
                except google.auth.exceptions.GoogleAuthError as error:
                    raise self.error_of(error) from None
            return self._credentials

    def bearer(self, *, timeout_s: float = TOKEN_TIMEOUT_S) -> dict[str, str]:
        """The header that a call carries. Raises as `credentials`."""
        return {"Authorization": f"Bearer {self.credentials(timeout_s=timeout_s).token}"}

    def refused(self, detail: str) -> SourceError:
        """What a service's refusal of the token means.

        A token may be revoked before it expires: the next attempt fetches another, and only when that one is refused, too, is it
        the credentials.
        """
        if self.token_is_new:
            return Permanent(self._source, detail)
        with self._lock:
            if self._credentials is not None:
                self._credentials.token = None
        return Transient(self._source, detail)

    def error_of(self, error: google.auth.exceptions.GoogleAuthError) -> SourceError:
        """The error without its text, which may quote the assertion."""
        if isinstance(error, google.auth.exceptions.TransportError) or getattr(error, "retryable", False):
            return Transient(self._source, "the token endpoint does not answer")
        return Permanent(self._source, "the credentials were refused: check the service account and its access")

    def _load_if_changed(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._credentials is None or stamp != self._stamp:
                factory: Any = Credentials.from_service_account_file  # the library has no type information here
                self._credentials, self._stamp = factory(str(self._path), scopes=[self._scope]), stamp
        except (OSError, ValueError, google.auth.exceptions.GoogleAuthError) as error:
            # The error's own text may quote the file's content; the kind of error is enough to mend it.
            where = f"credentials_file {self._path} cannot be read" if self._named else "no credentials_file is set"
            raise Permanent(self._source, f"{where}: {type(error).__name__}") from None
