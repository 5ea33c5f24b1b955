"""`clicktrace links explain`: why a hit on a link would go where it goes, step by step."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.links_names import quoted
from app.cli.output import Json, print_json, print_table


def explain(
    slug: Annotated[str, typer.Argument(help="Slug or link ID.")],
    domain: Annotated[str, typer.Option(help="Domain of the link, when it has one.")] = "",
    device: Annotated[str, typer.Option(help="desktop, mobile, tablet, bot or other.")] = "",
    os: Annotated[str, typer.Option(help="ios, android, windows, macos, linux, chromeos or other.")] = "",
    language: Annotated[str, typer.Option(help="The visitor's most preferred language, like de-AT.")] = "",
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2, like AT.")] = "",
    query: Annotated[list[str] | None, typer.Option(help="name=value of the hit; repeat for several.")] = None,
    user_agent: Annotated[str, typer.Option(help="Says device and os where they are not.")] = "",
    visitor: Annotated[str, typer.Option(help="A visitor ID (cookie ct_vid): draws the variant.")] = "",
    at: Annotated[str, typer.Option(help="When, RFC 3339 with a zone; else now.")] = "",
    exhausted: Annotated[bool, typer.Option("--exhausted", help="As if the link had its max_clicks.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Why a hit would go where it goes: each rule, the destination, the Location. Nothing is recorded."""
    said = {
        "domain": domain, "device": device, "os": os, "language": language, "country": country, "user_agent": user_agent,
        "visitor": visitor, "at": at, "query": "&".join(query or ()), "exhausted": "true" if exhausted else "",
    }  # fmt: skip
    with ApiClient(url=url, key=key) as api:
        answer = api.call(
            "GET",
            f"/links/{quoted(slug)}/explain",
            params={name: value for name, value in said.items() if value},
        )
    if json:
        print_json(answer)
    else:
        _print(answer)


def _print(answer: dict[str, Any]) -> None:
    typer.echo(f"{answer['slug']}, version {answer['version']}, at {answer['at']}\n")
    rows = [(step["step"], step["result"], step["why"]) for step in answer["steps"]]
    print_table(["step", "result", "why"], rows, empty="")
    where = answer["location"] or f"nowhere ({answer['outcome']})"
    typer.echo(f"\n{answer['http_status']} -> {where}")
    if answer["trace"]:
        typer.echo(f"trace: {' '.join(answer['trace'])}")
