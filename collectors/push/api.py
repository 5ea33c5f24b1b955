"""POST /api/v1/conversions | spend | deploys | impressions | gauges | campaigns: one object or an array, 207 with one result each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from collectors.base import Journal
from collectors.config import PushConfig
from collectors.metrics import PUSH_ITEMS
from collectors.push.bodies import SHAPES, from_json
from collectors.push.tenancy import ClientOf, restrict
from collectors.versions import Fact, Versions
from core.clock import Clock, now_ms
from core.errors import Invalid, Refusal
from core.principal import Authorize, Principal
from core.records import Record


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one item: 201 written, 200 equal to what we have, 4xx refused with the closed list's word."""

    index: int
    status: int
    id: str = ""
    reason: str = ""
    detail: str = ""


class Ingest:
    """Takes the items of one request to the journal. Thread-safe, no state of its own."""

    def __init__(
        self, journal: Journal, *, versions: Versions, client_of: ClientOf, config: PushConfig, clock: Clock
    ) -> None:
        self._journal = journal
        self._versions = versions
        self._client_of = client_of
        self._config = config
        self._clock = clock

    def take(self, collection: str, body: bytes, principal: Principal) -> list[Result]:
        """Journal what is good in `body`, and say for each item what became of it.

        Raises:
            Refusal: the body as a whole cannot be read (400) or is too large (413).
            JournalError: nothing was written; the sender should try again.
        """
        items = split(body, max_items=self._config.max_items)
        now = self._clock()
        results: list[Result] = []
        built: list[tuple[int, Record]] = []
        for index, item in enumerate(items):
            try:
                record = from_json(SHAPES[collection], bytes(item), now=now)
                built.append((index, restrict(record, principal, client_of=self._client_of)))
            except Refusal as refusal:
                results.append(Result(index=index, status=refusal.status, reason=refusal.reason, detail=refusal.detail))
        results += self._write(built)
        for result in results:
            PUSH_ITEMS.labels(collection, result.reason or ("unchanged" if result.status == 200 else "written")).inc()
        return sorted(results, key=lambda result: result.index)

    def _write(self, built: list[tuple[int, Record]]) -> list[Result]:
        """Write new and changed records with one append; tell the others apart."""
        records = [record for _, record in built]
        facts = [cast(Fact, record) for record in records if getattr(record, "fact_id", "")]
        unchanged = dict(zip(map(id, facts), self._versions.unchanged(facts), strict=True))
        fresh = [record for record in records if not unchanged.get(id(record), False)]
        if fresh:
            self._journal.append_many(fresh)
            self._versions.remember(cast(Fact, record) for record in fresh if getattr(record, "fact_id", ""))
        return [
            Result(index=index, status=200 if unchanged.get(id(record), False) else 201, id=identifier(record))
            for index, record in built
        ]


def identifier(record: Record) -> str:
    """What the answer calls the item: the sender's own conversion ID, else the natural key."""
    for name in ("conversion_id", "fact_id", "name"):
        value = getattr(record, name, "")
        if value:
            return str(value)
    return ""


def split(body: bytes, *, max_items: int) -> list[msgspec.Raw]:
    """The items of one object or an array of them.

    Raises:
        Invalid: `empty`, `malformed`, `too_many_items`.
    """
    text = body.strip()
    if not text:
        raise Invalid("empty", "the body is empty: send a JSON object or an array of them", status=400)
    try:
        # Decoded whole first: a raw item is checked only as far as its end is found.
        items = [msgspec.Raw(text)] if text[:1] != b"[" else msgspec.json.decode(text, type=list[msgspec.Raw])
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", f"the body is not JSON: {error}", status=400) from None
    if not items:
        raise Invalid("empty", "the array is empty", status=400)
    if len(items) > max_items:
        raise Invalid("too_many_items", f"{len(items)} items: send at most {max_items} at once", status=413)
    return items


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The request's body, read no further than the limit.

    Raises:
        Refusal: `body_too_large` (413).
    """
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > max_bytes:
            raise Invalid(
                "body_too_large", f"the body is longer than {max_bytes} bytes: send smaller batches", status=413
            )
    return bytes(chunks)


def build_router(
    journal: Journal,
    *,
    authorize: Authorize,
    versions: Versions,
    client_of: ClientOf,
    config: PushConfig,
    clock: Clock = now_ms,
) -> APIRouter:
    """The push endpoints below /api/v1.

    Args:
        journal: where good items go, all of a request with one write.
        authorize: the key check; every endpoint asks for the scope `ingest`.
        versions: tells a repeated item from a changed one.
        client_of: (platform, account) -> client that owns the account, empty when unknown.
        config: limits.
        clock: for the age checks of event times.
    """
    router = APIRouter(prefix="/api/v1", tags=["ingest"])
    ingest = Ingest(journal, versions=versions, client_of=client_of, config=config, clock=clock)
    for collection in SHAPES:
        _add(router, collection, ingest=ingest, authorize=authorize, max_bytes=config.max_body_bytes)
    return router


def _add(router: APIRouter, collection: str, *, ingest: Ingest, authorize: Authorize, max_bytes: int) -> None:
    authorized: Callable[..., Principal] = authorize("ingest")

    async def push(request: Request, principal: Any = Depends(authorized)) -> Response:
        try:
            body = await read_body(request, max_bytes=max_bytes)
            results = await run_in_threadpool(ingest.take, collection, body, principal)
        except Refusal as refusal:
            # Of a body that cannot be read nobody knows how many items it has: it counts as one.
            PUSH_ITEMS.labels(collection, refusal.reason).inc()
            raise
        return Response(msgspec.json.encode({"results": results}), status_code=207, media_type="application/json")

    router.add_api_route(
        f"/{collection}",
        push,
        methods=["POST"],
        status_code=207,
        summary=f"Send {collection}: one object or an array",
        description=SHAPES[collection].body.__doc__,
        responses={400: {"description": "malformed or empty"}, 413: {"description": "too large"}},
    )
