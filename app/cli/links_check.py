"""`clicktrace links check`: what the destination watch saw, a look now, and accepting what is there."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json, print_table

#: A look at every destination of the link, each confirmed by a second one.
CHECK_TIMEOUT_S = 120.0


def check(
    slug: Annotated[str, typer.Argument(help="Slug or link ID; without one: what is known of all destinations.")] = "",
    domain: Annotated[str, typer.Option(help="Domain of the link, when it has one.")] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="What is there now is meant so: expect it from now on.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Past checks of the link; looks at nothing.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Look at where a link leads, now. The exit code is 1 when a destination does not work."""
    if not slug and (accept or history):
        raise typer.BadParameter("--accept and --history are about one link: name it")
    with ApiClient(url=url, key=key) as api:
        answer = _ask(api, slug, domain=domain, accept=accept, history=history)
    if json:
        print_json(answer)
    elif history:
        _print_history(answer["history"])
    else:
        _print(answer["destinations"], named=bool(slug))
    if any(each["state"] == "failing" for each in answer["destinations"]):
        raise typer.Exit(FAILED)


def _ask(api: ApiClient, slug: str, *, domain: str, accept: bool, history: bool) -> dict[str, Any]:
    if not slug:
        return api.call("GET", "/destinations")
    path = f"/links/{quote(slug, safe='~')}/checks"
    params = {"domain": domain} if domain else {}
    if history:
        return api.call("GET", path, params={**params, "history": 100})
    answer = api.call("POST", path, params=params, timeout=CHECK_TIMEOUT_S)
    return api.call("POST", f"{path}/accept", params=params) if accept else answer


def _print(destinations: list[dict[str, Any]], *, named: bool) -> None:
    rows = [
        (
            each["url"],
            each["state"] or "not looked at",
            " ".join(str(status) for status in each["statuses"]),
            f"{each['ttfb_ms']} ms" if each["statuses"] else "",
            each["certificate_expires"][:10],
            "yes" if each["click_id_survived"] else "no",
            "" if named else ", ".join(each["links"][:3]),
        )
        for each in destinations
    ]
    empty = "It leads nowhere now: the link is switched off or over." if named else "No link leads anywhere yet."
    print_table(["destination", "state", "status", "first byte", "certificate", "ct_click", "links"], rows, empty=empty)
    for each in destinations:
        for finding in each["findings"]:
            typer.echo(f"\n{each['url']}\n  {finding['kind']}: {finding['finding']}. {finding['text']}")


def _print_history(checks: list[dict[str, Any]]) -> None:
    rows = [
        (each["at"], each["state"], ", ".join(each["findings"]), each["url"], each["accepted_by"]) for each in checks
    ]
    print_table(["when", "state", "findings", "destination", "accepted by"], rows, empty="Nobody looked yet.")
