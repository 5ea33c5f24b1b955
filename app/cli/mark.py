"""`clicktrace mark`: say that something was changed, from CI, a release script or a person's terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json
from core.clock import now_ms, to_rfc3339
from core.errors import Forbidden, Invalid
from core.records import Change

app = typer.Typer()


@app.command()
def mark(
    service: Annotated[
        str,
        typer.Argument(help="What was changed: a service as its spans call it, a tag container, a qualified campaign."),
    ],
    version: Annotated[str, typer.Argument(help="What it is now, as service.version of its spans.")],
    change: Annotated[Change, typer.Option(help="Kind of change.")] = "deploy",
    at: Annotated[str, typer.Option(help="When, RFC 3339 with a zone; the same again makes no second marker.")] = "",
    author: Annotated[str, typer.Option(help="Who did it.")] = "",
    link: Annotated[str, typer.Option(help="Where to read more: the run, the diff.")] = "",
    description: Annotated[str, typer.Option(help="A sentence for whoever looks for a cause.")] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Mark a change: a deploy, a rollback, or one of CDN, configuration, tags, creatives or budget."""
    marker = {"service": service, "version": version, "change": change, "ts": at or to_rfc3339(now_ms())}
    more = {"author": author, "link": link, "description": description}
    with ApiClient(url=url, key=key) as api:
        answer = api.call("POST", "/deploys", json=marker | {name: text for name, text in more.items() if text})
    (result,) = answer["results"]
    if result["status"] >= 400:
        kind = Forbidden if result["status"] == 403 else Invalid
        raise kind(result["reason"], result.get("detail", ""), status=result["status"])
    if json:
        print_json(result | marker)
    else:
        known = "" if result["status"] == 201 else " (known already)"
        typer.echo(f"{change} of {service} {version} at {marker['ts']}{known}")
