"""POST /api/v1/hooks/{name}: what outside systems call, on the public listener, too.

One call:

1. The caller's address is within its rate; the body within its size and time. (`collectors.door`)
2. The hook of this name says who signed it and when. (`Hook.verify`)
3. The delivery was not taken before. (`Deliveries.claim`)
4. The hook says what the body means, new and changed facts are journaled, the delivery is marked as taken.

An answer other than 2xx means that nothing was written; 409 `replayed` means that it had been before.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from collectors.base import Journal
from collectors.door import Door
from collectors.hooks.base import Hook, HookRequest
from collectors.hooks.config import HooksConfig
from collectors.hooks.deliveries import Deliveries
from collectors.metrics import HOOK_CALLS
from collectors.versions import Versions
from collectors.writing import write_changes
from core.clock import Clock, now_ms
from core.errors import ClicktraceError, NotFound, Refusal
from core.records import Record

#: Label of calls to names that we do not have: what is called is not ours to put into a label.
UNKNOWN = "unknown"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call: `records` facts in the body, `written` of them new or changed."""

    result: str
    records: int
    written: int


class Receptionist:
    """Steps 2 to 4, in a worker thread. Thread-safe."""

    def __init__(
        self, hooks: Mapping[str, Hook], journal: Journal, *, versions: Versions, deliveries: Deliveries, clock: Clock
    ) -> None:
        self._hooks = hooks
        self._journal = journal
        self._versions = versions
        self._deliveries = deliveries
        self._clock = clock

    def take(self, name: str, request: HookRequest) -> Taken:
        """Journal what one call says.

        Raises:
            Refusal: with a word of `collectors.refusals`.
            JournalError: nothing was written; the sender should try again.
        """
        hook, now = self._hooks[name], self._clock()
        delivery = hook.verify(request, now=now)
        self._deliveries.claim(name, delivery, now=now)
        try:
            records = hook.records(request.body, now=now)
            written = write_changes(self._journal, self._versions, records)
        except BaseException:  # whatever kept it from being written, a stop among it: the sender may deliver again
            self._deliveries.release(name, delivery)
            raise
        self._deliveries.done(name, delivery)
        return Taken(result=result_of(records, written), records=len(records), written=len(written))


def result_of(records: list[Record], written: list[Record]) -> str:
    if not records:
        return "nothing"
    return "written" if written else "unchanged"


def build_router(
    hooks: Mapping[str, Hook],
    journal: Journal,
    *,
    door: Door,
    versions: Versions,
    deliveries: Deliveries,
    public_url: str,
    config: HooksConfig,
    clock: Clock = now_ms,
) -> APIRouter:
    """The hooks below /api/v1/hooks.

    Args:
        hooks: by the name in the path.
        public_url: base of our addresses as the senders know it; some sign the address they call.
    """
    router = APIRouter(prefix="/api/v1/hooks", tags=["hooks"])
    receptionist = Receptionist(hooks, journal, versions=versions, deliveries=deliveries, clock=clock)

    @router.post(
        "/{name}", summary="A signed webhook", responses={401: {"description": "not signed by a known secret"}}
    )
    async def call(name: str, request: Request) -> Response:
        """Take a delivery of the connection `name`; each kind of hook has a signature of its own."""
        label = name if name in hooks else UNKNOWN
        try:
            door.admit(request)
            if name not in hooks:
                raise NotFound("unknown_hook", "there is no hook of this name here")
            body = await door.body(request, max_bytes=config.max_body_bytes)
            taken = await run_in_threadpool(receptionist.take, name, described(request, body, base=public_url))
        except ClicktraceError as error:
            HOOK_CALLS.labels(label, error.reason if isinstance(error, Refusal) else "failed").inc()
            raise
        HOOK_CALLS.labels(label, taken.result).inc()
        return Response(msgspec.json.encode(taken), media_type="application/json")

    return router


def described(request: Request, body: bytes, *, base: str) -> HookRequest:
    """The request as its sender saw it; path and query are as they were sent, byte for byte."""
    path = request.scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or request.url.path
    query = request.scope["query_string"].decode("latin-1")
    return HookRequest(
        method=request.method,
        url=base.rstrip("/") + path + (f"?{query}" if query else ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
