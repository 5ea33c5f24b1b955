"""Secrets that the product makes for itself and every process of an installation shares (design §3)."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from core.control.tables import secrets as secrets_table

SECRET_BYTES: Final = 32


def shared_secret(engine: Engine, name: str, *, now: int) -> bytes:
    """A random secret kept in the control database under `name`, made by whoever asks first."""
    wanted = select(secrets_table.c.value).where(secrets_table.c.name == name)
    with engine.connect() as connection:
        found = connection.execute(wanted).scalar()
    if found is not None:
        return bytes(found)
    fresh = {"name": name, "value": secrets.token_bytes(SECRET_BYTES), "created_at": now}
    try:
        with engine.begin() as connection:
            connection.execute(insert(secrets_table).values(**fresh))
    except IntegrityError:
        pass  # another process made it in the same moment: theirs counts
    with engine.connect() as connection:
        return bytes(connection.execute(wanted).scalar_one())
