"""Reads conversions and their clicks from the store, by the queries under `sql/`; values are always bound by the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from uploads.base import Candidate, Reads

SQL: Final = Path(__file__).parent / "sql"
#: Conversions looked at in one step of a round.
PAGE: Final = 2_000
UPLOAD_PREFIX: Final = "upload:"
_HEADER: Final = re.compile(r"\A(?:--[^\n]*\n)+")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a destination has looked in one particular store; `matched_at` in ms. `mappings` tells when it looks for other things."""

    store_id: str = ""
    mappings: str = ""
    matched_at: int = 0
    fact_id: str = ""


@cache
def text(name: str) -> str:
    """The query in ``sql/<name>.sql`` without its header comment."""
    return _HEADER.sub("", (SQL / f"{name}.sql").read_text("utf-8")).strip()


def changed(store: Reads, place: Place, *, types: Sequence[str], since: int) -> tuple[list[str], Place]:
    """(conversions that were matched or changed after `place`, the place behind them), at most `PAGE`.

    Raises:
        StoreError: the store does not answer.
    """
    params = {
        "matched_at": place.matched_at,
        "fact_id": place.fact_id,
        "since": since,
        "types": sorted(set(types)),
        "rows": PAGE,
    }
    rows = store.rows(text("target_from_match"), params)
    if not rows:
        return [], place
    last = rows[-1]
    behind = msgspec.structs.replace(place, matched_at=int(str(last["matched_ms"])), fact_id=str(last["fact_id"]))
    return [str(row["fact_id"]) for row in rows], behind


def read(store: Reads, fact_ids: Sequence[str]) -> list[Candidate]:
    """These conversions as they are now. One that the store does not know (any more) is left out.

    Raises:
        StoreError: the store does not answer.
    """
    if not fact_ids:
        return []
    rows = store.rows(text("candidate_from_match"), {"fact_ids": list(fact_ids)})
    return msgspec.convert(rows, list[Candidate], strict=False)


def reported(store: Reads, upload_ids: Sequence[str]) -> frozenset[str]:
    """Those uploads of which the journal says that they went out: what remains when the control database was lost.

    Raises:
        StoreError: the store does not answer.
    """
    if not upload_ids:
        return frozenset()
    params = {"fact_ids": [upload_fact_id(each) for each in upload_ids]}
    rows = store.rows(text("reported_from_upload"), params)
    return frozenset(str(row["fact_id"]).removeprefix(UPLOAD_PREFIX) for row in rows)


def upload_fact_id(upload_id: str) -> str:
    """The natural key of an upload's journal line."""
    return UPLOAD_PREFIX + upload_id
