"""API keys: who is calling, with which scopes, for which clients.

Only the SHA-256 of a key is kept. A key is 32 random bytes, so a plain hash resists guessing; a slow one would only cost every request.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from core.clock import Clock, now_ms
from core.control.tables import api_keys
from core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from core.principal import SCOPES, Principal, Scope

KEY_PREFIX = "ct_"
ADMIN_KEY_NAME = "admin"
ADMIN_KEY_FILE = "admin.key"
#: A revoked key stops working within this many seconds in every process.
CACHE_SECONDS = 5.0
MAX_CACHED = 4096


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A key as `clicktrace keys list` shows it; the key itself is shown once, when it is made."""

    name: str
    scopes: list[str]
    clients: list[str]
    created_at: int
    revoked_at: int | None = None


class KeyRing:
    """Makes, checks and revokes keys in the control database."""

    def __init__(
        self, engine: Engine, *, clock: Clock = now_ms, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._monotonic = monotonic
        self._cache: dict[str, tuple[float, Principal | None]] = {}

    def add(self, name: str, *, scopes: Iterable[str], clients: Iterable[str] = ()) -> str:
        """Make a key and return it; it cannot be shown again.

        Raises:
            Invalid: `empty_name`, `no_scope` or `unknown_scope`.
            Conflict: `key_exists`: a key of that name was made before, revoked or not.
        """
        wanted = sorted(set(scopes))
        _check_new_key(name, wanted)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        row = {
            "name": name,
            "key_sha256": _digest(key),
            "scopes": wanted,
            "clients": sorted(set(clients)),
            "created_at": self._clock(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(api_keys).values(**row))
        except IntegrityError:
            raise Conflict("key_exists", f"a key named {name!r} exists already: choose another name") from None
        self._cache.clear()
        return key

    def list(self) -> list[KeyInfo]:
        """All keys by name, revoked ones included."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.name)).mappings().all()
        return [
            KeyInfo(
                name=row["name"],
                scopes=row["scopes"],
                clients=row["clients"],
                created_at=row["created_at"],
                revoked_at=row["revoked_at"],
            )
            for row in rows
        ]

    def revoke(self, name: str) -> None:
        """End a key.

        Raises:
            NotFound: `unknown_key`: no such key, or it was revoked before.
        """
        matching = update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
        with self._engine.begin() as connection:
            changed = connection.execute(matching.values(revoked_at=self._clock())).rowcount
        self._cache.clear()
        if not changed:
            raise NotFound("unknown_key", f"there is no active key named {name!r}")

    def check(self, key: str) -> Principal | None:
        """Who holds this key, or None when it is unknown or revoked."""
        digest = _digest(key)
        cached = self._cache.get(digest)
        if cached is not None and cached[0] > self._monotonic():
            return cached[1]
        found = self._look_up(digest)
        if len(self._cache) >= MAX_CACHED:  # a flood of wrong keys must not grow it without bound
            self._cache.clear()
        self._cache[digest] = (self._monotonic() + CACHE_SECONDS, found)
        return found

    def principal(self, name: str) -> Principal | None:
        """The holder of an active key by the key's name (console sessions remember only the name)."""
        active = select(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(active).mappings().first()
        return None if row is None else _principal(row["name"], row["scopes"], row["clients"])

    def ensure_admin_key(self, data_dir: Path) -> Path | None:
        """On the first start, make the admin key and write it to `<data_dir>/admin.key` (mode 0600); its path, else None.

        None means that keys exist already: nothing was made.
        """
        with self._engine.connect() as connection:
            if connection.execute(select(func.count()).select_from(api_keys)).scalar_one():
                return None
        try:
            key = self.add(ADMIN_KEY_NAME, scopes=SCOPES)
        except Conflict:  # another process of the same first start was faster
            return None
        path = data_dir / ADMIN_KEY_FILE
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
        return path

    def _look_up(self, digest: str) -> Principal | None:
        active = select(api_keys).where(api_keys.c.key_sha256 == digest, api_keys.c.revoked_at.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(active).mappings().first()
        # The index finds by hash, which tells a guesser nothing about the key; comparing again in constant time costs nothing.
        if row is None or not hmac.compare_digest(row["key_sha256"], digest):
            return None
        return _principal(row["name"], row["scopes"], row["clients"])


class KeyAuthorization:
    """Builds the FastAPI dependencies that the parts' routers ask for (`core.principal.Authorize`)."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def __call__(self, scope: Scope) -> Callable[..., Principal]:
        def authorized(request: Request) -> Principal:
            principal = self.holder(request)
            require_scope(principal, scope)
            return principal

        return authorized

    def holder(self, request: Request) -> Principal:
        """Who sends this request.

        Raises:
            Unauthorized: `missing_key` or `wrong_key`.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized(
                "missing_key", "send the header Authorization: Bearer <key>; make one: clicktrace keys add"
            )
        principal = self._keys.check(key.strip())
        if principal is None:
            raise Unauthorized("wrong_key", "this key is unknown or revoked; list keys: clicktrace keys list")
        return principal


def require_scope(principal: Principal, scope: Scope) -> None:
    """Pass, or refuse a key that lacks the scope; `admin` includes every scope.

    Raises:
        Forbidden: `missing_scope`.
    """
    if scope not in principal.scopes and "admin" not in principal.scopes:
        raise Forbidden("missing_scope", f"the key {principal.name!r} lacks the scope {scope!r}")


def _check_new_key(name: str, scopes: list[str]) -> None:
    if not name.strip() or len(name) > 128:
        raise Invalid("empty_name", "give the key a name of 1 to 128 characters, such as the system that will hold it")
    if not scopes:
        raise Invalid("no_scope", f"give the key at least one scope of {', '.join(SCOPES)}")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise Invalid("unknown_scope", f"{', '.join(unknown)}: scopes are {', '.join(SCOPES)}")


def _principal(name: str, scopes: Iterable[str], clients: Iterable[str]) -> Principal:
    return Principal(name=name, scopes=frozenset(scopes), clients=frozenset(clients))


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()
