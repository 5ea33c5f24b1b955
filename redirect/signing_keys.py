"""Where the keys of signed links come from: the settings, or one of our own making in the control database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine

from core.control.shared_secret import shared_secret
from redirect.signing import Signatures

SECRET_NAME: Final = "link_signing"  # noqa: S105 - the name of a row, not a secret


def signing_keys(engine: Engine, configured: Sequence[str], *, now: int) -> tuple[bytes, ...]:
    """The keys, the one that signs first. Keys in the settings replace our own: they are how keys are rotated."""
    if configured:
        return tuple(key.encode() for key in configured)
    return (shared_secret(engine, SECRET_NAME, now=now),)


class SigningKeys:
    """Hands the keys to a worker's Signatures as soon as the control database has answered once."""

    def __init__(self, engine: Engine, configured: Sequence[str], signatures: Signatures) -> None:
        self._engine = engine
        self._configured = tuple(configured)
        self._signatures = signatures
        if configured:
            signatures.use_keys(key.encode() for key in configured)

    def refresh(self, now: int) -> None:
        if not self._signatures.keys:
            self._signatures.use_keys(signing_keys(self._engine, self._configured, now=now))
