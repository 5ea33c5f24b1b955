"""Sign-in of people to the console: a signed cookie that names a key, and links that sign in once.

The cookie holds `<key name>|<expiry>|<HMAC>`; the key behind it is looked up at every use, so revoking the key ends its sessions.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from hashlib import sha256

from sqlalchemy import Engine, delete, select

from app.auth import KeyRing
from core.clock import HOUR_MS, MINUTE_MS, Clock, now_ms
from core.control.checkpoints import Checkpoints
from core.control.shared_secret import shared_secret
from core.control.tables import checkpoints
from core.principal import Principal

COOKIE = "clicktrace_session"
SECRET_NAME = "console_session"  # noqa: S105 - the name of a row, not a secret
SIGN_IN_PART = "sign_in"
LINK_LIFETIME_MS = 15 * MINUTE_MS


class Sessions:
    """Issues and checks session cookies and one-time sign-in links."""

    def __init__(self, engine: Engine, keys: KeyRing, *, hours: float = 12.0, clock: Clock = now_ms) -> None:
        self._engine = engine
        self._keys = keys
        self._lifetime_ms = int(hours * HOUR_MS)
        self._clock = clock
        self._secret = shared_secret(engine, SECRET_NAME, now=clock())

    @property
    def lifetime_s(self) -> int:
        return self._lifetime_ms // 1000

    def issue(self, key_name: str) -> str:
        """A cookie value that signs in as the holder of this key."""
        body = f"{key_name}|{self._clock() + self._lifetime_ms}"
        return _encode(body) + "." + self._sign(body)

    def check(self, cookie: str) -> Principal | None:
        """Who is signed in, or None when the cookie is forged, expired, or its key was revoked."""
        encoded, _, signature = cookie.partition(".")
        body = _decode(encoded)
        if body is None or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        name, _, expiry = body.rpartition("|")
        if int(expiry) <= self._clock():
            return None
        return self._keys.principal(name)

    def one_time_token(self, key_name: str) -> str:
        """A token for a link that signs in once within a quarter of an hour."""
        token = secrets.token_urlsafe(24)
        body = f"{key_name}|{self._clock() + LINK_LIFETIME_MS}"
        Checkpoints(self._engine, SIGN_IN_PART, clock=self._clock).put(_token_name(token), body.encode())
        return token

    def redeem(self, token: str) -> Principal | None:
        """The key holder that a one-time token signs in; the token is spent, even when it has expired."""
        row = (checkpoints.c.part == SIGN_IN_PART) & (checkpoints.c.name == _token_name(token))
        with self._engine.begin() as connection:
            value = connection.execute(select(checkpoints.c.value).where(row)).scalar()
            # Who deletes the row has spent the token; a second redeemer deletes nothing.
            if value is None or connection.execute(delete(checkpoints).where(row)).rowcount != 1:
                return None
        name, _, expiry = bytes(value).decode().rpartition("|")
        return self._keys.principal(name) if int(expiry) > self._clock() else None

    def _sign(self, body: str) -> str:
        return hmac.new(self._secret, body.encode(), sha256).hexdigest()


def _token_name(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _encode(body: str) -> str:
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _decode(encoded: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return None
