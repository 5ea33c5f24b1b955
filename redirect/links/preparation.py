"""Prepares stored links whose compiled form is missing or of another format: after an upgrade, workers would prepare them at every read.

Nothing about a link changes by that, so its change number stays, and no worker looks at it again.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from sqlalchemy import Engine, Select, bindparam, func, or_, select, update

from core.control.tables import links
from core.destinations import AllowList
from redirect.compiled import FORMAT, compile_link
from redirect.links.store import to_link

log = structlog.get_logger(__name__)

#: Links a transaction: others want to write, too.
STRIDE: Final = 1000


def prepare_stale(engine: Engine, *, allowed: AllowList) -> int:
    """Go once through all links; returns how many were prepared."""
    after, prepared = "", 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(_stale(after)).all()
            found = [(link, compile_link(link, allowed=allowed)) for link in map(to_link, rows)]
            made = [
                {"of": link.link_id, "at": link.version, "compiled": form} for link, form in found if form is not None
            ]
            if made:
                same = (links.c.link_id == bindparam("of")) & (links.c.version == bindparam("at"))
                connection.execute(update(links).where(same).values(compiled=bindparam("compiled")), made)
        prepared += len(made)
        if len(rows) < STRIDE:
            if prepared:
                log.info("links prepared for the workers", links=prepared)
            return prepared
        after = rows[-1].link_id


def _stale(after: str) -> Select[Any]:
    other = func.substr(links.c.compiled, 1, len(FORMAT)) != FORMAT
    query = select(links).where(links.c.link_id > after, or_(links.c.compiled.is_(None), other))
    return query.order_by(links.c.link_id).limit(STRIDE)
