"""`clicktrace links audit`: all links with their risks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table


def audit(
    client: Annotated[str, typer.Option(help="Only links of this tenant.")] = "",
    risk: Annotated[str, typer.Option(help="Only this risk.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Name at most so many findings.")] = 1000,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """All links and what is risky about them, the worst first."""
    params = {"limit": limit, **({"client": client} if client else {})}
    with ApiClient(url=url, key=key) as api:
        answer = api.call("GET", "/links/audit", params=params)
    if risk:
        for part in ("risks", "findings"):
            answer[part] = [one for one in answer[part] if one["risk"] == risk]
    if json:
        print_json(answer)
    else:
        _print(answer)


def _print(answer: dict[str, Any]) -> None:
    empty = f"{answer['audited']} links, no risk found."
    rows = [(one["severity"], one["risk"], one["links"], one["meaning"]) for one in answer["risks"]]
    print_table(["severity", "risk", "links", "meaning"], rows, empty=empty)
    if answer["findings"]:
        typer.echo()
        named = [
            (one["risk"], f"{one['domain']}/{one['slug']}".lstrip("/"), one["client"], one["detail"])
            for one in answer["findings"]
        ]
        print_table(["risk", "link", "client", "detail"], named, empty="")
    if answer["more"]:
        typer.echo(f"\nand {answer['more']} more findings: --limit, --client")
    if answer["not_checked"]:
        typer.echo(f"\nnot checked, the store did not answer: {', '.join(answer['not_checked'])}")
