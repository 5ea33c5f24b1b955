"""/healthz: the process lives. /readyz: it can do its work, with the figures that say so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Response

#: A shipper this far behind means that what people see is old.
BEHIND_BYTES = 256 * 2**20
#: A shipper that has not completed a run for this long hangs, or its store does not answer.
LONGEST_PAUSE_MS = 60_000


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold. `figures` are shown whether it holds or not."""

    name: str
    ok: bool
    detail: str = ""
    figures: dict[str, float] = {}


def build_router(checks: Callable[[], list[Check]]) -> APIRouter:
    """The two health routes; they need no key and say nothing secret."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="The process can do its work")
    def readyz() -> Response:
        found = checks()
        ready = all(check.ok for check in found)
        body = {"status": "ready" if ready else "not ready", "checks": found}
        return Response(msgspec.json.encode(body), status_code=200 if ready else 503, media_type="application/json")

    return router
