"""GET /api/v1/links/export and POST /api/v1/links/import: links as files."""

from __future__ import annotations

import io
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from core.errors import Invalid
from core.principal import Principal
from redirect.links import transfer
from redirect.links.answers import refusals
from redirect.links.desk import LinkDesk
from redirect.links.importer import MAX_SHOWN, Importer
from redirect.links.parameters import Client, Search, Tags

#: Content type of a body -> its format.
READS: Final[dict[str, transfer.Format]] = {
    "text/csv": "csv",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
}
_LINES: Final = {"schema": {"type": "string"}}
_BODY: Final = {"required": True, "content": dict.fromkeys(READS, _LINES) | {"application/json": {"schema": {}}}}


class RefusedLine(BaseModel):
    line: int
    slug: str
    reason: str
    detail: str


class ImportSummary(BaseModel):
    """What the import did, or with `dry_run` would do."""

    dry_run: bool
    added: int
    changed: int
    unchanged: int
    refused: int
    errors: list[RefusedLine] = Field(description=f"At most {MAX_SHOWN}; `refused` counts all.")


def add_routes(router: APIRouter, desk: LinkDesk, caller: Any) -> None:
    """Import and export."""

    @router.get(
        "/export",
        response_class=StreamingResponse,
        responses={200: {"content": {kind: {} for kind in READS}}, **refusals()},
    )
    def export(
        principal: Principal = caller,
        format: transfer.Format = "csv",
        tag: Tags = [],  # noqa: B006  # FastAPI makes a new one for each request
        client: Client = None,
        search: Search = "",
    ) -> StreamingResponse:
        """All links that the filter finds, as a file that `import` reads back to the same links."""
        wanted = desk.wanted(principal, tags=tag, client=client, search=search)
        desk.links.list(wanted, limit=1)  # what is wrong with the filter must be said before the answer begins
        found = (link.definition for link in desk.links.walk(wanted))
        name = {"Content-Disposition": f'attachment; filename="links.{format}"'}
        return StreamingResponse(transfer.write(found, format), media_type=transfer.MEDIA_TYPES[format], headers=name)

    @router.post("/import", responses=refusals(400, 413, 415), openapi_extra={"requestBody": _BODY})
    async def import_links(
        request: Request,
        principal: Principal = caller,
        dry_run: Annotated[bool, Query(description="Say what would happen, change nothing.")] = False,
        map: Annotated[list[str], Query(description="theirs=ours; theirs= leaves it out.")] = [],  # noqa: B006
    ) -> ImportSummary:
        """Add what is new, change what differs, leave the rest; what is wrong with a line stops none of the others."""
        kind = _kind(request.headers.get("content-type", ""))
        body = await request.body()  # bounded by the application's body limit
        return await run_in_threadpool(_import, body, kind, map, Importer(desk, principal, dry_run=dry_run))


def _import(body: bytes, kind: transfer.Format, renames: list[str], importer: Importer) -> ImportSummary:
    try:
        text = io.StringIO(body.decode("utf-8"), newline="")
    except UnicodeDecodeError as error:
        raise Invalid("encoding", f"byte {error.start} is not UTF-8: save the file as UTF-8") from None
    summary = importer.run(transfer.read(text, kind, renames=transfer.parse_renames(renames)))
    return ImportSummary.model_validate(summary, from_attributes=True)


def _kind(content_type: str) -> transfer.Format:
    media = content_type.partition(";")[0].strip().lower()
    if media not in READS:
        raise Invalid("unsupported_media_type", f"send one of {', '.join(READS)}, not {media!r}", status=415)
    return READS[media]
